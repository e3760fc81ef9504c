//! Runs of trials as objects of a cluster.
//!
//! Each run has one task ([`tend`]) that looks at what is: its object and its pods, as the watches have them. It reads
//! what the pods print ([`log`]), and says how the run goes. Everything that has to be known for that stands on the
//! object itself, so a controller that comes back finds its runs by looking.

mod again;
mod check;
mod ensure;
mod kinds;
mod log;
mod logs;
mod of_runs;
mod pods;
mod stop;
mod strays;
mod tend;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use controller_core::experiment::ExperimentId;
use controller_core::ports::{Executor, ExecutorError, LogCollector, Store, StoreError};
use controller_core::report::Report;
use controller_core::run::{Run, RunId, RunPhase, RunStatus, STARTING};
use controller_core::spec::ExperimentSpec;
use controller_core::time::Clock;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::BroadcastStream;
use tracing::warn;

use crate::answer::{self, Doing};
use crate::client::Cluster;
use crate::discovery::Discovery;
use crate::inject::Settings;
use crate::job::{self, Reading, run_id};
use crate::names;
use crate::watched::Watched;
use kinds::Kinds;
use of_runs::{OfRuns, in_order};
use tend::Tender;
use warnings::Warnings;

/// Changes that a slow listener may lag behind; beyond that it misses some and asks for the list.
const CHANGES: usize = 1024;
/// Objects of an experiment that are made, or deleted, at once: each is a question to the server.
const AT_ONCE: usize = 16;

/// Runs trials as objects of a cluster.
pub struct KubeExecutor {
    shared: Arc<Shared>,
}

/// What the executor shares with the tasks of its runs.
struct Shared {
    cluster: Cluster,
    discovery: Arc<Discovery>,
    clock: Arc<dyn Clock>,
    collector: Arc<dyn LogCollector>,
    store: Arc<dyn Store>,
    settings: Settings,
    watched: Arc<Watched>,
    pods: OfRuns<Pod>,
    /// Pods of runs that bear no sign of it, as they were seen last.
    strays: Mutex<HashMap<RunId, Vec<Arc<Pod>>>>,
    kinds: Kinds,
    warnings: Warnings,
    bells: Arc<Bells>,
    changes: broadcast::Sender<Arc<RunStatus>>,
    runs: Mutex<BTreeMap<RunId, Entry>>,
    /// Runs whose end is in the store; their objects may be there for a while. A few bytes each.
    forgotten: Mutex<HashSet<RunId>>,
    tasks: Mutex<JoinSet<()>>,
}

struct Entry {
    place: Place,
    retain: bool,
    /// The container of its program.
    container: String,
    phase: watch::Receiver<RunPhase>,
    stop: watch::Sender<Stop>,
}

/// Whether a run was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Not,
    /// Its object is deleted, and its pods are ended with it.
    WithObject,
    /// Its sidecar tells its program first, whose end is no failure and no success then.
    BySidecar,
}

