//! A folder in which `cairn` is run as a user would.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{PATIENCE, until};

/// The binary under test: `CAIRN_BIN`, or the one of this build, brought up to date first.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Some(given) = std::env::var_os("CAIRN_BIN") {
            return PathBuf::from(given);
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(crate::workspace());
        // With the tests, where those run, so that what they were built with serves here too.
        cargo.arg(if crate::target().ends_with("release") { "--release" } else { "--tests" });
        assert!(cargo.status().expect("cargo is there").success(), "the binary cannot be built");
        crate::target().join("cairn")
    };
    BINARY.get_or_init(build).clone()
}

/// An empty folder, and the commands that are run in it.
#[derive(Debug)]
pub struct Cairn {
    folder: TempDir,
    env: Vec<(String, String)>,
    path: Vec<PathBuf>,
}

/// What a command has said, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// This, if it has ended well.
    ///
    /// # Panics
    /// With everything that was said, if it has not.
    #[expect(clippy::return_self_not_must_use, reason = "often only the check is wanted")]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Its standard output as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code: {:?}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Default for Cairn {
    fn default() -> Self {
        Self::new()
    }
}

impl Cairn {
    /// An empty folder that goes away with this.
    ///
    /// # Panics
    /// If none can be made.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cairn-story-").tempdir().expect("a temporary folder");
        Self { folder, env: Vec::new(), path: Vec::new() }
    }

    /// The same with a variable for every command.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same with this interpreter's folder on the path of every command, so that `python3` is this one.
    #[must_use]
    pub fn with_python(mut self, python: &Path) -> Self {
        self.path.extend(python.parent().map(Path::to_path_buf));
        self
    }

    /// Copies an example into the folder, since a run leaves its records beside what it runs; its Experiment's name.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn example(&self, name: &str) -> String {
        let from = crate::workspace().join("tests/examples").join(name);
        for entry in std::fs::read_dir(&from).expect("there is such an example").flatten() {
            let path = entry.path();
            if path.is_file() {
                let file = format!("{name}/{}", entry.file_name().display());
                self.write(&file, std::fs::read(path).expect("a file"));
            }
        }
        format!("{name}/experiment.yaml")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Reads a file of the folder; `None` if there is none yet.
    pub fn read(&self, name: impl AsRef<Path>) -> Option<String> {
        std::fs::read(self.at(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A command of `cairn`, not yet started. Programs of the examples are on its path.
    ///
    /// # Panics
    /// If a folder of the path cannot be on a path.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(binary());
        command.args(args);
        command
    }

    /// Any program in the folder, not yet started, with `cairn` and the programs of the examples on its path.
    ///
    /// # Panics
    /// If a folder of the path cannot be on a path.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let binary = binary();
        let users = std::env::var_os("PATH").unwrap_or_default();
        let folders = binary.parent().map(Path::to_path_buf).into_iter().chain(self.path.clone());
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&users)));
        let mut command = Command::new(program);
        command.current_dir(self.path()).stdin(Stdio::null()).env("PATH", path.expect("no colons"));
        for name in
            ["CAIRN_SERVER", "CAIRN_STORE", "CAIRN_DIR", "CAIRN_TOKEN_FILE", "CAIRN_ROUTER", "CAIRN_LOG"]
        {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it does not end within twice [`PATIENCE`].
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.start(args).end()
    }

    /// Starts a command, such as a server.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Starts `cairn serve` on a free port, and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    pub fn serve(&self, args: &[&str]) -> (Running, String) {
        let server = self.start(["serve", "--listen", "127.0.0.1:0"].iter().chain(args));
        let url = server.said("serving on ");
        (server, url)
    }

    /// What `cairn get NAME` says, as JSON.
    ///
    /// # Panics
    /// If there is no such experiment.
    pub fn get(&self, name: &str) -> Value {
        self.run(["get", name, "-o", "json"]).ok().json()
    }

    /// All trials of an experiment, by number.
    ///
    /// # Panics
    /// If there is no such experiment.
    pub fn trials(&self, name: &str) -> Vec<Value> {
        let trials = self.run(["trials", name, "-o", "json", "--limit", "0"]).ok().json();
        trials.get("items").unwrap_or(&trials).as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Cairn {
    /// Trials outlive their controller; those that a story leaves behind end with its folder.
    fn drop(&mut self) {
        let folder = self.path().as_os_str().as_encoded_bytes();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_ours = environ.split(|byte| *byte == 0).any(|variable| {
                variable.strip_prefix(b"CAIRN_TRIAL_DIR=").is_some_and(|path| path.starts_with(folder))
            });
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw).filter(|_| is_ours) {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
    }
}

/// A command that runs. It is killed when this goes away.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: TempDir,
}

impl Running {
    /// Starts a command; what it says goes to files, so that nobody has to listen.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let out = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str| std::fs::File::create(out.path().join(name)).expect("a file");
        command.stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, out }
    }

    /// What it has said so far on standard error.
    pub fn stderr(&self) -> String {
        self.file("stderr")
    }

    /// What it has said so far on standard output.
    pub fn stdout(&self) -> String {
        self.file("stdout")
    }

    fn file(&self, name: &str) -> String {
        let bytes = std::fs::read(self.out.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it says something on standard error; the rest of that line.
    ///
    /// # Panics
    /// If it ends before, or never says it.
    pub fn said(&self, what: &str) -> String {
        until(&format!("it says `{what}`"), || {
            let text = self.stderr();
            let (_, rest) = text.split_once(what)?;
            rest.split_once('\n').map(|(line, _)| line.to_owned())
        })
    }

    /// Its number.
    ///
    /// # Panics
    /// Never: numbers of processes are small.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).expect("a small number"))
            .expect("not 0")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).ok();
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within twice [`PATIENCE`].
    pub fn end(self) -> Output {
        self.end_within(2 * PATIENCE)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within this time.
    pub fn end_within(mut self, patience: Duration) -> Output {
        let begun = Instant::now();
        let status = loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                break status;
            }
            if begun.elapsed() > patience {
                let mut said = String::new();
                write!(said, "{}\n{}", self.stdout(), self.stderr()).ok();
                panic!("it does not end: {said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Output { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
