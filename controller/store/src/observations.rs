//! Observations: every metric value of every run, each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use controller_core::experiment::ExperimentId;
use controller_core::metrics::value::number;
use controller_core::ports::{Observation, ObservationQuery, ObservationRow, Pushed, StoreError};
use controller_core::run::RunId;
use controller_core::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row as _, Transaction};
use study::TrialIdx;
use tokio::sync::Mutex;

use crate::database::during;
use crate::experiments::int;
use crate::sql::Sql;

/// Rows in one statement; 11 values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;
/// The source of values that programs push.
const PUSHED: &str = "push";

/// Numbers of metric names that this process has seen stored.
#[derive(Debug, Default)]
pub(crate) struct MetricIds {
    known: Mutex<HashMap<(ExperimentId, Arc<str>), i64>>,
}

impl MetricIds {
    /// The number of a name, stored with this transaction if it is new.
    async fn id(
        &self,
        tx: &mut Transaction<'_, Any>,
        experiment: ExperimentId,
        name: &Arc<str>,
    ) -> Result<i64, StoreError> {
        if let Some(id) = self.known.lock().await.get(&(experiment, Arc::clone(name))) {
            return Ok(*id);
        }
        let failed = during("the metric cannot be stored");
        sqlx::query(
            "INSERT INTO metrics (experiment_id, metric_id, name)
             VALUES ($1, (SELECT COALESCE(MAX(metric_id), 0) + 1 FROM metrics WHERE experiment_id = $1), $2)
             ON CONFLICT (experiment_id, name) DO NOTHING",
        )
        .bind(experiment.0)
        .bind(name.to_string())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
        let row = sqlx::query("SELECT metric_id FROM metrics WHERE experiment_id = $1 AND name = $2")
            .bind(experiment.0)
            .bind(name.to_string())
            .fetch_one(&mut **tx)
            .await
            .map_err(&failed)?;
        int(&row, "metric_id")
    }

    /// Remembers numbers once their transaction is committed.
    pub(crate) async fn remember(&self, ids: HashMap<(ExperimentId, Arc<str>), i64>) {
        self.known.lock().await.extend(ids);
    }
}

pub(crate) async fn append(
    tx: &mut Transaction<'_, Any>,
    metrics: &MetricIds,
    batches: &[(RunId, Vec<ObservationRow>)],
) -> Result<HashMap<(ExperimentId, Arc<str>), i64>, StoreError> {
    let mut ids: HashMap<(ExperimentId, Arc<str>), i64> = HashMap::new();
    for (run, rows) in batches {
        for row in rows {
            let key = (run.experiment, row.metric.clone());
            if let std::collections::hash_map::Entry::Vacant(entry) = ids.entry(key) {
                entry.insert(metrics.id(tx, run.experiment, &row.metric).await?);
            }
        }
    }
    let all: Vec<(&RunId, &ObservationRow)> =
        batches.iter().flat_map(|(run, rows)| rows.iter().map(move |row| (run, row))).collect();
    for chunk in all.chunks(CHUNK) {
        let mut sql = Sql::new(
            "INSERT INTO observations
             (experiment_id, trial_idx, attempt, source, place, nth, metric_id, at, step, value_text, value)",
        );
        sql.rows(chunk, |values, (run, row)| {
            let metric = ids.get(&(run.experiment, row.metric.clone())).copied().unwrap_or_default();
            values
                .item(run.experiment.0)
                .item(run.trial.0 as i64)
                .item(i64::from(run.attempt))
                .item(row.source.to_string())
                .item(row.offset as i64)
                .item(i64::from(row.nth))
                .item(metric)
                .item(row.time.map(|time| time.0))
                .item(row.step)
                .item(row.text.clone())
                // NaN would be NULL in SQLite; like infinities it is read back from the text.
                .number(row.value.filter(|value| value.is_finite()));
        });
        sql.push(" ON CONFLICT (experiment_id, trial_idx, attempt, source, place, nth) DO NOTHING");
        sql.query_on(tx).execute(&mut **tx).await.map_err(during("observations cannot be stored"))?;
    }
    Ok(ids)
}

