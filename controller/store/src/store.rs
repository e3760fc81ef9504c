//! The port, put together from its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use controller_core::event::StoredEvent;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Living};
use controller_core::ports::{
    AskRecord, Batch, Collected, Learnt, Lease, ModelRecord, Observation, ObservationQuery, ObservationRow,
    Outbox, Page, PromotionQuery, Promotions, Pushed, Schedules, Store, StoreError, StoredWish, Term, Terms,
    TrialQuery, Wish,
};
use controller_core::promotion::{
    AuditEntry, Change, Deed, Delivery, Promotion, PromotionId, PromotionWish, Queued, Serving,
    StoredPromotionWish, Version,
};
use controller_core::run::{RunId, RunRecord};
use controller_core::schedule::{Cause, ScheduleState, Scheduled};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use sqlx::{Any, Transaction};
use study::TrialIdx;

use crate::database::{Database, during};
use crate::leases::{self, Leases};
use crate::living::Experiments;
use crate::observations::{self, MetricIds};
use crate::terms::{self, Fence};
use crate::{
    collections, events, experiments, learnt, migrations, outbox, promotions, schedules, trials, wishes,
};

/// A store over SQL.
#[derive(Debug)]
pub(crate) struct SqlStore {
    database: Database,
    leases: Leases,
    fence: Fence,
    metrics: MetricIds,
    living: Experiments,
}

