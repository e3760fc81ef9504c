//! Between the custom resources and the store: experiments are taken in and wishes written down; what becomes of them is
//! shown. Each pass looks at what is; that something has changed only says where to look.

mod intake;
mod show;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Hold};
use controller_core::ports::{Door, Store, StoreError, Wish};
use controller_core::report::Problem;
use controller_core::time::Clock;
use kube::core::DynamicObject;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Resource as _, ResourceExt as _};
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::answer;
use crate::client::{Cluster, MANAGER};
use crate::resources::Kind;
use crate::watched::{Changed, Since, Watched};
use crate::wishes::{self, Identity};
use show::Shown;

/// How often the store is looked at, which others write.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long further changes are waited for after one.
const FLOCK: Duration = Duration::from_millis(20);
/// How long after a failure it is tried again.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Longest text of an event.
const MAX_NOTE: usize = 1000;

/// Why a resource could not be brought up to date; it is tried again.
#[derive(Debug, Error)]
enum ReconcileError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Cluster(String),
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
    shown: BTreeMap<ExperimentId, Shown>,
    /// Experiments that were not taken in, by uid: their version, and whether it is worth looking at it again.
    waiting: BTreeMap<String, intake::Waiting>,
    /// What was last said of an experiment that is not as it should be, so that it is said once.
    said: BTreeMap<String, String>,
    recorder: Recorder,
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
        let reporter = Reporter { controller: MANAGER.into(), instance: None };
        Self {
            recorder: Recorder::new(cluster.client.clone(), reporter),
            cluster,
            watched,
            store,
            door,
            clock,
            wake,
            shown: BTreeMap::new(),
            waiting: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        while let Err(error) = self.watched.ready().await {
            warn!(server = self.cluster.server(), %error, "waiting for the cluster");
        }
        let mut since = Since { all: true, ..Since::default() };
        loop {
            if let Err(error) = self.pass(&since).await {
                warn!(%error, "experiments cannot be looked at");
                tokio::time::sleep(BACK_OFF).await;
                self.shown.clear();
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
    async fn pass(&mut self, since: &Since) -> Result<(), StoreError> {
        let (records, statuses) = self.records().await?;
        let resources = self.watched.experiments.all();
        let listed: BTreeSet<String> = resources.iter().filter_map(|resource| resource.uid()).collect();
        let by_uid: BTreeMap<&str, (&ExperimentRecord, &ExperimentStatus)> = records
            .iter()
            .zip(&statuses)
            .map(|(record, status)| (record.uid.as_str(), (record, status)))
            .collect();
        for record in wishes::deleted(self.cluster.uid(), &records, &listed) {
            if let Some((record, status)) = by_uid.get(record.uid.as_str()) {
                self.delete(record, status).await?;
            }
        }
        for resource in &resources {
            let uid = resource.uid().unwrap_or_default();
            let done = match by_uid.get(uid.as_str()) {
                Some((record, status)) => self.known(resource, record, status, since).await,
                None => match wishes::identity(resource, self.cluster.uid(), &records, &listed) {
                    Identity::Known(_) => Ok(()),
                    Identity::Restored(id) => {
                        let text = format!("it continues experiment {}, which is not built yet", id.0);
                        self.say(resource, "NotTakenIn", text).await;
                        Ok(())
                    }
                    Identity::New => self.new_one(resource).await,
                },
            };
            if let Err(error) = done {
                self.say(resource, "Reconcile", error.to_string()).await;
                if let Some((record, _)) = by_uid.get(uid.as_str()) {
                    self.shown.remove(&record.id);
                }
                self.watched.changes.add(Changed::of(Kind::Experiment, resource));
            }
        }
        let living: BTreeSet<ExperimentId> = records.iter().map(|record| record.id).collect();
        self.shown.retain(|id, _| living.contains(id));
        self.waiting.retain(|uid, _| listed.contains(uid));
        self.said.retain(|uid, _| listed.contains(uid));
        Ok(())
    }

    /// The living experiments of this cluster, as far as it is looked at.
    async fn records(&self) -> Result<(Vec<ExperimentRecord>, Vec<ExperimentStatus>), StoreError> {
        let mut records = self.store.experiments().await?;
        let only = self.cluster.namespace.as_ref();
        records.retain(|(record, _)| {
            record.cluster == self.cluster.uid && only.is_none_or(|namespace| record.namespace == *namespace)
        });
        Ok(records.into_iter().unzip())
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
        &mut self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        since: &Since,
    ) -> Result<(), ReconcileError> {
        let is_new = !self.shown.contains_key(&record.id);
        if is_new || since.has(&Changed::of(Kind::Experiment, resource)) {
            let open = self.store.open_wishes(record.id).await?;
            let asked = wishes::of_experiment(resource, record, status, &open);
            for wish in &asked.wishes {
                info!(
                    experiment = record.name,
                    namespace = record.namespace,
                    ?wish,
                    "wished in its Experiment"
                );
                self.wish(record.id, wish).await?;
            }
            let uid = resource.uid().unwrap_or_default();
            if asked.refused.is_empty() {
                self.said.remove(&uid);
            } else {
                self.say(resource, "EditRefused", lines(&asked.refused)).await;
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

    /// Says once what is to be said of an Experiment: in the log, and as an event beside it.
    async fn say(&mut self, resource: &DynamicObject, reason: &str, what: String) {
        let uid = resource.uid().unwrap_or_default();
        if self.said.get(&uid) == Some(&what) {
            return;
        }
        warn!(experiment = resource.name_any(), namespace = resource.namespace(), reason, "{what}");
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            // The server takes no more.
            note: Some(what.chars().take(MAX_NOTE).collect()),
            action: "Reconcile".into(),
            secondary: None,
        };
        let about = resource.object_ref(&Kind::Experiment.resource());
        if let Err(error) = answer::within(self.recorder.publish(&event, &about)).await {
            debug!(error = answer::chain(&error), "an event could not be written");
        }
        self.said.insert(uid, what);
    }
}

/// Problems in one line.
fn lines(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
    lines.collect::<Vec<_>>().join("; ")
}
