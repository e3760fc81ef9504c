//! A real Kubernetes of the tests' own (`tests/cluster`), in a folder that goes away.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Once, OnceLock};

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
}

/// What a machine can do, as `cluster check` numbers it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Can {
    All,
    ApiOnly,
    Nothing,
}

impl Cluster {
    /// The cluster that all tests of this process share, started once; it ends with the process. `None`, which is said
    /// once, where this machine can run no pods, or where nobody has built the cluster.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn shared() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start(&[])).as_ref()
    }

    /// A control plane without nodes, shared likewise; it needs no rights, so it runs on more machines.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn api_only() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start(&["--api-only"])).as_ref()
    }

    fn start(options: &[&str]) -> Option<Self> {
        let (can, line) = check(&[]);
        if can == Can::Nothing {
            static SAID: Once = Once::new();
            SAID.call_once(|| crate::skipped(&format!("stories with a Kubernetes: {line}")));
            return None;
        }
        if can == Can::ApiOnly && options.is_empty() {
            crate::skipped(&format!("stories with pods: {line}"));
            return None;
        }
        let own = std::process::id().to_string();
        let name = format!("cairn-cluster-{own}{}", options.concat());
        let cluster = Self { folder: std::env::temp_dir().join(name) };
        succeeded(script().args(["up", "--for", &own]).args(options).arg(&cluster.folder));
        Some(cluster)
    }

    /// The file with the server's address and an administrator's token, as clients read it. With pods, the address is
    /// there for who has been let in alone: see [`Cluster::enter`].
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A command that will run where the cluster's addresses are, with `KUBECONFIG` set and `kubectl` on its path.
    pub fn enter(&self, program: impl AsRef<Path>) -> Command {
        let mut command = script();
        command.arg("enter").arg(&self.folder).arg(program.as_ref());
        command
    }

    /// What `kubectl` prints.
    ///
    /// # Panics
    /// If it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        succeeded(self.enter("kubectl").args(args))
    }

    /// Applies a manifest in a namespace.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn apply_in(&self, namespace: &str, manifest: &str) {
        let mut kubectl = self.enter("kubectl");
        kubectl
            .args(["apply", "-n", namespace, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = kubectl.spawn().expect("bash is there");
        let mut input = running.stdin.take().expect("piped");
        input.write_all(manifest.as_bytes()).expect("kubectl reads all of it");
        drop(input);
        text(&kubectl, &running.wait_with_output().expect("it ends"));
    }

    /// A new namespace, for one story.
    ///
    /// # Panics
    /// If there is one of this name.
    pub fn namespace<'a>(&self, name: &'a str) -> &'a str {
        self.kubectl(&["create", "namespace", name]);
        // Pods need its account, which comes a moment later.
        crate::until("the default service account", || {
            let account =
                self.enter("kubectl").args(["get", "serviceaccount", "default", "-n", name]).output();
            account.is_ok_and(|output| output.status.success()).then_some(())
        });
        name
    }

    /// Installs an operator that the cluster's scripts know, once, and waits until it runs. `false`, which is said,
    /// where nobody has built it.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn operator(&self, name: &str) -> bool {
        let (can, line) = check(&[name]);
        if can == Can::All {
            succeeded(script().arg("operator").arg(&self.folder).arg(name));
        } else {
            crate::skipped(&format!("stories with the operator {name}: {line}"));
        }
        can == Can::All
    }
}

/// What this machine can do with what is built, which these parts have to be, and the line that says so.
fn check(parts: &[&str]) -> (Can, String) {
    let output = script().args(["check", "--built"]).args(parts).output().expect("bash is there");
    let can = match output.status.code() {
        Some(0) => Can::All,
        Some(10) => Can::ApiOnly,
        _ => Can::Nothing,
    };
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    (can, String::from_utf8_lossy(said).trim().to_owned())
}

fn script() -> Command {
    Command::new(crate::workspace().join("tests/cluster/cluster"))
}

fn succeeded(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    text(command, &output)
}

fn text(command: &Command, output: &Output) -> String {
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