impl SqlStore {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        migrations::run(&database).await?;
        Ok(Self {
            database,
            leases: Leases::default(),
            fence: Fence::default(),
            metrics: MetricIds::default(),
            living: Experiments::default(),
        })
    }

    /// The writing connections; for tests that make the disk full.
    #[cfg(test)]
    pub(crate) fn writer(&self) -> &sqlx::AnyPool {
        &self.database.write
    }

    /// Begins a transaction that writes, if this process may.
    async fn begin(&self) -> Result<Transaction<'_, Any>, StoreError> {
        self.fence.begin(&self.database).await
    }

    async fn end(&self, tx: Transaction<'_, Any>) -> Result<(), StoreError> {
        tx.commit().await.map_err(during("the store cannot be written"))
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn create_experiment(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        events: &[StoredEvent],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        experiments::insert(&mut tx, record).await?;
        experiments::put_status(&mut tx, record.id, status).await?;
        events::append(&mut tx, record.id, events).await?;
        self.end(tx).await
    }

    async fn experiment(&self, namespace: &str, name: &str) -> Result<Option<ExperimentRecord>, StoreError> {
        experiments::named(&self.database.read, namespace, name).await
    }

    async fn experiment_by_id(&self, id: ExperimentId) -> Result<Option<ExperimentRecord>, StoreError> {
        experiments::by_id(&self.database.read, id).await
    }

    async fn experiments(&self) -> Result<Vec<Arc<Living>>, StoreError> {
        self.living.list(&self.database.read).await
    }

    async fn status(&self, id: ExperimentId) -> Result<ExperimentStatus, StoreError> {
        experiments::status(&self.database.read, id).await
    }

    async fn deleted(&self) -> Result<Vec<ExperimentRecord>, StoreError> {
        experiments::deleted(&self.database.read).await
    }

    async fn purge(&self, id: ExperimentId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let erased = experiments::purge(&mut tx, id).await?;
        self.end(tx).await?;
        Ok(erased)
    }

    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let wish_no = wishes::put(&mut tx, id, wish, at).await?;
        self.end(tx).await?;
        Ok(wish_no)
    }

    async fn open_wishes(&self, id: ExperimentId) -> Result<Vec<StoredWish>, StoreError> {
        let open = wishes::open(&self.database.read, id).await?;
        Ok(open.into_iter().map(|(wish_no, at, wish)| StoredWish { wish_no, at, wish }).collect())
    }

    async fn wished(&self) -> Result<BTreeSet<ExperimentId>, StoreError> {
        wishes::wished(&self.database.read).await
    }

    async fn acquire(&self, id: ExperimentId, holder: &str) -> Result<Option<Lease>, StoreError> {
        self.leases.acquire(&self.database, &self.fence, id, holder).await
    }

    async fn holder(&self, id: ExperimentId) -> Result<Option<String>, StoreError> {
        leases::holder(&self.database, id).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.release(&self.database, &self.fence, lease).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), StoreError> {
        let id = lease.experiment;
        let mut tx = self.begin().await?;
        leases::check(&mut tx, lease).await?;
        events::append(&mut tx, id, &batch.events).await?;
        if let Some(from) = batch.drop_asks {
            events::drop_asks(&mut tx, id, from).await?;
        }
        events::put_asks(&mut tx, id, &batch.asks).await?;
        trials::put(&mut tx, id, &batch.trials).await?;
        trials::put_runs(&mut tx, &batch.runs).await?;
        if let Some(record) = &batch.experiment {
            experiments::update(&mut tx, record).await?;
        }
        if let Some(status) = &batch.status {
            let status = ExperimentStatus { generation: lease.generation, ..status.clone() };
            experiments::put_status(&mut tx, id, &status).await?;
        }
        wishes::take(&mut tx, id, &batch.taken_wishes).await?;
        if let Some(learnt) = &batch.learnt {
            learnt::put(&mut tx, id, learnt).await?;
        }
        if batch.delete {
            learnt::delete(&mut tx, id).await?;
            experiments::mark_deleted(&mut tx, id).await?;
        }
        self.end(tx).await
    }

    async fn events(&self, id: ExperimentId, after: u64, limit: u64) -> Result<Vec<StoredEvent>, StoreError> {
        events::list(&self.database.read, id, after, limit).await
    }

    async fn asks(&self, id: ExperimentId, from: TrialIdx) -> Result<Vec<AskRecord>, StoreError> {
        events::asks(&self.database.read, id, from).await
    }

    async fn learnt(&self, id: ExperimentId) -> Result<Option<Learnt>, StoreError> {
        learnt::get(&self.database.read, id).await
    }

    async fn trials(&self, id: ExperimentId, query: &TrialQuery) -> Result<Page<TrialRecord>, StoreError> {
        trials::list(&self.database.read, id, query).await
    }

    async fn trial(&self, id: ExperimentId, idx: TrialIdx) -> Result<Option<TrialRecord>, StoreError> {
        trials::one(&self.database.read, id, idx).await
    }

    async fn trials_named(&self, name: &str) -> Result<Vec<(ExperimentId, TrialRecord)>, StoreError> {
        trials::named(&self.database.read, name).await
    }

    async fn runs(&self, id: ExperimentId, trial: Option<TrialIdx>) -> Result<Vec<RunRecord>, StoreError> {
        trials::runs(&self.database.read, id, trial).await
    }

    async fn append(&self, rows: &[(RunId, Vec<ObservationRow>)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ids = observations::append(&mut tx, &self.metrics, rows).await?;
        self.end(tx).await?;
        self.metrics.remember(ids).await;
        Ok(())
    }

    async fn push(&self, run: RunId, pushed: &[Pushed]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rows = observations::placed(&mut tx, run, pushed).await?;
        let ids = observations::append(&mut tx, &self.metrics, &[(run, rows)]).await?;
        self.end(tx).await?;
        self.metrics.remember(ids).await;
        Ok(())
    }

    async fn observations(
        &self,
        id: ExperimentId,
        query: &ObservationQuery,
    ) -> Result<Vec<Observation>, StoreError> {
        observations::list(&self.database.read, id, query).await
    }

    async fn positions(&self, run: RunId) -> Result<BTreeMap<String, u64>, StoreError> {
        observations::positions(&self.database.read, run).await
    }

    async fn put_collected(
        &self,
        run: RunId,
        collected: &Collected,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        collections::put(&mut tx, run, collected, at).await?;
        self.end(tx).await
    }

    async fn collected(&self, run: RunId) -> Result<Option<Collected>, StoreError> {
        collections::get(&self.database.read, run).await
    }

    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        observations::delete(&mut tx, id, trial).await?;
        self.end(tx).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.database.read)
            .await
            .map_err(during("the store does not answer"))?;
        Ok(())
    }
}

#[async_trait]
impl Terms for SqlStore {
    fn stand_by(&self, why: &str) {
        self.fence.stand_by(why);
    }

    async fn take_term(&self, scope: &str, holder: &str) -> Result<Term, StoreError> {
        self.fence.take(&self.database, scope, holder).await
    }

    async fn epoch(&self, scope: &str) -> Result<Option<i64>, StoreError> {
        terms::epoch(&self.database, scope).await
    }

    async fn raise_epoch(&self, term: &Term, at_least: i64) -> Result<i64, StoreError> {
        terms::raise_epoch(&self.database, term, at_least).await
    }

    fn written(&self) -> u64 {
        self.fence.begun()
    }
}

