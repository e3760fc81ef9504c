//! A real server of MLflow, with a door before it that can be shut.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;

use crate::{Running, http, python};

/// The server; it ends when this goes away, and so does what it keeps.
#[derive(Debug)]
pub struct Mlflow {
    /// Where it is, such as `http://127.0.0.1:5000`.
    pub url: String,
    server: Running,
    _folder: tempfile::TempDir,
}

impl Mlflow {
    /// On a free port of this machine.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let python = python::with("mlflow");
        // Its tables take longer than all the rest, so they are made once.
        let database = folder.path().join("mlflow.db");
        let prepared = crate::workspace().join("target/python/mlflow/venv/empty.db");
        if prepared.exists() {
            std::fs::copy(&prepared, &database).expect("a file");
        }
        // It serves from a child of its own, so both go as a group; a story that is killed leaves them for that long.
        let mut command = Command::new("timeout");
        command
            .process_group(0)
            .args(["--signal=KILL", "900"])
            .arg(python)
            .args(["-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port"])
            .arg(port.to_string())
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", database.display()))
            .arg("--artifacts-destination")
            .arg(folder.path().join("artifacts"))
            // Its own background jobs need packages that are not here, and nobody is told of tests.
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true");
        let url = format!("http://127.0.0.1:{port}");
        let mlflow = Self { url, server: Running::start(command), _folder: folder };
        mlflow.server.said("Uvicorn running on http://");
        if !prepared.exists() {
            let copy = prepared.with_extension(format!("{port}"));
            std::fs::copy(&database, &copy).and_then(|_| std::fs::rename(&copy, &prepared)).expect("a file");
        }
        mlflow
    }

    /// What it says at a path below `/api/2.0/mlflow/`.
    ///
    /// # Panics
    /// If it does not say well.
    pub fn get(&self, path: &str) -> Value {
        let answer = http::get(&self.url, &format!("/api/2.0/mlflow/{path}"));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// What it says when asked with a body.
    ///
    /// # Panics
    /// If it does not say well.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/json")];
        let answer =
            http::ask(&self.url, "POST", &format!("/api/2.0/mlflow/{path}"), &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        rustix::process::kill_process_group(self.server.pid(), rustix::process::Signal::KILL).ok();
    }
}
