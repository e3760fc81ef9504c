//! Runs of trials as objects of a cluster.
//!
//! Each run has one task ([`tend`]) that looks at what is: its object and its pods, as the watches have them. It reads
//! what the pods print ([`log`]), and says how the run goes. Everything that has to be known for that stands on the
//! object itself, so a controller that comes back finds its runs by looking.

mod ensure;
mod kinds;
mod log;
mod logs;
mod pods;
mod tend;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use controller_core::ports::{Executor, ExecutorError, LogCollector};
use controller_core::report::{Problem, Report};
use controller_core::run::{Run, RunId, RunPhase, RunStatus, STARTING};
use controller_core::spec::ExperimentSpec;
use controller_core::time::Clock;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::BroadcastStream;
use tracing::warn;

use crate::answer::{self, Doing};
use crate::cache::Cache;
use crate::client::Cluster;
use crate::job::{self, Reading, run_id};
use crate::names;
use crate::watched::Watched;
use kinds::Kinds;
use tend::Tender;

/// Changes that a slow listener may lag behind; beyond that it misses some and asks for the list.
const CHANGES: usize = 1024;
/// How much longer than its grace a run may take to be gone: pods have a grace of their own, and nodes are slow at times.
const OVERTIME: Duration = Duration::from_mins(1);

/// Runs trials as objects of a cluster.
pub struct KubeExecutor {
    shared: Arc<Shared>,
}

/// What the executor shares with the tasks of its runs.
struct Shared {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    collector: Arc<dyn LogCollector>,
    watched: Arc<Watched>,
    pods: Cache<Pod>,
    kinds: Kinds,
    bells: Arc<Bells>,
    changes: broadcast::Sender<RunStatus>,
    runs: Mutex<HashMap<RunId, Entry>>,
    /// Runs whose end is in the store; their objects may be there for a while. A few bytes each.
    forgotten: Mutex<HashSet<RunId>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Entry {
    place: Place,
    retain: bool,
    phase: watch::Receiver<RunPhase>,
    stop: watch::Sender<bool>,
}

/// Where a run's object is.
#[derive(Clone)]
struct Place {
    objects: Arc<Cache<DynamicObject>>,
    namespace: String,
    name: String,
    uid: String,
}

/// What wakes the tasks of runs.
#[derive(Default)]
struct Bells(Mutex<HashMap<RunId, Arc<Notify>>>);

impl Bells {
    fn of(&self, run: RunId) -> Arc<Notify> {
        Arc::clone(lock(&self.0).entry(run).or_default())
    }

    /// Something has happened to one of them, or to all.
    fn ring(&self, run: Option<RunId>) {
        let bells = lock(&self.0);
        match run {
            Some(run) => bells.get(&run).into_iter().for_each(|bell| bell.notify_one()),
            None => bells.values().for_each(|bell| bell.notify_one()),
        }
    }

    fn ring_for<K: kube::ResourceExt>(&self, event: &Event<K>) {
        match event {
            Event::Apply(object) | Event::Delete(object) => {
                if let Some(run) = run_id(object) {
                    self.ring(Some(run));
                }
            }
            Event::InitDone => self.ring(None),
            Event::Init | Event::InitApply(_) => {}
        }
    }