#[async_trait]
impl Promotions for SqlStore {
    async fn propose(&self, promotion: &Promotion) -> Result<Promotion, StoreError> {
        let mut tx = self.begin().await?;
        let kept = promotions::propose(&mut tx, promotion).await?;
        self.end(tx).await?;
        Ok(kept)
    }

    async fn promotion(&self, id: PromotionId) -> Result<Option<Promotion>, StoreError> {
        promotions::by_id(&self.database.read, id).await
    }

    async fn promotions(&self, query: &PromotionQuery) -> Result<Vec<Promotion>, StoreError> {
        promotions::list(&self.database.read, query).await
    }

    async fn wish_of_promotion(
        &self,
        id: PromotionId,
        wish: &PromotionWish,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let wish_no = wishes::put(&mut tx, id.of_runs(), wish, at).await?;
        self.end(tx).await?;
        Ok(wish_no)
    }

    async fn wishes_of_promotion(&self, id: PromotionId) -> Result<Vec<StoredPromotionWish>, StoreError> {
        let open = wishes::open(&self.database.read, id.of_runs()).await?;
        Ok(open.into_iter().map(|(wish_no, at, wish)| StoredPromotionWish { wish_no, at, wish }).collect())
    }

    async fn keep_promotion(&self, lease: &Lease, change: &Change) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        leases::check(&mut tx, lease).await?;
        promotions::keep(&mut tx, change).await?;
        wishes::take(&mut tx, change.promotion.id.of_runs(), &change.taken).await?;
        self.end(tx).await
    }

    async fn models(&self) -> Result<Vec<ModelRecord>, StoreError> {
        promotions::models(&self.database.read).await
    }

    async fn versions(&self, namespace: &str, model: &str) -> Result<Vec<Version>, StoreError> {
        promotions::versions(&self.database.read, namespace, model).await
    }

    async fn champion(&self, namespace: &str, model: &str) -> Result<Option<Version>, StoreError> {
        promotions::champion(&self.database.read, namespace, model).await
    }

    async fn serving(&self, namespace: &str, model: &str) -> Result<Option<Serving>, StoreError> {
        promotions::serving(&self.database.read, namespace, model).await
    }

    async fn all_serving(&self) -> Result<Vec<Serving>, StoreError> {
        promotions::all_serving(&self.database.read).await
    }

    async fn keep_serving(&self, lease: &Lease, serving: &Serving) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        leases::check(&mut tx, lease).await?;
        promotions::keep_serving(&mut tx, serving).await?;
        self.end(tx).await
    }

    async fn note(&self, deed: &Deed) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        promotions::record(&mut tx, std::slice::from_ref(deed)).await?;
        self.end(tx).await
    }

    async fn audit(&self, after: u64) -> Result<Vec<AuditEntry>, StoreError> {
        promotions::audit(&self.database.read, after).await
    }
}

#[async_trait]
impl Outbox for SqlStore {
    async fn lines(&self) -> Result<Vec<String>, StoreError> {
        outbox::lines(&self.database.read).await
    }

    async fn first(&self, target: &str) -> Result<Option<Queued>, StoreError> {
        outbox::first(&self.database.read, target).await
    }

    async fn delivered(
        &self,
        lease: &Lease,
        target: &str,
        seq: u64,
        delivery: &Delivery,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        leases::check(&mut tx, lease).await?;
        outbox::delivered(&mut tx, target, seq, delivery).await?;
        self.end(tx).await
    }

    async fn records(&self, namespace: &str, model: &str, promotion: u64) -> Result<Vec<Queued>, StoreError> {
        outbox::of_promotion(&self.database.read, namespace, model, promotion).await
    }
}

#[async_trait]
impl Schedules for SqlStore {
    async fn schedule(&self, template: ExperimentId) -> Result<Scheduled, StoreError> {
        schedules::get(&self.database.read, template).await
    }

    async fn suspend_schedule(&self, template: ExperimentId, suspended: bool) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        schedules::suspend(&mut tx, template, suspended).await?;
        self.end(tx).await
    }

    async fn ask_for_run(&self, template: ExperimentId, cause: Cause) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let asked = schedules::ask(&mut tx, template, cause).await?;
        self.end(tx).await?;
        Ok(asked)
    }

    async fn keep_schedule(&self, lease: &Lease, state: &ScheduleState) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        leases::check(&mut tx, lease).await?;
        schedules::keep(&mut tx, lease.experiment, state).await?;
        self.end(tx).await
    }
}
