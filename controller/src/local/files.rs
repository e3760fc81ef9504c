//! The folder of a run and the files in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::artifacts::{CHECKPOINT, MODEL, REPORTED, manifest_of};
use controller_core::process;
use controller_core::run::{Exit, Run};
use controller_core::spec::MetricsCollectorSpec;
use controller_core::time::Timestamp;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use study::Rule;

use super::identity::Identity;
use super::launch::Launch;

/// Where the end of a run is written before it gets its name.
const EXIT_TEMPORARY: &str = "exit.json.tmp";
/// Bytes kept for it; the text has a few hundred.
const ROOM: usize = 4096;

/// The folder of one attempt of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunFolder(PathBuf);

/// `run.json`: what is to be run, and how. Its file lock is held by the supervisor as long as that lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunFile {
    /// For the supervisor.
    pub(super) launch: Launch,
    /// For a controller that comes back.
    pub(super) run: Run,
}

/// What of `run.json` the supervisor reads.
#[derive(Debug, Deserialize)]
pub(super) struct LaunchFile {
    pub(super) launch: Launch,
}

/// `waiting.json`: the run's supervisor waits for slots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WaitingFile {
    pub(super) supervisor: Identity,
    pub(super) reason: String,
}

/// `started.json`: the process runs, or has run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StartedFile {
    pub(super) supervisor: Identity,
    /// The primary process, also its process group.
    pub(super) child: Identity,
    pub(super) started: Timestamp,
    pub(super) slots: Vec<String>,
}

/// `stop.json`: the run is to be stopped. Written before the supervisor is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StopFile {
    pub(super) grace_ms: u64,
    /// The rule that wants it, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<Rule>,
}

impl StopFile {
    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// `exit.json`: how the run ended. It exists exactly once no process of the run is left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExitFile {
    pub(super) exit: Exit,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Timestamp,
    #[serde(default)]
    pub(super) slots: Vec<String>,
    /// Processes that were still there when the primary one had ended, and were killed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leaked: Vec<String>,
}

impl RunFolder {
    /// The folder at this path, which need not exist.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Everything the run has printed, standard output and standard error.
    pub(crate) fn output(&self) -> PathBuf {
        self.0.join("output.log")
    }

    /// Files and folders of metrics that the run writes.
    pub(crate) fn metrics(&self) -> PathBuf {
        self.0.join("metrics")
    }

    /// Where this run writes what collectors of all trials would find at one shared path on a cluster.
    pub(crate) fn metrics_path(&self, collector: &MetricsCollectorSpec) -> PathBuf {
        let shared = process::shared_path(collector).map(Path::new);
        let source = collector.source.as_ref().and_then(|source| source.file_system_path.as_ref());
        let is_folder =
            collector.kind() == "TensorFlowEvent" || source.is_some_and(|path| path.kind == "Directory");
        match shared.and_then(Path::file_name) {
            Some(name) if !is_folder => self.metrics().join(name),
            _ => self.metrics(),
        }
    }

    /// The port that this run serves its metrics on, if one was picked for it.
    pub(crate) fn metrics_port(&self) -> Option<u16> {
        self.launch().ok()?.env.iter().find(|(name, _)| name == "CAIRN_METRICS_PORT")?.1.parse().ok()
    }

    /// `CAIRN_MODEL_DIR`.
    pub(crate) fn model(&self) -> PathBuf {
        self.0.join(MODEL)
    }

    /// The manifest of a sealed model.
    pub(super) fn model_manifest(&self) -> PathBuf {
        self.0.join(manifest_of(MODEL))
    }

