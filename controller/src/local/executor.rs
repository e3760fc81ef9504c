//! The executor: keeps the runs, finds those of an earlier controller, passes on what is asked of them.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use controller_core::experiment::ExperimentId;
use controller_core::ports::{Executor, ExecutorError};
use controller_core::process;
use controller_core::report::{Problem, Report};
use controller_core::run::{Run, RunId, RunPhase, RunStatus, STARTING};
use controller_core::spec::ExperimentSpec;
use controller_core::validate;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{OnceCell, broadcast, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;

use super::capacity::Capacity;
use super::checkpoints;
use super::collect::Collect;
use super::files::{RunFolder, StopFile};
use super::pool::Supervisors;
use super::prepare;
use super::watcher::Watcher;

/// Changes that a slow listener may lag behind; beyond that it misses some and asks for the list.
const CHANGES: usize = 1024;
/// How much longer than its grace a supervisor may take before it is killed itself, and its processes with it.
pub(super) const OVERTIME: Duration = Duration::from_secs(5);

/// Where and how runs are kept.
#[derive(Clone, Debug)]
pub(crate) struct LocalConfig {
    /// The folder that holds everything, such as `.cairn`.
    pub(crate) root: PathBuf,
    /// Program and first arguments of a supervisor; `--supervise -` follows.
    pub(crate) supervisor: Vec<OsString>,
    /// Address that runs find in `CAIRN_SERVER`.
    pub(crate) server: Option<String>,
    /// The pool of slots; by default the one of this user.
    pub(crate) slots: Option<PathBuf>,
    /// How long a run has to end by itself after its time-out or by a rule.
    pub(crate) grace: Duration,
}

impl LocalConfig {
    /// The defaults: this program is the supervisor.
    pub(crate) fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let supervisor = vec![std::env::current_exe()?.into()];
        Ok(Self { root: root.into(), supervisor, server: None, slots: None, grace: Duration::from_secs(10) })
    }
}

/// Runs trials as processes of this machine.
pub(crate) struct LocalExecutor {
    shared: Arc<Shared>,
    watchers: Mutex<JoinSet<()>>,
}

/// What the executor shares with the watchers of its runs.
pub(super) struct Shared {
    pub(super) config: LocalConfig,
    pub(super) collect: Arc<dyn Collect>,
    pub(super) changes: broadcast::Sender<RunStatus>,
    pub(super) supervisors: Supervisors,
    capacity: OnceCell<Capacity>,
    runs: Mutex<HashMap<RunId, Entry>>,
}

struct Entry {
    folder: RunFolder,
    phase: watch::Receiver<RunPhase>,
    orders: watch::Sender<Option<StopFile>>,
    /// Says to other controllers that this one has asked for the run.
    claim: Option<fs::File>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere is no reason to stop.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalExecutor {
    /// Opens the folder; runs of an earlier controller are looked for by the first `list`. Fails if the folder cannot
    /// be used.
    pub(crate) fn open(mut config: LocalConfig, collect: Arc<dyn Collect>) -> io::Result<Self> {
        for name in ["trials", "active", "past"] {
            fs::create_dir_all(config.root.join(name))?;
        }
        config.root = config.root.canonicalize()?;
        if config.root.to_str().is_none() {
            let text = format!("{} is no UTF-8, and runs get it as text", config.root.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (changes, _) = broadcast::channel(CHANGES);
        let shared = Shared {
            config,
            collect,
            changes,
            supervisors: Supervisors::default(),
            capacity: OnceCell::new(),
            runs: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), watchers: Mutex::default() })
    }

    /// As `open`, on a machine that has this.
    #[cfg(test)]
    pub(super) fn with_capacity(
        config: LocalConfig,
        collect: Arc<dyn Collect>,
        all: Capacity,
    ) -> io::Result<Self> {
        let executor = Self::open(config, collect)?;
        executor.shared.capacity.set(all).map_err(io::Error::other)?;
        Ok(executor)
    }

    /// What this machine has; the first call looks, which may take seconds where `nvidia-smi` does.
    pub(crate) async fn capacity(&self) -> Capacity {
        let discover = || async { tokio::task::spawn_blocking(Capacity::discover).await.unwrap_or_default() };
        self.shared.capacity.get_or_init(discover).await.clone()
    }

    /// The folder of a run, also of a forgotten one; `None` if there was no such run.
    pub(crate) fn folder(&self, run: &RunId) -> Option<RunFolder> {
        if let Some(entry) = lock(&self.shared.runs).get(run) {
            return Some(entry.folder.clone());
        }
        let target =
            ["active", "past"].into_iter().find_map(|kind| fs::read_link(self.link(kind, run)).ok())?;
        Some(RunFolder::new(self.shared.config.root.join(target)))
    }

    fn root(&self) -> &Path {
        &self.shared.config.root
    }

    fn link(&self, kind: &str, run: &RunId) -> PathBuf {
        self.root().join(kind).join(format!("{}.{}.{}", run.experiment.0, run.trial.0, run.attempt))
    }

    /// Watches every run that has begun, is not forgotten, and is not asked for by another living controller.
    fn adopt_all(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root().join("active"))? {
            let entry = entry?;
            let Some(id) = entry.file_name().to_str().and_then(parse_id) else {
                continue;
            };
            found.push(id);
            if lock(&self.shared.runs).contains_key(&id) {
                continue;
            }
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            let folder = RunFolder::new(self.root().join(target));
            let begun = folder.has_exit() || folder.has_started() || folder.is_supervised();
            if begun
                && !folder.is_claimed()
                && let Ok(file) = folder.run()
                && file.run.id == id
            {
                self.watch_over(file.run, folder, false, None);
            }
        }
        // What another controller has forgotten is none of ours any more.
        lock(&self.shared.runs).retain(|id, entry| entry.claim.is_some() || found.contains(id));
        Ok(())
    }

