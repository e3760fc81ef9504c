//! Between the custom resources and the store: experiments are taken in and wishes written down; what becomes of them is
//! shown. Each pass looks at what is; that something has changed only says where to look.

mod algorithm;
mod intake;
mod show;
mod tell;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Hold, Living};
use controller_core::histogram::Histogram;
use controller_core::ports::{Door, Store, StoreError, Wish};
use controller_core::report::Problem;
use controller_core::time::Clock;
use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{Instrument as _, info, info_span, warn};

use crate::client::Cluster;
use crate::katib_config::KatibConfigs;
use crate::resources::Kind;
use crate::watched::{Changed, Since, Watched};
use crate::wishes::{self, Identity};
use show::Shown;
use tell::Teller;

/// How often the store is looked at, which others write.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long further changes are waited for after one.
const FLOCK: Duration = Duration::from_millis(20);
/// How long after a failure it is tried again.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The same of one experiment, doubled with each failure that follows, up to the most.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(5);

/// Experiments that are looked at at once.
const EXPERIMENTS: usize = 8;
/// Objects of an experiment that are written at once.
const OBJECTS: usize = 8;

/// Why a resource could not be brought up to date; it is tried again.
#[derive(Debug, Error)]
enum ReconcileError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Cluster(String),
}

/// What is remembered of experiments, several of which are looked at at once.
struct Table<K, V>(Mutex<BTreeMap<K, V>>);

impl<K: Ord, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V> Table<K, V> {
    /// Held for a moment alone, never while waiting.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a pass looks at.
struct All<'a> {
    living: &'a [Arc<Living>],
    by_uid: &'a BTreeMap<&'a str, &'a Living>,
    /// Uids of the Experiments that are there.
    listed: &'a BTreeSet<String>,
    since: &'a Since,
}

impl All<'_> {
    /// What an Experiment is to the store.
    fn identity(&self, resource: &DynamicObject, cluster: &str) -> Identity {
        wishes::identity(resource, cluster, self.living.iter().map(|living| &living.record), self.listed)
    }
}

/// Brings resources and store together.
pub struct Reconciler {
    cluster: Cluster,
    watched: Arc<Watched>,
    store: Arc<dyn Store>,
    door: Arc<dyn Door>,
    clock: Arc<dyn Clock>,
    /// Rings for drivers when there are wishes.
    wake: Arc<Notify>,
    /// What of each is shown already.
    shown: Table<ExperimentId, Arc<Shown>>,
    /// Experiments that were not taken in, by uid: their version, and whether it is worth looking at it again.
    waiting: Table<String, intake::Waiting>,
    /// What was last said of an experiment (by uid and reason) that is not as it should be, so that it is said once.
    said: Table<(String, &'static str), String>,
    /// Experiments, by uid, that could not be brought up to date: when each is looked at again, and how long it waited.
    failed: Table<String, (Instant, Duration)>,
    /// Objects that the cluster had a newer version of when they were to be written.
    behind: Table<Changed, ()>,
    teller: Teller,
    katib_config: KatibConfigs,
    /// How long passes take.
    passes: Arc<Histogram>,
}

impl Reconciler {
    /// Between these.
    pub fn new(
        cluster: Cluster,
        watched: Arc<Watched>,
        store: Arc<dyn Store>,
        door: Arc<dyn Door>,
        clock: Arc<dyn Clock>,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            teller: Teller::open(&cluster),
            cluster,
            watched,
            store,
            door,
            clock,
            wake,
            shown: Table::default(),
            waiting: Table::default(),
            said: Table::default(),
            failed: Table::default(),
            behind: Table::default(),
            katib_config: KatibConfigs::default(),
            passes: Arc::default(),
        }
    }

    /// The same, which starts the algorithms that have images of somebody's own here.
    #[must_use]
    pub fn starting(self, katib_config: KatibConfigs) -> Self {
        Self { katib_config, ..self }
    }

    /// The same, which counts here how long its passes take.
    #[must_use]
    pub fn measured(self, passes: Arc<Histogram>) -> Self {
        Self { passes, ..self }
    }