    /// `CAIRN_CHECKPOINT_DIR`, which all attempts of a trial share.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.0.parent().unwrap_or(&self.0).join(CHECKPOINT)
    }

    /// The checkpoint that this run has left, once it is sealed or about to be.
    pub(super) fn kept_checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// Its manifest.
    pub(super) fn checkpoint_manifest(&self) -> PathBuf {
        self.0.join("checkpoint.json")
    }

    /// What the run says of models that it stores itself.
    pub(super) fn artifacts(&self) -> PathBuf {
        self.0.join(REPORTED)
    }

    pub(super) fn command_script(&self) -> PathBuf {
        self.0.join("command.sh")
    }

    pub(super) fn run_path(&self) -> PathBuf {
        self.0.join("run.json")
    }

    pub(super) fn has_exit(&self) -> bool {
        self.0.join("exit.json").exists()
    }

    pub(super) fn has_started(&self) -> bool {
        self.0.join("started.json").exists()
    }

    pub(super) fn run(&self) -> io::Result<RunFile> {
        parse(&fs::read(self.run_path())?)
    }

    pub(super) fn launch(&self) -> io::Result<Launch> {
        parse(&fs::read(self.run_path())?).map(|file: LaunchFile| file.launch)
    }

    pub(super) fn waiting(&self) -> Option<WaitingFile> {
        self.read("waiting.json")
    }

    pub(super) fn started(&self) -> Option<StartedFile> {
        self.read("started.json")
    }

    pub(super) fn stop(&self) -> Option<StopFile> {
        self.read("stop.json")
    }

    pub(super) fn exit(&self) -> Option<ExitFile> {
        self.read("exit.json")
    }

    pub(super) fn write_run(&self, file: &RunFile) -> io::Result<()> {
        self.write("run.json", file)
    }

    pub(super) fn write_waiting(&self, file: &WaitingFile) -> io::Result<()> {
        self.write("waiting.json", file)
    }

    pub(super) fn write_started(&self, file: &StartedFile) -> io::Result<()> {
        self.write("started.json", file)
    }

    pub(super) fn write_stop(&self, file: &StopFile) -> io::Result<()> {
        self.write("stop.json", file)
    }

    /// Keeps room on the disk for the end of the run, which must not be lost where that is full meanwhile.
    pub(super) fn keep_room(&self) -> io::Result<()> {
        write_new(&self.0.join(EXIT_TEMPORARY), &[b' '; ROOM], 0o644)
    }

    /// Writes how the run ended, over the room that was kept for it.
    pub(super) fn write_exit(&self, file: &ExitFile) -> io::Result<()> {
        let text = serde_json::to_vec(file).map_err(io::Error::other)?;
        let temporary = self.0.join(EXIT_TEMPORARY);
        let mut options = OpenOptions::new();
        let mut room = options.write(true).create(true).truncate(false).mode(0o644).open(&temporary)?;
        room.write_all(&text)?;
        room.set_len(text.len() as u64)?;
        fs::rename(&temporary, self.0.join("exit.json"))
    }

    /// The lock that says that a supervisor lives; `None` if one does.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        let file = File::open(self.run_path())?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a supervisor of this run lives.
    pub(super) fn is_supervised(&self) -> bool {
        is_held(&self.run_path())
    }

    /// The lock of the controller that has asked for this run; `None` if another one holds it.
    pub(super) fn claim(&self) -> Option<File> {
        let file = File::open(self.command_script()).ok()?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
    }

    /// Whether a living controller has asked for this run.
    pub(super) fn is_claimed(&self) -> bool {
        is_held(&self.command_script())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        parse(&fs::read(self.0.join(name)).ok()?).ok()
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let mut text = serde_json::to_vec(value).map_err(io::Error::other)?;
        text.push(b'\n');
        let temporary = self.0.join(format!("{name}.tmp"));
        write_new(&temporary, &text, 0o644)?;
        fs::rename(&temporary, self.0.join(name))
    }
}

fn is_held(path: &Path) -> bool {
    // Shared, so that those who only look do not see each other.
    File::open(path).is_ok_and(|file| {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    })
}

/// Writes a file with this mode, in place of any other.
pub(super) fn write_new(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    options.open(path)?.write_all(text)
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    serde_json::from_slice(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The time now. Supervisors have no clock handed to them.
#[expect(clippy::disallowed_methods, reason = "the edge where local runs read the clock")]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
