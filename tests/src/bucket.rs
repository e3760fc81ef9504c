//! A bucket of a real server that speaks S3: moto's, which signs nothing off and keeps everything in memory.

use std::path::Path;
use std::process::Command;

use crate::{Running, http, python};

/// The server with one bucket, `models`. It ends when this goes away.
#[derive(Debug)]
pub struct Bucket {
    /// Where it is, such as `http://127.0.0.1:5000`.
    pub url: String,
    _server: Running,
}

impl Bucket {
    /// On a free port of this machine.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start() -> Self {
        Self::start_with(|python| Command::new(python), "127.0.0.1", 0)
    }

    /// At an address, by a command that runs its interpreter, such as where a cluster's addresses are.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn start_with(run: impl FnOnce(&Path) -> Command, host: &str, port: u16) -> Self {
        let mut command = run(&python::with("bucket"));
        command.args(["-m", "moto.server", "-H", host, "-p", &port.to_string()]);
        let server = Running::start(command);
        let rest = server.said("Running on http://");
        let url = format!("http://{}", rest.split_whitespace().next().unwrap_or_default());
        Self { url, _server: server }
    }

    /// Makes the bucket, from a machine that reaches it.
    ///
    /// # Panics
    /// If the server refuses it.
    #[must_use]
    pub fn made(self) -> Self {
        let answer = http::ask(&self.url, "PUT", "/models", &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        self
    }

    /// The variables by which a program reaches it.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "key".into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT", self.url.clone()),
            ("AWS_ALLOW_HTTP", "true".into()),
        ]
    }

    /// The keys that lie in it.
    ///
    /// # Panics
    /// If the server does not say.
    pub fn keys(&self) -> Vec<String> {
        let answer = http::get(&self.url, "/models?list-type=2");
        assert_eq!(answer.status, 200, "{answer:?}");
        let keys = answer.body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }
}
