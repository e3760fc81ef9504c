//! The port, put together from its parts.

use std::collections::BTreeMap;

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
use sqlx::{Any, Transaction};
use study::TrialIdx;

use crate::database::{Database, during};
use crate::leases::{self, Leases};
use crate::observations::{self, MetricIds};
use crate::{events, experiments, migrations, trials};

/// A store over SQL.
#[derive(Debug)]
pub(crate) struct SqlStore {
    database: Database,
    leases: Leases,
    metrics: MetricIds,
}

impl SqlStore {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        migrations::run(&database).await?;
        Ok(Self { database, leases: Leases::default(), metrics: MetricIds::default() })
    }

    /// The writing connections; for tests that make the disk full.
    #[cfg(test)]
    pub(crate) fn writer(&self) -> &sqlx::AnyPool {
        &self.database.write
    }

    async fn begin(&self) -> Result<Transaction<'_, Any>, StoreError> {
        self.database.begin().await.map_err(during("the store cannot be written"))
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

    async fn experiments(&self) -> Result<Vec<(ExperimentRecord, ExperimentStatus)>, StoreError> {
        experiments::list(&self.database.read).await
    }

    async fn status(&self, id: ExperimentId) -> Result<ExperimentStatus, StoreError> {
        experiments::status(&self.database.read, id).await
    }

    async fn purge_deleted(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let erased = experiments::purge(&mut tx).await?;
        self.end(tx).await?;
        Ok(erased)
    }

    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let wish_no = experiments::wish(&mut tx, id, wish, at).await?;
        self.end(tx).await?;
        Ok(wish_no)
    }

    async fn open_wishes(&self, id: ExperimentId) -> Result<Vec<StoredWish>, StoreError> {
        experiments::open_wishes(&self.database.read, id).await
    }

    async fn acquire(&self, id: ExperimentId, holder: &str) -> Result<Option<Lease>, StoreError> {
        self.leases.acquire(&self.database, id, holder).await
    }

    async fn holder(&self, id: ExperimentId) -> Result<Option<String>, StoreError> {
        leases::holder(&self.database, id).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.release(&self.database, lease).await
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
        experiments::take_wishes(&mut tx, id, &batch.taken_wishes).await?;
        if batch.delete {
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

    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Result<(), StoreError> {
        observations::delete(&self.database.write, id, trial).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.database.read)
            .await
            .map_err(during("the store does not answer"))?;
        Ok(())
    }
}