    /// Goes on for ever.
    pub async fn run(self) {
        while let Err(error) = self.watched.ready().await {
            warn!(server = self.cluster.server(), %error, "waiting for the cluster");
        }
        let mut since = Since { all: true, ..Since::default() };
        loop {
            let begun = Instant::now();
            let passed = self.pass(&since).await;
            self.passes.add(begun.elapsed());
            if let Err(error) = passed {
                warn!(%error, "experiments cannot be looked at");
                tokio::time::sleep(BACK_OFF).await;
                self.shown.lock().clear();
            }
            tokio::select! {
                () = self.watched.changes.come() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // Changes come in flocks.
            tokio::time::sleep(FLOCK).await;
            since = self.watched.changes.take();
        }
    }

    /// Looks at everything once.
    async fn pass(&self, since: &Since) -> Result<(), StoreError> {
        let living = self.living().await?;
        let resources = self.watched.experiments.all();
        let listed: BTreeSet<String> = resources.iter().filter_map(|resource| resource.uid()).collect();
        let by_uid: BTreeMap<&str, &Living> =
            living.iter().map(|living| (living.record.uid.as_str(), &**living)).collect();
        let records = living.iter().map(|living| &living.record);
        for record in wishes::deleted(self.cluster.uid(), records, &listed) {
            if let Some(Living { record, status }) = by_uid.get(record.uid.as_str()) {
                self.delete(record, status).await?;
            }
        }
        let all = All { living: &living, by_uid: &by_uid, listed: &listed, since };
        let looks: Vec<_> = resources.iter().map(|resource| self.look(resource, &all)).collect();
        stream::iter(looks).buffer_unordered(EXPERIMENTS).for_each(|()| ready(())).await;
        let living: BTreeSet<ExperimentId> = living.iter().map(|living| living.record.id).collect();
        self.shown.lock().retain(|id, _| living.contains(id));
        self.waiting.lock().retain(|uid, _| listed.contains(uid));
        self.said.lock().retain(|(uid, _), _| listed.contains(uid));
        self.failed.lock().retain(|uid, _| listed.contains(uid));
        self.behind.lock().retain(|changed, ()| {
            self.watched.of(changed.kind).get(&changed.namespace, &changed.name).is_some()
        });
        Ok(())
    }

    /// Looks at one Experiment. What fails is said, and tried again.
    async fn look(&self, resource: &DynamicObject, all: &All<'_>) {
        let uid = resource.uid().unwrap_or_default();
        let failed = self.failed.lock().get(&uid).copied();
        if failed.is_some_and(|(again, _)| Instant::now() < again) {
            // It is looked at as a whole then.
            return;
        }
        let span =
            info_span!("experiment", experiment = resource.name_any(), namespace = resource.namespace());
        let known = all.by_uid.get(uid.as_str());
        let done = match known {
            Some(Living { record, status }) => {
                self.known(resource, record, status, all.since).instrument(span.clone()).await
            }
            None => match all.identity(resource, self.cluster.uid()) {
                Identity::Known(_) => Ok(()),
                Identity::Restored(id) => {
                    let text = format!("it continues experiment {}, which is not built yet", id.0);
                    self.say(resource, "NotTakenIn", text);
                    Ok(())
                }
                Identity::New => self.new_one(resource).instrument(span.clone()).await,
            },
        };
        let Err(error) = done else {
            if failed.is_some() {
                self.failed.lock().remove(&uid);
                self.said.lock().remove(&(uid, "Reconcile"));
            }
            return;
        };
        self.say(resource, "Reconcile", error.to_string());
        if let Some(living) = known {
            self.shown.lock().remove(&living.record.id);
        }
        let wait = failed.map_or(FIRST_BACK_OFF, |(_, wait)| (wait * 2).min(MAX_BACK_OFF));
        self.failed.lock().insert(uid, (Instant::now() + wait, wait));
    }

    /// The living experiments of this cluster, as far as it is looked at.
    async fn living(&self) -> Result<Vec<Arc<Living>>, StoreError> {
        let mut living = self.store.experiments().await?;
        let only = self.cluster.namespace.as_ref();
        living.retain(|living| {
            let record = &living.record;
            record.cluster == self.cluster.uid && only.is_none_or(|namespace| record.namespace == *namespace)
        });
        Ok(living)
    }

    /// The resource of an experiment is gone.
    async fn delete(&self, record: &ExperimentRecord, status: &ExperimentStatus) -> Result<(), StoreError> {
        if status.hold == Hold::Deleting {
            return Ok(());
        }
        let open = self.store.open_wishes(record.id).await?;
        if open.iter().all(|stored| stored.wish != Wish::Delete) {
            info!(experiment = record.name, namespace = record.namespace, "its Experiment was deleted");
            self.wish(record.id, &Wish::Delete).await?;
        }
        Ok(())
    }

    /// An experiment that is known: what is wished of it, and what is shown of it.
    async fn known(
        &self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        since: &Since,
    ) -> Result<(), ReconcileError> {
        let is_new = !self.shown.lock().contains_key(&record.id);
        if is_new || since.has(&Changed::of(Kind::Experiment, resource)) {
            let open = self.store.open_wishes(record.id).await?;
            let asked = wishes::of_experiment(resource, record, status, &open);
            for wish in &asked.wishes {
                info!(?wish, "wished in its Experiment");
                self.wish(record.id, wish).await?;
            }
            let uid = resource.uid().unwrap_or_default();
            if asked.refused.is_empty() {
                self.said.lock().remove(&(uid, "EditRefused"));
            } else {
                self.say(resource, "EditRefused", lines(&asked.refused));
            }
        }
        if resource.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.show(resource, record, status, since).await
    }

    async fn wish(&self, id: ExperimentId, wish: &Wish) -> Result<(), StoreError> {
        self.store.wish(id, wish, self.clock.now()).await?;
        self.wake.notify_waiters();
        Ok(())
    }
}

/// Problems in one line.
fn lines(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
    lines.collect::<Vec<_>>().join("; ")
}
