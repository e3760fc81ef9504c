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
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::client::Cluster;
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
        while !self.watched.is_ready().await {
            warn!(
                server = self.cluster.server(),
                "the cluster does not list its experiments; waiting for it"
            );
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
        let records = self.records().await?;
        let resources = self.watched.experiments.all();
        let listed: BTreeSet<String> = resources.iter().filter_map(|resource| resource.uid()).collect();
        let plain: Vec<ExperimentRecord> = records.iter().map(|(record, _)| record.clone()).collect();
        for record in wishes::deleted(self.cluster.uid(), &plain, &listed) {
            let status = records.iter().find(|(known, _)| known.id == record.id).map(|(_, status)| status);
            if let Some(status) = status {
                self.delete(record, status).await?;
            }
        }
        let by_uid: BTreeMap<&str, &(ExperimentRecord, ExperimentStatus)> =
            records.iter().map(|pair| (pair.0.uid.as_str(), pair)).collect();
        for resource in &resources {
            let uid = resource.uid().unwrap_or_default();
            let done = match by_uid.get(uid.as_str()) {
                Some((record, status)) => self.known(resource, record, status, since).await,
                None => match wishes::identity(resource, self.cluster.uid(), &plain, &listed) {
                    Identity::Known(_) => Ok(()),
                    Identity::Restored(id) => {
                        self.say(&uid, format!("it continues experiment {}, which is not built yet", id.0));
                        Ok(())
                    }
                    Identity::New => self.new_one(resource).await,
                },
            };
            match done {
                Ok(()) => {}
                Err(error) => {
                    self.say(&uid, error.to_string());
                    self.shown
                        .retain(|id, _| by_uid.get(uid.as_str()).is_none_or(|(record, _)| record.id != *id));
                    self.watched.changes.add(Changed::of(Kind::Experiment, resource));
                }
            }
        }
        self.waiting.retain(|uid, _| listed.contains(uid));
        self.said.retain(|uid, _| listed.contains(uid));
        self.shown.retain(|id, _| plain.iter().any(|record| record.id == *id));
        Ok(())
    }

    /// The living experiments of this cluster, as far as it is looked at.
    async fn records(&self) -> Result<Vec<(ExperimentRecord, ExperimentStatus)>, StoreError> {
        let mut records = self.store.experiments().await?;
        let only = self.cluster.namespace.as_ref();
        records.retain(|(record, _)| {
            record.cluster == self.cluster.uid && only.is_none_or(|namespace| record.namespace == *namespace)
        });
        Ok(records)
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
                self.say(&uid, format!("an edit is not carried out: {}", lines(&asked.refused)));
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

    /// Says once what is to be said of an Experiment.
    fn say(&mut self, uid: &str, what: String) {
        if self.said.get(uid) == Some(&what) {
            return;
        }
        let resource = self.watched.experiments.all().into_iter().find(|it| it.uid().as_deref() == Some(uid));
        let (namespace, name) =
            resource.map(|it| (it.namespace().unwrap_or_default(), it.name_any())).unwrap_or_default();
        warn!(namespace, experiment = name, "{what}");
        self.said.insert(uid.to_owned(), what);
    }
}

/// Problems in one line.
fn lines(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
    lines.collect::<Vec<_>>().join("; ")
}
