//! A real store between whose writes a driver can be broken off, and which frees a dead driver's leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use controller_core::event::StoredEvent;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Living};
use controller_core::ports::{
    AskRecord, Batch, Collected, Learnt, Lease, Observation, ObservationQuery, ObservationRow, Outbox, Page,
    Promotions, Pushed, Schedules, Store, StoreError, StoredWish, TrialQuery, Wish,
};
use controller_core::run::{RunId, RunRecord};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use controller_store::Opened;
use study::TrialIdx;

use super::faults::{Faults, real};

type Stored<T> = Result<T, StoreError>;

/// The store of a story.
pub(super) struct FaultyStore {
    inner: Arc<dyn Store>,
    /// What belongs to it and nobody here asks.
    pub(super) promotions: Arc<dyn Promotions>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) schedules: Arc<dyn Schedules>,
    faults: Arc<Faults>,
    books: Arc<Mutex<Books>>,
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
        let Opened { store: inner, promotions, outbox, schedules, .. } =
            real(controller_store::open_all("sqlite::memory:")).await.unwrap();
        Arc::new(Self { inner, promotions, outbox, schedules, faults, books: Arc::default() })
    }

    /// The driver is dead, and the database notices.
    pub(super) async fn free_leases(&self) {
        let held = std::mem::take(&mut self.books.lock().unwrap().held);
        for lease in held {
            self.real(move |store| async move { store.release(&lease).await }).await.unwrap();
        }
    }

    /// Asks the real store.
    async fn real<T, Asked>(&self, ask: impl FnOnce(Arc<dyn Store>) -> Asked) -> T
    where
        T: Send + 'static,
        Asked: Future<Output = T> + Send + 'static,
    {
        real(ask(Arc::clone(&self.inner))).await
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
    fn may_commit(&mut self) -> Stored<()> {
        if self.fail == 0 {
            return Ok(());
        }
        self.fail -= 1;
        Err(StoreError::Unavailable("the database is away".into()))
    }

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
        let (record, status, events) = (record.clone(), status.clone(), events.to_vec());
        self.real(move |store| async move { store.create_experiment(&record, &status, &events).await }).await
    }

    async fn experiment(&self, namespace: &str, name: &str) -> Stored<Option<ExperimentRecord>> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.real(move |store| async move { store.experiment(&namespace, &name).await }).await
    }

    async fn experiment_by_id(&self, id: ExperimentId) -> Stored<Option<ExperimentRecord>> {
        self.real(move |store| async move { store.experiment_by_id(id).await }).await
    }

    async fn experiments(&self) -> Stored<Vec<Arc<Living>>> {
        self.real(move |store| async move { store.experiments().await }).await
    }

    async fn status(&self, id: ExperimentId) -> Stored<ExperimentStatus> {
        self.real(move |store| async move { store.status(id).await }).await
    }

    async fn deleted(&self) -> Stored<Vec<ExperimentRecord>> {
        self.real(move |store| async move { store.deleted().await }).await
    }

    async fn purge(&self, id: ExperimentId) -> Stored<bool> {
        self.real(move |store| async move { store.purge(id).await }).await
    }

    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Stored<i64> {
        let wish = wish.clone();
        self.real(move |store| async move { store.wish(id, &wish, at).await }).await
    }

    async fn open_wishes(&self, id: ExperimentId) -> Stored<Vec<StoredWish>> {
        self.real(move |store| async move { store.open_wishes(id).await }).await
    }

    async fn wished(&self) -> Stored<BTreeSet<ExperimentId>> {
        self.real(move |store| async move { store.wished().await }).await
    }

    async fn acquire(&self, id: ExperimentId, holder: &str) -> Stored<Option<Lease>> {
        self.faults.point().await;
        let (holder, books) = (holder.to_owned(), Arc::clone(&self.books));
        let acquire = move |store: Arc<dyn Store>| async move {
            let lease = store.acquire(id, &holder).await?;
            books.lock().unwrap().held.extend(lease.clone());
            Ok(lease)
        };
        let lease = self.real(acquire).await;
        self.faults.point().await;
        lease
    }

    async fn holder(&self, id: ExperimentId) -> Stored<Option<String>> {
        self.real(move |store| async move { store.holder(id).await }).await
    }

    async fn release(&self, lease: &Lease) -> Stored<()> {
        self.faults.point().await;
        let (lease, books) = (lease.clone(), Arc::clone(&self.books));
        let release = move |store: Arc<dyn Store>| async move {
            store.release(&lease).await?;
            books.lock().unwrap().held.retain(|held| *held != lease);
            Ok(())
        };
        self.real(release).await?;
        self.faults.point().await;
        Ok(())
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Stored<()> {
        self.faults.point().await;
        self.books.lock().unwrap().may_commit()?;
        let (lease, batch, books) = (lease.clone(), batch.clone(), Arc::clone(&self.books));
        let commit = move |store: Arc<dyn Store>| async move {
            store.commit(&lease, &batch).await?;
            books.lock().unwrap().check(&batch);
            Ok(())
        };
        self.real(commit).await?;
        self.faults.point().await;
        Ok(())
    }

    async fn events(&self, id: ExperimentId, after: u64, limit: u64) -> Stored<Vec<StoredEvent>> {
        self.real(move |store| async move { store.events(id, after, limit).await }).await
    }

    async fn asks(&self, id: ExperimentId, from: TrialIdx) -> Stored<Vec<AskRecord>> {
        self.real(move |store| async move { store.asks(id, from).await }).await
    }

    async fn learnt(&self, id: ExperimentId) -> Stored<Option<Learnt>> {
        self.real(move |store| async move { store.learnt(id).await }).await
    }

    async fn trials(&self, id: ExperimentId, query: &TrialQuery) -> Stored<Page<TrialRecord>> {
        let query = query.clone();
        self.real(move |store| async move { store.trials(id, &query).await }).await
    }

    async fn trial(&self, id: ExperimentId, idx: TrialIdx) -> Stored<Option<TrialRecord>> {
        self.real(move |store| async move { store.trial(id, idx).await }).await
    }

    async fn trials_named(&self, name: &str) -> Stored<Vec<(ExperimentId, TrialRecord)>> {
        let name = name.to_owned();
        self.real(move |store| async move { store.trials_named(&name).await }).await
    }

    async fn runs(&self, id: ExperimentId, trial: Option<TrialIdx>) -> Stored<Vec<RunRecord>> {
        self.real(move |store| async move { store.runs(id, trial).await }).await
    }

    async fn append(&self, rows: &[(RunId, Vec<ObservationRow>)]) -> Stored<()> {
        let rows = rows.to_vec();
        self.real(move |store| async move { store.append(&rows).await }).await
    }

    async fn push(&self, run: RunId, rows: &[Pushed]) -> Stored<()> {
        let rows = rows.to_vec();
        self.real(move |store| async move { store.push(run, &rows).await }).await
    }

    async fn observations(&self, id: ExperimentId, query: &ObservationQuery) -> Stored<Vec<Observation>> {
        let query = query.clone();
        self.real(move |store| async move { store.observations(id, &query).await }).await
    }

    async fn positions(&self, run: RunId) -> Stored<BTreeMap<String, u64>> {
        self.real(move |store| async move { store.positions(run).await }).await
    }

    async fn put_collected(&self, run: RunId, collected: &Collected, at: Timestamp) -> Stored<()> {
        let collected = collected.clone();
        self.real(move |store| async move { store.put_collected(run, &collected, at).await }).await
    }

    async fn collected(&self, run: RunId) -> Stored<Option<Collected>> {
        self.real(move |store| async move { store.collected(run).await }).await
    }

    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Stored<()> {
        self.real(move |store| async move { store.delete_observations(id, trial).await }).await
    }

    async fn ping(&self) -> Stored<()> {
        self.real(move |store| async move { store.ping().await }).await
    }
}