    fn watch_over(&self, run: Run, folder: RunFolder, begin: bool, claim: Option<fs::File>) {
        let mut runs = lock(&self.shared.runs);
        if runs.contains_key(&run.id) {
            return;
        }
        let (say, phase) = watch::channel(RunPhase::Waiting { reason: STARTING.into() });
        let (orders, ordered) = watch::channel(None);
        runs.insert(run.id, Entry { folder: folder.clone(), phase, orders, claim });
        drop(runs);
        let watcher = Watcher { shared: Arc::clone(&self.shared), run, folder, say, orders: ordered, begin };
        let mut watchers = lock(&self.watchers);
        while watchers.try_join_next().is_some() {}
        watchers.spawn(watcher.watch());
    }

    /// Makes sure that the folder of a new run is there, and says how it is started.
    async fn prepare(&self, run: &Run, folder: &RunFolder) -> Result<(), ExecutorError> {
        let process = prepare::process(run, folder)?;
        let wants = prepare::wants(&process);
        let capacity = if wants.is_nothing() { None } else { Some(self.capacity().await) };
        if let Some(refusal) = capacity.as_ref().and_then(|capacity| capacity.refusal(&wants)) {
            return Err(ExecutorError::Refused(format!("trial {}: {refusal}", run.trial)));
        }
        let launch =
            prepare::launch(run, folder, process, &self.shared.config, capacity.map(|all| (wants, all)));
        let unavailable = |error: io::Error| {
            ExecutorError::Unavailable(format!("cannot prepare {}: {error}", folder.path().display()))
        };
        prepare::folders(run, folder).map_err(unavailable)?;
        if let Some(checkpoint) = run.start_from.clone() {
            let from = self.folder(&checkpoint.run).ok_or_else(|| checkpoints::gone(&checkpoint))?;
            let to = folder.clone();
            let fetched =
                tokio::task::spawn_blocking(move || checkpoints::fetch(&checkpoint, &from, &to)).await;
            fetched.map_err(|error| unavailable(io::Error::other(error)))??;
        }
        prepare::files(run, folder, launch).map_err(unavailable)?;
        self.enter(&run.id, folder).map_err(unavailable)
    }