/// Gives pushed values their places behind those there are.
pub(crate) async fn placed(
    tx: &mut Transaction<'_, Any>,
    run: RunId,
    pushed: &[Pushed],
) -> Result<Vec<ObservationRow>, StoreError> {
    let row = sqlx::query(
        "SELECT COALESCE(MAX(place), -1) AS last FROM observations
         WHERE experiment_id = $1 AND trial_idx = $2 AND attempt = $3 AND source = $4",
    )
    .bind(run.experiment.0)
    .bind(run.trial.0 as i64)
    .bind(i64::from(run.attempt))
    .bind(PUSHED.to_owned())
    .fetch_one(&mut **tx)
    .await
    .map_err(during("observations cannot be read"))?;
    let first = int(&row, "last")? + 1;
    let place = |(i, value): (usize, &Pushed)| ObservationRow {
        source: PUSHED.into(),
        offset: first as u64 + i as u64,
        nth: 0,
        metric: value.metric.as_str().into(),
        time: Some(value.time),
        step: first + i as i64,
        text: value.text.clone(),
        value: value.value,
    };
    Ok(pushed.iter().enumerate().map(place).collect())
}

pub(crate) async fn list(
    pool: &AnyPool,
    id: ExperimentId,
    query: &ObservationQuery,
) -> Result<Vec<Observation>, StoreError> {
    let mut sql = Sql::new(
        "SELECT trial_idx, attempt, source, place, nth, metrics.name AS metric, at, step, value_text, value
         FROM observations JOIN metrics
         ON metrics.experiment_id = observations.experiment_id AND metrics.metric_id = observations.metric_id
         WHERE observations.experiment_id = ",
    );
    sql.bind(id.0);
    if let Some(trial) = query.trial {
        sql.push(" AND trial_idx = ").bind(trial.0 as i64);
    }
    if let Some(attempt) = query.attempt {
        sql.push(" AND attempt = ").bind(i64::from(attempt));
    }
    if let Some(metric) = &query.metric {
        sql.push(" AND metrics.name = ").bind(metric.clone());
    }
    for (source, (place, nth)) in &query.after {
        sql.push(" AND NOT (source = ").bind(source.clone());
        sql.push(" AND (place < ").bind(*place as i64);
        sql.push(" OR (place = ").bind(*place as i64);
        sql.push(" AND nth <= ").bind(i64::from(*nth));
        sql.push(")))");
    }
    if let Some(from) = query.from {
        sql.push(" AND at >= ").bind(from.0);
    }
    if let Some(to) = query.to {
        sql.push(" AND at <= ").bind(to.0);
    }
    sql.push(" ORDER BY trial_idx, attempt, source, place, nth");
    if query.limit > 0 {
        sql.push(" LIMIT ").bind(query.limit as i64);
    }
    let rows = sql.query().fetch_all(pool).await.map_err(during("observations cannot be read"))?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Observation, StoreError> {
    let failed = during("an observation cannot be read");
    let text: String = row.try_get("value_text").map_err(&failed)?;
    let value: Option<f64> = row.try_get("value").map_err(&failed)?;
    Ok(Observation {
        trial: TrialIdx(int(row, "trial_idx")? as u64),
        attempt: int(row, "attempt")? as u32,
        row: ObservationRow {
            source: row.try_get("source").map_err(&failed)?,
            offset: int(row, "place")? as u64,
            nth: int(row, "nth")? as u32,
            metric: row.try_get("metric").map_err(&failed)?,
            time: row.try_get::<Option<i64>, _>("at").map_err(&failed)?.map(Timestamp),
            step: int(row, "step")?,
            value: value.or_else(|| number(&text)),
            text,
        },
    })
}

pub(crate) async fn positions(pool: &AnyPool, run: RunId) -> Result<BTreeMap<String, u64>, StoreError> {
    let failed = during("observations cannot be read");
    let rows = sqlx::query(
        "SELECT source, MAX(place) AS last FROM observations
         WHERE experiment_id = $1 AND trial_idx = $2 AND attempt = $3 GROUP BY source",
    )
    .bind(run.experiment.0)
    .bind(run.trial.0 as i64)
    .bind(i64::from(run.attempt))
    .fetch_all(pool)
    .await
    .map_err(&failed)?;
    rows.iter().map(|row| Ok((row.try_get("source").map_err(&failed)?, int(row, "last")? as u64))).collect()
}

pub(crate) async fn delete(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    trial: TrialIdx,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM observations WHERE experiment_id = $1 AND trial_idx = $2")
        .bind(id.0)
        .bind(trial.0 as i64)
        .execute(&mut **tx)
        .await
        .map_err(during("observations cannot be deleted"))?;
    Ok(())
}
