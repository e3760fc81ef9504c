//! A real store between whose writes a driver can be broken off, and which frees a dead driver's leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use controller_core::event::StoredEvent;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus};
use controller_core::ports::{
    AskRecord, Batch, Lease, Observation, ObservationQuery, ObservationRow, Page, Pushed, Store, StoreError,
    StoredWish, TrialQuery, Wish,
};
use controller_core::run::{RunId, RunRecord};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use study::TrialIdx;

use super::faults::{Faults, real};

type Stored<T> = Result<T, StoreError>;

/// The store of a story.
pub(super) struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
    books: Mutex<Books>,
}

/// What a store can see of a driver without asking it.
#[derive(Default)]
struct Books {
    held: Vec<Lease>,
    /// Runs written down and not ended.
    open: BTreeSet<RunId>,
    ended: BTreeSet<TrialIdx>,
    spec: Option<ExperimentRecord>,
    /// Commits that fail before anything is written.
    fail: u32,
    wrongs: Vec<String>,
}

impl FaultyStore {
    /// An empty store in memory.
    pub(super) async fn open(faults: Arc<Faults>) -> Arc<Self> {
        let inner = real(controller_store::open("sqlite::memory:")).await.unwrap();
        Arc::new(Self { inner, faults, books: Mutex::default() })
    }

    /// The driver is dead, and the database notices.
    pub(super) async fn free_leases(&self) {
        let held = std::mem::take(&mut self.books.lock().unwrap().held);
        for lease in held {
            real(self.inner.release(&lease)).await.unwrap();
        }
    }

    /// The next commits fail.
    pub(super) fn fail(&self, n: u32) {
        self.books.lock().unwrap().fail = n;
    }

    /// What was written that never should be.
    pub(super) fn wrongs(&self) -> Vec<String> {
        self.books.lock().unwrap().wrongs.clone()
    }
}

impl Books {
    /// Looks a batch over: no run is begun beyond the limits of that moment, and no trial after its end.
    fn check(&mut self, batch: &Batch) {
        if let Some(record) = &batch.experiment {
            self.spec = Some(record.clone());
        }
        self.ended.extend(batch.trials.iter().filter(|t| t.state.is_final()).map(|t| t.idx));
        for run in batch.runs.iter().filter(|run| run.end.is_some()) {
            self.open.remove(&run.id);
        }
        for run in batch.runs.iter().filter(|run| run.end.is_none()) {
            if self.ended.contains(&run.id.trial) {
                self.wrongs.push(format!("run {} of a trial that has ended", run.id));
            }
            if self.open.insert(run.id) {
                self.check_limits(run.id);
            }
        }
    }

    fn check_limits(&mut self, run: RunId) {
        let Some(record) = &self.spec else { return };
        let parallel = record.spec.parallel_trial_count.unwrap();
        if self.open.len() > parallel as usize {
            self.wrongs.push(format!("run {run} makes {} at once, {parallel} may be", self.open.len()));
        }
        if let Some(max) = record.spec.max_trial_count
            && self.open.len() + self.ended.len() > max as usize
        {
            let (open, ended) = (self.open.len(), self.ended.len());
            self.wrongs.push(format!("run {run} with {open} open and {ended} ended of {max} trials"));
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn create_experiment(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        events: &[StoredEvent],
    ) -> Stored<()> {
        self.books.lock().unwrap().spec = Some(record.clone());
        real(self.inner.create_experiment(record, status, events)).await
    }

    async fn experiment(&self, namespace: &str, name: &str) -> Stored<Option<ExperimentRecord>> {
        real(self.inner.experiment(namespace, name)).await
    }

    async fn experiment_by_id(&self, id: ExperimentId) -> Stored<Option<ExperimentRecord>> {
        real(self.inner.experiment_by_id(id)).await
    }

    async fn experiments(&self) -> Stored<Vec<(ExperimentRecord, ExperimentStatus)>> {
        real(self.inner.experiments()).await
    }

    async fn status(&self, id: ExperimentId) -> Stored<ExperimentStatus> {
        real(self.inner.status(id)).await
    }

    async fn purge_deleted(&self) -> Stored<u64> {
        real(self.inner.purge_deleted()).await
    }

    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Stored<i64> {
        real(self.inner.wish(id, wish, at)).await
    }

    async fn open_wishes(&self, id: ExperimentId) -> Stored<Vec<StoredWish>> {
        real(self.inner.open_wishes(id)).await
    }

    async fn acquire(&self, id: ExperimentId, holder: &str) -> Stored<Option<Lease>> {
        self.faults.point().await;
        let lease = real(self.inner.acquire(id, holder)).await?;
        self.books.lock().unwrap().held.extend(lease.clone());
        self.faults.point().await;
        Ok(lease)
    }

    async fn holder(&self, id: ExperimentId) -> Stored<Option<String>> {
        real(self.inner.holder(id)).await
    }

    async fn release(&self, lease: &Lease) -> Stored<()> {
        self.faults.point().await;
        real(self.inner.release(lease)).await?;
        self.books.lock().unwrap().held.retain(|held| held != lease);
        self.faults.point().await;
        Ok(())
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Stored<()> {
        self.faults.point().await;
        {
            let mut books = self.books.lock().unwrap();
            if books.fail > 0 {
                books.fail -= 1;
                return Err(StoreError::Unavailable("the database is away".into()));
            }
        }
        real(self.inner.commit(lease, batch)).await?;
        self.books.lock().unwrap().check(batch);
        self.faults.point().await;
        Ok(())
    }

    async fn events(&self, id: ExperimentId, after: u64, limit: u64) -> Stored<Vec<StoredEvent>> {
        real(self.inner.events(id, after, limit)).await
    }

    async fn asks(&self, id: ExperimentId, from: TrialIdx) -> Stored<Vec<AskRecord>> {
        real(self.inner.asks(id, from)).await
    }

    async fn trials(&self, id: ExperimentId, query: &TrialQuery) -> Stored<Page<TrialRecord>> {
        real(self.inner.trials(id, query)).await
    }

    async fn trial(&self, id: ExperimentId, idx: TrialIdx) -> Stored<Option<TrialRecord>> {
        real(self.inner.trial(id, idx)).await
    }

    async fn trials_named(&self, name: &str) -> Stored<Vec<(ExperimentId, TrialRecord)>> {
        real(self.inner.trials_named(name)).await
    }

    async fn runs(&self, id: ExperimentId, trial: Option<TrialIdx>) -> Stored<Vec<RunRecord>> {
        real(self.inner.runs(id, trial)).await
    }

    async fn append(&self, rows: &[(RunId, Vec<ObservationRow>)]) -> Stored<()> {
        real(self.inner.append(rows)).await
    }

    async fn push(&self, run: RunId, rows: &[Pushed]) -> Stored<()> {
        real(self.inner.push(run, rows)).await
    }

    async fn observations(&self, id: ExperimentId, query: &ObservationQuery) -> Stored<Vec<Observation>> {
        real(self.inner.observations(id, query)).await
    }

    async fn positions(&self, run: RunId) -> Stored<BTreeMap<String, u64>> {
        real(self.inner.positions(run)).await
    }

    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Stored<()> {
        real(self.inner.delete_observations(id, trial)).await
    }

    async fn ping(&self) -> Stored<()> {
        real(self.inner.ping()).await
    }
}