    /// Enters the run among those that are not forgotten.
    fn enter(&self, run: &RunId, folder: &RunFolder) -> io::Result<()> {
        let target = folder.path().strip_prefix(self.root()).map_err(io::Error::other)?;
        match std::os::unix::fs::symlink(target, self.link("active", run)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// What trials want of this machine that it does not have.
    async fn too_much(&self, spec: &ExperimentSpec) -> Option<Problem> {
        let template = spec.trial_template.as_ref()?;
        let manifest = template.trial_spec.as_ref()?;
        let container = &template.primary_container_name;
        let process = process::of_manifest(manifest, container, &spec.collector(), "own").ok()?;
        let wants = prepare::wants(&process);
        if wants.is_nothing() {
            return None;
        }
        let refusal = self.capacity().await.refusal(&wants)?;
        Some(Problem::new("spec.trialTemplate.trialSpec", refusal))
    }

    fn cannot_look(&self, error: &io::Error) -> ExecutorError {
        ExecutorError::Unavailable(format!("cannot look for runs in {}: {error}", self.root().display()))
    }

    fn phase(&self, run: &RunId) -> Option<watch::Receiver<RunPhase>> {
        lock(&self.shared.runs).get(run).map(|entry| entry.phase.clone())
    }
}

fn parse_id(name: &str) -> Option<RunId> {
    let mut parts = name.split('.');
    let (experiment, trial) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let attempt = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(RunId {
        experiment: ExperimentId(experiment),
        trial: study::TrialIdx(trial),
        attempt,
    })
}

#[async_trait]
impl Executor for LocalExecutor {
    fn keeps_checkpoints(&self, _: &ExperimentSpec) -> bool {
        true
    }

    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError> {
        if lock(&self.shared.runs).contains_key(&run.id) {
            return Ok(());
        }
        let folder = prepare::folder_of(self.root(), run)?;
        let begun = folder.has_exit() || folder.has_started() || folder.is_supervised();
        if begun {
            if !folder.run().is_ok_and(|file| file.run.id == run.id) {
                let path = folder.path().display();
                return Err(ExecutorError::Refused(format!("{path} holds another run; move it away")));
            }
            self.enter(&run.id, &folder).map_err(|error| ExecutorError::Unavailable(error.to_string()))?;
        } else {
            self.prepare(run, &folder).await?;
        }
        let claim = folder.claim();
        self.watch_over(run.clone(), folder, !begun, claim);
        Ok(())
    }

    async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), ExecutorError> {
        let stop = StopFile { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), rule: None };
        if self.phase(run).is_none() {
            // It may be a run of an earlier controller that nobody has asked for yet.
            self.adopt_all().map_err(|error| self.cannot_look(&error))?;
        }
        let Some(mut phase) = self.phase(run) else {
            return match fs::read_link(self.link("active", run)) {
                Ok(_) => {
                    Err(ExecutorError::Unavailable(format!("run {run} is in another controller's hands")))
                }
                Err(_) => Ok(()),
            };
        };
        if let Some(entry) = lock(&self.shared.runs).get(run) {
            entry.orders.send_replace(Some(stop));
        }
        let ended = phase.wait_for(|phase| matches!(phase, RunPhase::Ended(_)));
        match tokio::time::timeout(grace + 2 * OVERTIME, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ExecutorError::Unavailable(format!(
                "run {run} has not ended {grace:?} after it was told to"
            ))),
        }
    }

    async fn list(&self, experiment: ExperimentId) -> Result<Vec<RunStatus>, ExecutorError> {
        self.adopt_all().map_err(|error| self.cannot_look(&error))?;
        let runs = lock(&self.shared.runs);
        let mut all: Vec<_> = runs
            .iter()
            .filter(|(run, _)| run.experiment == experiment)
            .map(|(run, entry)| RunStatus { run: *run, phase: entry.phase.borrow().clone() })
            .collect();
        all.sort_unstable_by_key(|status| status.run);
        Ok(all)
    }

    async fn owners(&self) -> Result<BTreeSet<ExperimentId>, ExecutorError> {
        self.adopt_all().map_err(|error| self.cannot_look(&error))?;
        Ok(lock(&self.shared.runs).keys().map(|run| run.experiment).collect())
    }

    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError> {
        match fs::rename(self.link("active", run), self.link("past", run)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ExecutorError::Unavailable(format!("cannot forget run {run}: {error}")));
            }
            _ => {}
        }
        lock(&self.shared.runs).remove(run);
        Ok(())
    }

    async fn forget_checkpoint(&self, run: &RunId) -> Result<(), ExecutorError> {
        let Some(folder) = self.folder(run) else { return Ok(()) };
        let removed = tokio::task::spawn_blocking(move || checkpoints::remove(&folder)).await;
        removed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            ExecutorError::Unavailable(format!("the checkpoint of run {run} cannot be removed: {error}"))
        })
    }

    fn logs(&self, run: &RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes> {
        let phase = if follow { self.phase(run) } else { None };
        match self.folder(run) {
            Some(folder) => super::logs::tail(folder.output(), from, phase),
            None => futures::stream::empty().boxed(),
        }
    }

    fn watch(&self, experiment: ExperimentId) -> BoxStream<'static, RunStatus> {
        let changes = BroadcastStream::new(self.shared.changes.subscribe());
        let ours = move |change: Result<RunStatus, _>| {
            ready(change.ok().filter(|status| status.run.experiment == experiment))
        };
        changes.filter_map(ours).boxed()
    }

    async fn check(&self, spec: &ExperimentSpec) -> Report {
        let mut report = Report { errors: process::local_problems(spec), ..Report::default() };
        report.errors.extend(validate::local_artifact_problems(spec));
        if report.is_valid() {
            report.errors.extend(self.too_much(spec).await);
        }
        if let Some(image) = process::unused_image(spec).filter(|_| report.is_valid()) {
            report.notes.push(format!("trials are processes of this machine: image `{image}` is not pulled"));
        }
        report
    }

    fn place(&self, run: &RunId) -> Option<String> {
        self.folder(run).map(|folder| folder.path().display().to_string())
    }
}
