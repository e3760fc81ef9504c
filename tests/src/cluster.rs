//! A real Kubernetes of the tests' own (`tests/cluster`), in a folder that goes away.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use serde_json::Value;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    /// Images that are made once.
    made: Mutex<HashSet<&'static str>>,
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
        CLUSTER.get_or_init(|| Self::start("", &[])).as_ref()
    }

    /// A control plane without nodes, shared likewise; it needs no rights, so it runs on more machines.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn api_only() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start("-api-only", &["--api-only"])).as_ref()
    }

    /// A whole cluster of stories in which Cairn looks at all namespaces and the API server asks it, shared likewise.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn of_one_cairn() -> Option<&'static Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER.get_or_init(|| Self::start("-one", &[])).as_ref()
    }

    /// A cluster with pods for one story, which does to it what others would not bear; it ends with this.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn own(name: &str) -> Option<Self> {
        Self::start(&format!("-{name}"), &[])
    }

    /// A control plane without nodes for one measurement; it ends with this.
    ///
    /// # Panics
    /// If it should come up and does not.
    pub fn own_api_only(name: &str) -> Option<Self> {
        Self::start(&format!("-{name}"), &["--api-only"])
    }

    fn start(name: &str, options: &[&str]) -> Option<Self> {
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
        let name = format!("cairn-cluster-{own}{name}");
        let cluster = Self { folder: std::env::temp_dir().join(name), made: Mutex::default() };
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

    /// Makes an image of a program, such as `local/tool:1`, with the libraries that it is linked to. It is found by its
    /// file's name.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn image_of(&self, name: &str, program: &Path) {
        self.image_in(tempfile::tempdir().expect("a temporary folder").path(), name, program);
    }

    /// Makes such an image with a shell in it, which trials are run by.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn trial_image_of(&self, name: &str, program: &Path) {
        let root = tempfile::tempdir().expect("a temporary folder");
        let busybox = succeeded(Command::new("sh").args(["-c", "command -v busybox"]));
        copy(Path::new(busybox.trim()), &root.path().join("bin/sh"));
        self.image_in(root.path(), name, program);
    }

    fn image_in(&self, root: &Path, name: &str, program: &Path) {
        let file = program.file_name().expect("a program").to_string_lossy().into_owned();
        let own = root.join("usr/local/bin").join(&file);
        copy(program, &own);
        // What debuggers want is most of it.
        succeeded(Command::new("strip").arg("--strip-debug").arg(&own));
        let linked = succeeded(Command::new("ldd").arg(program));
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), &root.join(library.trim_start_matches('/')));
        }
        let command = format!("[\"{file}\"]");
        succeeded(script().arg("image").arg(&self.folder).arg(name).arg(root).arg(command));
    }

    /// The processes of a program of the control plane, such as `kube-apiserver`.
    pub fn processes(&self, program: &str) -> Vec<rustix::process::Pid> {
        let folder = self.folder.display().to_string();
        let is_one = |entry: &std::fs::DirEntry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let name = line.split('\0').next().unwrap_or_default();
            Path::new(name).ends_with(program) && line.contains(&folder)
        };
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        entries.filter(is_one).filter_map(pid).filter_map(rustix::process::Pid::from_raw).collect()
    }

    /// How often clients whose user agent begins so have written each kind of thing in a namespace, such as `create jobs` or
    /// `update trials/status`. Events and Leases are not counted.
    ///
    /// # Panics
    /// If the cluster does not write down who writes.
    pub fn writes(&self, agent: &str, namespace: &str) -> BTreeMap<String, usize> {
        let log = std::fs::File::open(self.folder.join("audit.log")).expect("who writes is written down");
        let mut counts = BTreeMap::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // The last line may not be whole.
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            let word = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if word("/userAgent").starts_with(agent) && word("/objectRef/namespace") == namespace {
                let part = Some(word("/objectRef/subresource")).filter(|part| !part.is_empty());
                let part = part.map(|part| format!("/{part}")).unwrap_or_default();
                let key = format!("{} {}{part}", word("/verb"), word("/objectRef/resource"));
                *counts.entry(key).or_default() += 1;
            }
        }
        counts
    }

    /// Adds nodes that are only played, as their pods are. `false`, which is said, where nobody has built who plays them.
    ///
    /// # Panics
    /// If they do not come up.
    pub fn played(&self, nodes: u32) -> bool {
        let (can, line) = check(&["kwok"]);
        if can == Can::Nothing {
            crate::skipped(&format!("what needs played nodes: {line}"));
            return false;
        }
        succeeded(script().arg("kwok").arg(&self.folder).arg(nodes.to_string()));
        true
    }

    /// The image `local/python:1`, made once: this machine's Python with bash and Cairn's client.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn python_image(&self) {
        self.made("python");
    }

    /// The image `local/openmpi:1`, made once: Debian's Open MPI with Python and its MPI. `false`, which is said, where
    /// nobody has fetched it.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn openmpi_image(&self) -> bool {
        let (can, line) = check(&["openmpi"]);
        if can == Can::All {
            self.made("openmpi");
        } else {
            crate::skipped(&format!("stories with Open MPI: {line}"));
        }
        can == Can::All
    }

    /// Makes an image that the cluster's scripts know.
    fn made(&self, image: &'static str) {
        // Whoever wants it meanwhile waits for it.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.insert(image) {
            succeeded(script().arg(image).arg(&self.folder));
        }
    }

    /// The image `local/postgres:1`: this machine's PostgreSQL.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn postgres_image(&self) {
        succeeded(script().arg("postgres").arg(&self.folder));
    }

    /// How many GPUs the node offers from now on.
    ///
    /// # Panics
    /// If the node cannot be told.
    pub fn gpus(&self, n: u32) {
        succeeded(script().arg("gpus").arg(&self.folder).arg(n.to_string()));
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

impl Drop for Cluster {
    /// Those that are shared are never dropped; they end with the process.
    fn drop(&mut self) {
        script().arg("down").arg(&self.folder).status().ok();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().expect("it lies in a folder")).expect("a folder");
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A program of the built cluster, such as `kubectl`. `None`, which is said, where nobody has built it.
pub fn program(name: &str) -> Option<PathBuf> {
    let program = crate::workspace().join("target/cluster/bin").join(name);
    if program.exists() {
        return Some(program);
    }
    crate::skipped(&format!("what needs {name}: `tests/cluster/cluster build` builds it"));
    None
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