/// Where a run's object is.
#[derive(Clone)]
struct Place {
    objects: Arc<OfRuns<DynamicObject>>,
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
    /// Begins to watch the pods of trials; values in what they print go to `collector`, what their sidecars report is in
    /// `store`.
    pub fn open(
        cluster: Cluster,
        watched: Arc<Watched>,
        collector: Arc<dyn LogCollector>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let bells = Arc::new(Bells::default());
        let pods = OfRuns::watch(&mut tasks, cluster.all_of(), &(), Arc::clone(&bells));
        let (changes, _) = broadcast::channel(CHANGES);
        let discovery = Arc::new(Discovery::new(cluster.clone()));
        let warnings = Warnings::new(cluster.clone());
        let kinds = Kinds::new(Arc::clone(&discovery), Arc::clone(&bells));
        let shared = Shared {
            cluster,
            discovery,
            clock,
            collector,
            store,
            settings,
            watched,
            pods,
            strays: Mutex::default(),
            kinds,
            warnings,
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
    fn tend(self: &Arc<Self>, run: RunId, object: Arc<DynamicObject>, objects: &Arc<OfRuns<DynamicObject>>) {
        let mut runs = lock(&self.runs);
        if runs.contains_key(&run) || lock(&self.forgotten).contains(&run) {
            return;
        }
        let Some(reading) = Reading::read(&object) else {
            warn!(%run, object = object.name_any(), "an object has lost its annotation and cannot be read");
            return;
        };
        let phase = job::status(&object, self.clock.now()).map(|status| status.phase);
        let (say, heard) = watch::channel(first(phase.ok()));
        let (stop, stopped) = watch::channel(Stop::Not);
        let place = Place {
            objects: Arc::clone(objects),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
        };
        let (retain, container) = (reading.retain, reading.container.clone());
        runs.insert(run, Entry { place: place.clone(), retain, container, phase: heard, stop });
        drop(runs);
        let bell = self.bells.of(run);
        let begun = Instant::now();
        let tender = Tender { shared: Arc::clone(self), run, place, reading, say, stopped, bell, begun };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(tender.tend(object));
    }

    /// Tends every run of a kind, of an experiment or of all, that the cluster has and is not forgotten.
    async fn adopt(
        self: &Arc<Self>,
        (version, kind): &(String, String),
        experiment: Option<ExperimentId>,
    ) -> Result<(), ExecutorError> {
        self.pods.ready().await?;
        let objects = match self.kinds.of(version, kind).await {
            Ok(objects) => objects,
            // None can be of a kind that is not there any more.
            Err(ExecutorError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        objects.ready().await?;
        for (run, object) in objects.of_experiment(experiment) {
            if !object.annotations().contains_key(names::RETAINED_ANNOTATION) {
                self.tend(run, object, &objects);
            }
        }
        Ok(())
    }

    /// Tends every run of an experiment.
    async fn adopt_of(self: &Arc<Self>, experiment: ExperimentId) -> Result<(), ExecutorError> {
        let record = self.store.experiment_by_id(experiment).await.map_err(|error| unreadable(&error))?;
        let Some(record) = record else { return Ok(()) };
        self.adopt(&kinds::of_trials(&record.spec), Some(experiment)).await
    }

    /// Has an object deleted that may still run, and what it owns before it. One that is gone, or another by now, is none of
    /// ours.
    async fn delete(&self, place: &Place) -> Result<(), ExecutorError> {
        self.delete_as(place, DeleteParams::foreground()).await
    }

    /// The same of one that is over: what it owns goes after it, which is two writes less for the server.
    async fn clear_away(&self, place: &Place) -> Result<(), ExecutorError> {
        self.delete_as(place, DeleteParams::background()).await
    }

    async fn delete_as(&self, place: &Place, params: DeleteParams) -> Result<(), ExecutorError> {
        let kind = place.objects.kind();
        let only = Preconditions { uid: Some(place.uid.clone()), resource_version: None };
        let params = params.preconditions(only);
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

    /// Pods of a run, oldest first.
    fn pods_of(&self, run: RunId) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.of(run);
        pods.extend(lock(&self.strays).get(&run).into_iter().flatten().cloned());
        pods.sort_by_key(|pod| pods::order(pod));
        pods
    }

    fn phase(&self, run: &RunId) -> Option<watch::Receiver<RunPhase>> {
        lock(&self.runs).get(run).map(|entry| entry.phase.clone())
    }

    fn place(&self, run: &RunId) -> Option<Place> {
        lock(&self.runs).get(run).map(|entry| entry.place.clone())
    }
}

/// What is said where the store does not tell whose runs there may be.
fn unreadable(error: &StoreError) -> ExecutorError {
    ExecutorError::Unavailable(error.to_string())
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
    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn keeps_checkpoints(&self, spec: &ExperimentSpec) -> bool {
        self.shared.settings.store_of(&spec.artifacts.clone().unwrap_or_default()).is_some()
    }

    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError> {
        if lock(&self.shared.runs).contains_key(&run.id) {
            return Ok(());
        }
        ensure::ensure(&self.shared, run).await
    }

    async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), ExecutorError> {
        stop::stop(&self.shared, *run, grace).await
    }

    async fn list(&self, experiment: ExperimentId) -> Result<Vec<RunStatus>, ExecutorError> {
        self.shared.adopt_of(experiment).await?;
        let runs = lock(&self.shared.runs);
        let of_it = in_order(&runs, Some(experiment));
        Ok(of_it.map(|(run, entry)| RunStatus { run: *run, phase: entry.phase.borrow().clone() }).collect())
    }

    async fn owners(&self) -> Result<BTreeSet<ExperimentId>, ExecutorError> {
        let experiments = self.shared.store.experiments().await.map_err(|error| unreadable(&error))?;
        let kinds: BTreeSet<_> =
            experiments.iter().map(|living| kinds::of_trials(&living.record.spec)).collect();
        // One that does not answer holds up no other.
        let adopt = async |kind| {
            if let Err(error) = self.shared.adopt(&kind, None).await {
                warn!(%error, "runs of a kind cannot be looked for");
            }
        };
        join_all(kinds.into_iter().map(adopt)).await;
        Ok(lock(&self.shared.runs).keys().map(|run| run.experiment).collect())
    }

    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError> {
        let Some((place, retain)) =
            lock(&self.shared.runs).get(run).map(|entry| (entry.place.clone(), entry.retain))
        else {
            return Ok(());
        };
        if retain {
            self.shared.retain(&place).await?;
        } else if self.shared.pods_of(*run).iter().all(|pod| pods::has_ended(pod)) {
            self.shared.clear_away(&place).await?;
        } else {
            // The next attempt has the same names and waits until they are free.
            self.shared.delete(&place).await?;
        }
        lock(&self.shared.forgotten).insert(*run);
        lock(&self.shared.runs).remove(run);
        lock(&self.shared.strays).remove(run);
        self.shared.bells.take_down(*run);
        Ok(())
    }

    fn logs(&self, run: &RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes> {
        logs::of_run(&self.shared, *run, from, follow)
    }

    fn watch(&self, experiment: ExperimentId) -> BoxStream<'static, RunStatus> {
        let changes = BroadcastStream::new(self.shared.changes.subscribe());
        // Many listen, and few of them to this one.
        let ours = move |change: Result<Arc<RunStatus>, _>| {
            let ours = change.ok().filter(|status| status.run.experiment == experiment);
            ready(ours.map(Arc::unwrap_or_clone))
        };
        changes.filter_map(ours).boxed()
    }

    async fn check(&self, spec: &ExperimentSpec) -> Report {
        check::check(&self.shared, spec).await
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
