//! Trials and their runs.

use controller_core::experiment::ExperimentId;
use controller_core::ports::{Page, StoreError, TrialOrder, TrialQuery};
use controller_core::run::RunRecord;
use controller_core::trial::TrialRecord;
use sqlx::{Any, AnyPool, Transaction};
use study::TrialIdx;

use crate::database::during;
use crate::experiments::{body, int, json};
use crate::sql::Sql;

/// Rows in one statement.
const CHUNK: usize = 500;

pub(crate) async fn put(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    trials: &[TrialRecord],
) -> Result<(), StoreError> {
    for chunk in trials.chunks(CHUNK) {
        let mut rows = Vec::with_capacity(chunk.len());
        for trial in chunk {
            rows.push((trial, json(trial)?));
        }
        let mut sql =
            Sql::new("INSERT INTO trials (experiment_id, idx, name, state, objective, created, ended, body)");
        sql.rows(rows, |row, (trial, text)| {
            row.item(id.0)
                .item(trial.idx.0 as i64)
                .item(trial.name.clone())
                .item(trial.state.name().to_owned())
                .number(trial.objectives.first().copied().filter(|value| value.is_finite()))
                .item(trial.created.0)
                .item(trial.ended.map(|ended| ended.0))
                .item(text);
        });
        sql.push(
            " ON CONFLICT (experiment_id, idx) DO UPDATE SET
              state = excluded.state, objective = excluded.objective, ended = excluded.ended, body = excluded.body",
        );
        sql.query_on(tx).execute(&mut **tx).await.map_err(during("trials cannot be stored"))?;
    }
    Ok(())
}

pub(crate) async fn list(
    pool: &AnyPool,
    id: ExperimentId,
    query: &TrialQuery,
) -> Result<Page<TrialRecord>, StoreError> {
    let failed = during("trials cannot be read");
    let count = filtered("SELECT COUNT(*) AS n FROM trials", id, query);
    let total = int(&count.query().fetch_one(pool).await.map_err(&failed)?, "n")? as u64;
    let mut select = filtered("SELECT body FROM trials", id, query);
    let direction = if query.descending { " DESC" } else { "" };
    // Where there is nothing to sort by comes last, in either direction and on either database.
    let column = match query.order {
        TrialOrder::Idx => None,
        TrialOrder::Objective => Some("objective"),
        TrialOrder::Ended => Some("ended"),
    };
    match column {
        None => select.push(&format!(" ORDER BY idx{direction}")),
        Some(column) => select.push(&format!(" ORDER BY {column}{direction} NULLS LAST, idx")),
    };
    if query.limit > 0 {
        select.push(" LIMIT ").bind(query.limit as i64).push(" OFFSET ").bind(query.offset as i64);
    }
    let rows = select.query().fetch_all(pool).await.map_err(&failed)?;
    let items = rows.iter().map(|row| body(row, "body")).collect::<Result<_, _>>()?;
    Ok(Page { items, total })
}

fn filtered(select: &str, id: ExperimentId, query: &TrialQuery) -> Sql {
    let mut sql = Sql::new(select);
    sql.push(" WHERE experiment_id = ").bind(id.0);
    if !query.states.is_empty() {
        sql.push(" AND state IN ").list(query.states.iter().map(|state| state.name().to_owned()));
    }
    sql
}

pub(crate) async fn one(
    pool: &AnyPool,
    id: ExperimentId,
    idx: TrialIdx,
) -> Result<Option<TrialRecord>, StoreError> {
    let row = sqlx::query("SELECT body FROM trials WHERE experiment_id = $1 AND idx = $2")
        .bind(id.0)
        .bind(idx.0 as i64)
        .fetch_optional(pool)
        .await
        .map_err(during("trials cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

pub(crate) async fn named(
    pool: &AnyPool,
    name: &str,
) -> Result<Vec<(ExperimentId, TrialRecord)>, StoreError> {
    let rows = sqlx::query(
        "SELECT trials.experiment_id AS experiment_id, trials.body AS body FROM trials
         JOIN experiments ON experiments.id = trials.experiment_id
         WHERE trials.name = $1 AND experiments.living = 0 ORDER BY trials.created DESC",
    )
    .bind(name.to_owned())
    .fetch_all(pool)
    .await
    .map_err(during("trials cannot be read"))?;
    rows.iter().map(|row| Ok((ExperimentId(int(row, "experiment_id")?), body(row, "body")?))).collect()
}

pub(crate) async fn put_runs(tx: &mut Transaction<'_, Any>, runs: &[RunRecord]) -> Result<(), StoreError> {
    for chunk in runs.chunks(CHUNK) {
        let mut rows = Vec::with_capacity(chunk.len());
        for run in chunk {
            rows.push((run.id, json(run)?));
        }
        let mut sql = Sql::new("INSERT INTO runs (experiment_id, trial_idx, attempt, body)");
        sql.rows(rows, |row, (id, text)| {
            row.item(id.experiment.0).item(id.trial.0 as i64).item(i64::from(id.attempt)).item(text);
        });
        sql.push(" ON CONFLICT (experiment_id, trial_idx, attempt) DO UPDATE SET body = excluded.body");
        sql.query_on(tx).execute(&mut **tx).await.map_err(during("runs cannot be stored"))?;
    }
    Ok(())
}

pub(crate) async fn runs(
    pool: &AnyPool,
    id: ExperimentId,
    trial: Option<TrialIdx>,
) -> Result<Vec<RunRecord>, StoreError> {
    let mut sql = Sql::new("SELECT body FROM runs WHERE experiment_id = ");
    sql.bind(id.0);
    if let Some(trial) = trial {
        sql.push(" AND trial_idx = ").bind(trial.0 as i64);
    }
    sql.push(" ORDER BY trial_idx, attempt");
    let rows = sql.query().fetch_all(pool).await.map_err(during("runs cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}
