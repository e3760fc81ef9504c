//! The store, with a watch on it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use controller_core::event::StoredEvent;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Living};
use controller_core::ports::{
    AskRecord, Batch, Collected, Learnt, Lease, Observation, ObservationQuery, ObservationRow, Page, Pushed,
    Store, StoreError, StoredWish, TrialQuery, Wish,
};
use controller_core::run::{RunId, RunRecord};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use study::TrialIdx;
use tokio::time::Instant;

use super::{Meters, lock};

/// A store of which each operation is timed, and what is written counted.
pub(crate) struct Metered {
    inner: Arc<dyn Store>,
    meters: Arc<Meters>,
    /// Where experiments are that this process drives; a few bytes each.
    namespaces: Mutex<BTreeMap<ExperimentId, String>>,
}

impl Metered {
    /// Over this one.
    pub(crate) fn new(inner: Arc<dyn Store>, meters: Arc<Meters>) -> Self {
        Self { inner, meters, namespaces: Mutex::default() }
    }

    async fn timed<T>(&self, operation: &'static str, doing: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = doing.await;
        self.meters.stored(operation, begun.elapsed());
        done
    }

    async fn namespace(&self, id: ExperimentId) -> Result<String, StoreError> {
        if let Some(known) = lock(&self.namespaces).get(&id) {
            return Ok(known.clone());
        }
        let record = self.inner.experiment_by_id(id).await?;
        let namespace = record.map(|record| record.namespace).unwrap_or_default();
        lock(&self.namespaces).insert(id, namespace.clone());
        Ok(namespace)
    }
}

#[async_trait]
impl Store for Metered {
    async fn create_experiment(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        events: &[StoredEvent],
    ) -> Result<(), StoreError> {
        self.timed("create_experiment", self.inner.create_experiment(record, status, events)).await?;
        self.meters.experiment_created(&record.namespace);
        Ok(())
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), StoreError> {
        let id = lease.experiment;
        let namespace = self.namespace(id).await?;
        let gone = if batch.delete { Some(self.inner.status(id).await?) } else { None };
        self.timed("commit", self.inner.commit(lease, batch)).await?;
        self.meters.committed(&namespace, batch, gone.as_ref());
        Ok(())
    }

    async fn experiment(&self, namespace: &str, name: &str) -> Result<Option<ExperimentRecord>, StoreError> {
        self.timed("experiment", self.inner.experiment(namespace, name)).await
    }
    async fn experiment_by_id(&self, id: ExperimentId) -> Result<Option<ExperimentRecord>, StoreError> {
        self.timed("experiment_by_id", self.inner.experiment_by_id(id)).await
    }
    async fn experiments(&self) -> Result<Vec<Arc<Living>>, StoreError> {
        self.timed("experiments", self.inner.experiments()).await
    }
    async fn status(&self, id: ExperimentId) -> Result<ExperimentStatus, StoreError> {
        self.timed("status", self.inner.status(id)).await
    }
    async fn deleted(&self) -> Result<Vec<ExperimentRecord>, StoreError> {
        self.timed("deleted", self.inner.deleted()).await
    }
    async fn purge(&self, id: ExperimentId) -> Result<bool, StoreError> {
        self.timed("purge", self.inner.purge(id)).await
    }
    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Result<i64, StoreError> {
        self.timed("wish", self.inner.wish(id, wish, at)).await
    }
    async fn open_wishes(&self, id: ExperimentId) -> Result<Vec<StoredWish>, StoreError> {
        self.timed("open_wishes", self.inner.open_wishes(id)).await
    }

    async fn wished(&self) -> Result<BTreeSet<ExperimentId>, StoreError> {
        self.timed("wished", self.inner.wished()).await
    }
    async fn acquire(&self, id: ExperimentId, holder: &str) -> Result<Option<Lease>, StoreError> {
        self.timed("acquire", self.inner.acquire(id, holder)).await
    }
    async fn holder(&self, id: ExperimentId) -> Result<Option<String>, StoreError> {
        self.timed("holder", self.inner.holder(id)).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.timed("release", self.inner.release(lease)).await
    }
    async fn events(&self, id: ExperimentId, after: u64, limit: u64) -> Result<Vec<StoredEvent>, StoreError> {
        self.timed("events", self.inner.events(id, after, limit)).await
    }
    async fn asks(&self, id: ExperimentId, from: TrialIdx) -> Result<Vec<AskRecord>, StoreError> {
        self.timed("asks", self.inner.asks(id, from)).await
    }
    async fn learnt(&self, id: ExperimentId) -> Result<Option<Learnt>, StoreError> {
        self.timed("learnt", self.inner.learnt(id)).await
    }
    async fn trials(&self, id: ExperimentId, query: &TrialQuery) -> Result<Page<TrialRecord>, StoreError> {
        self.timed("trials", self.inner.trials(id, query)).await
    }
    async fn trial(&self, id: ExperimentId, idx: TrialIdx) -> Result<Option<TrialRecord>, StoreError> {
        self.timed("trial", self.inner.trial(id, idx)).await
    }
    async fn trials_named(&self, name: &str) -> Result<Vec<(ExperimentId, TrialRecord)>, StoreError> {
        self.timed("trials_named", self.inner.trials_named(name)).await
    }
    async fn runs(&self, id: ExperimentId, trial: Option<TrialIdx>) -> Result<Vec<RunRecord>, StoreError> {
        self.timed("runs", self.inner.runs(id, trial)).await
    }
    async fn append(&self, rows: &[(RunId, Vec<ObservationRow>)]) -> Result<(), StoreError> {
        self.timed("append", self.inner.append(rows)).await
    }
    async fn push(&self, run: RunId, rows: &[Pushed]) -> Result<(), StoreError> {
        self.timed("push", self.inner.push(run, rows)).await
    }
    async fn observations(
        &self,
        id: ExperimentId,
        query: &ObservationQuery,
    ) -> Result<Vec<Observation>, StoreError> {
        self.timed("observations", self.inner.observations(id, query)).await
    }
    async fn positions(&self, run: RunId) -> Result<BTreeMap<String, u64>, StoreError> {
        self.timed("positions", self.inner.positions(run)).await
    }
    async fn put_collected(
        &self,
        run: RunId,
        collected: &Collected,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.timed("put_collected", self.inner.put_collected(run, collected, at)).await
    }
    async fn collected(&self, run: RunId) -> Result<Option<Collected>, StoreError> {
        self.timed("collected", self.inner.collected(run)).await
    }
    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Result<(), StoreError> {
        self.timed("delete_observations", self.inner.delete_observations(id, trial)).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", self.inner.ping()).await
    }
}