    fn take_down(&self, run: RunId) {
        lock(&self.0).remove(&run);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks, so a panic elsewhere is no reason to stop.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KubeExecutor {
    /// Begins to watch the pods of trials; values in what they print go to `collector`.
    pub fn open(
        cluster: Cluster,
        watched: Arc<Watched>,
        collector: Arc<dyn LogCollector>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let bells = Arc::new(Bells::default());
        let heard = Arc::clone(&bells);
        let pods = Cache::watch(&mut tasks, cluster.all_of(), &(), Some(names::TRIAL_LABEL), move |event| {
            heard.ring_for(event);
        });
        let (changes, _) = broadcast::channel(CHANGES);
        let kinds = Kinds::new(cluster.clone(), Arc::clone(&bells));
        let shared = Shared {
            cluster,
            clock,
            collector,
            watched,
            pods,
            kinds,
            bells,
            changes,
            runs: Mutex::default(),
            forgotten: Mutex::default(),
            tasks: Mutex::new(tasks),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// Tends a run whose object is there, unless that is done already.
    fn tend(self: &Arc<Self>, run: RunId, object: &DynamicObject, objects: &Arc<Cache<DynamicObject>>) {
        let mut runs = lock(&self.runs);
        if runs.contains_key(&run) || lock(&self.forgotten).contains(&run) {
            return;
        }
        let Some(reading) = Reading::read(object) else {
            warn!(%run, object = object.name_any(), "an object has lost its annotation and cannot be read");
            return;
        };
        let phase = job::status(object, self.clock.now()).map(|status| status.phase);
        let (say, heard) = watch::channel(first(phase.ok()));
        let (stop, stopped) = watch::channel(false);
        let place = Place {
            objects: Arc::clone(objects),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        };
        runs.insert(run, Entry { place: place.clone(), retain: reading.retain, phase: heard, stop });
        drop(runs);
        let bell = self.bells.of(run);
        let tender = Tender { shared: Arc::clone(self), run, place, reading, say, stopped, bell };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(tender.tend());
    }

    /// Tends every run that the cluster has and that is not forgotten.
    async fn adopt_all(self: &Arc<Self>) -> Result<(), ExecutorError> {
        self.watched.trials.ready().await?;
        self.pods.ready().await?;
        for (version, kind) in kinds::of_trials(&self.watched.trials.all()) {
            let objects = match self.kinds.of(&version, &kind).await {
                Ok(objects) => objects,
                // None can be of a kind that is not there any more.
                Err(ExecutorError::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            objects.ready().await?;
            for object in objects.all() {
                let kept = object.annotations().contains_key(names::RETAINED_ANNOTATION);
                if let Some(run) = run_id(&*object).filter(|_| !kept) {
                    self.tend(run, &object, &objects);
                }
            }
        }
        Ok(())
    }

    /// Has an object deleted, and what it owns before it. One that is gone, or another by now, is none of ours.
    async fn delete(&self, place: &Place) -> Result<(), ExecutorError> {
        let kind = place.objects.kind();
        let only = Preconditions { uid: Some(place.uid.clone()), resource_version: None };
        let params = DeleteParams::foreground().preconditions(only);
        let api = self.cluster.api(kind, &place.namespace);
        match answer::within(api.delete(&place.name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if answer::is_not_found(&error) || answer::is_conflict(&error) => Ok(()),
            Err(error) => {
                let doing = Doing { verb: "delete", group: &kind.group, plural: &kind.plural };
                Err(ExecutorError::Unavailable(answer::message(&error, &doing)))
            }
        }
    }

    /// Marks an object that stays as one whose run is over.
    async fn retain(&self, place: &Place) -> Result<(), ExecutorError> {
        let kind = place.objects.kind();
        let mark =
            json!({"metadata": {"uid": place.uid, "annotations": {names::RETAINED_ANNOTATION: "true"}}});
        let api = self.cluster.api(kind, &place.namespace);
        let (params, patch) = (PatchParams::default(), Patch::Merge(mark));
        match answer::within(api.patch(&place.name, &params, &patch)).await {
            Ok(_) => Ok(()),
            Err(error) if answer::is_not_found(&error) || answer::is_conflict(&error) => Ok(()),
            Err(error) => {
                let doing = Doing { verb: "patch", group: &kind.group, plural: &kind.plural };
                Err(ExecutorError::Unavailable(answer::message(&error, &doing)))
            }
        }
    }

    fn phase(&self, run: &RunId) -> Option<watch::Receiver<RunPhase>> {
        lock(&self.runs).get(run).map(|entry| entry.phase.clone())
    }

    fn place(&self, run: &RunId) -> Option<Place> {
        lock(&self.runs).get(run).map(|entry| entry.place.clone())
    }
}

/// What is said of a run before its pods are looked at. Its end is said once its metrics are safe.
fn first(phase: Option<RunPhase>) -> RunPhase {
    match phase {
        Some(RunPhase::Running { .. } | RunPhase::Ended(_)) | None => {
            RunPhase::Waiting { reason: STARTING.into() }
        }
        Some(waiting) => waiting,
    }
}

#[async_trait]
impl Executor for KubeExecutor {
    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError> {
        if lock(&self.shared.runs).contains_key(&run.id) {
            return Ok(());
        }
        ensure::ensure(&self.shared, run).await
    }

    async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), ExecutorError> {
        if self.shared.phase(run).is_none() {
            self.shared.adopt_all().await?;
        }
        let (Some(mut phase), Some(place)) = (self.shared.phase(run), self.shared.place(run)) else {
            return Ok(());
        };
        if let Some(entry) = lock(&self.shared.runs).get(run) {
            entry.stop.send_replace(true);
        }
        if !matches!(*phase.borrow(), RunPhase::Ended(_)) {
            self.shared.delete(&place).await?;
        }
        let ended = phase.wait_for(|phase| matches!(phase, RunPhase::Ended(_)));
        match tokio::time::timeout(grace + OVERTIME, ended).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ExecutorError::Unavailable(format!(
                "{} is still there after it was deleted",
                place.describe()
            ))),
        }
    }

    async fn list(&self) -> Result<Vec<RunStatus>, ExecutorError> {
        self.shared.adopt_all().await?;
        let runs = lock(&self.shared.runs);
        let mut all: Vec<_> = runs
            .iter()
            .map(|(run, entry)| RunStatus { run: *run, phase: entry.phase.borrow().clone() })
            .collect();
        all.sort_unstable_by_key(|status| status.run);
        Ok(all)
    }

    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError> {
        let Some((place, retain)) =
            lock(&self.shared.runs).get(run).map(|entry| (entry.place.clone(), entry.retain))
        else {
            return Ok(());
        };
        if retain {
            self.shared.retain(&place).await?;
        } else {
            self.shared.delete(&place).await?;
        }
        lock(&self.shared.forgotten).insert(*run);
        lock(&self.shared.runs).remove(run);
        self.shared.bells.take_down(*run);
        Ok(())
    }

    fn logs(&self, run: &RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes> {
        logs::of_run(&self.shared, *run, from, follow)
    }

    fn watch(&self) -> BoxStream<'static, RunStatus> {
        let changes = BroadcastStream::new(self.shared.changes.subscribe());
        changes.filter_map(|change| async move { change.ok() }).boxed()
    }

    async fn check(&self, spec: &ExperimentSpec) -> Report {
        let mut report = Report::default();
        let collector = spec.collector();
        if !matches!(collector.kind(), "StdOut" | "Push") {
            let problem = Problem::new(
                "spec.metricsCollectorSpec.collector.kind",
                format!("`{}` needs a sidecar, which is not built yet", collector.kind()),
            );
            report.error(problem.hint("print the metrics and use StdOut, or report them with Push"));
        }
        let template = spec.trial_template.clone().unwrap_or_default();
        let word = |word: &str| {
            template
                .trial_spec
                .as_ref()
                .and_then(|object| object[word].as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let (version, kind) = kinds::as_made(&word("apiVersion"), &word("kind"));
        if let Err(ExecutorError::Refused(message)) = self.shared.kinds.of(&version, &kind).await {
            report.error(Problem::new("spec.trialTemplate.trialSpec.kind", message));
        }
        report
    }

    fn place(&self, run: &RunId) -> Option<String> {
        self.shared.place(run).map(|place| place.describe())
    }
}

impl Place {
    /// As `kubectl` takes it.
    fn describe(&self) -> String {
        let kind = self.objects.kind();
        let dot = if kind.group.is_empty() { "" } else { "." };
        format!("{}{dot}{}/{} in {}", kind.plural, kind.group, self.name, self.namespace)
    }
}
