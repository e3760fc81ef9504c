//! Runs whose metrics are all there, and what was found beside them.

use controller_core::ports::{Collected, StoreError};
use controller_core::run::RunId;
use controller_core::time::Timestamp;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Transaction};

use crate::database::during;
use crate::experiments::{body, json};

pub(crate) async fn put(
    tx: &mut Transaction<'_, Any>,
    run: RunId,
    collected: &Collected,
    at: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "INSERT INTO collections (experiment_id, trial_idx, attempt, at, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (experiment_id, trial_idx, attempt) DO NOTHING",
    )
    .bind(run.experiment.0)
    .bind(run.trial.0 as i64)
    .bind(i64::from(run.attempt))
    .bind(at.0)
    .bind(json(collected)?)
    .execute(&mut **tx)
    .await
    .map_err(during("the end of a collection cannot be stored"))?;
    if done.rows_affected() > 0 || collected.left.is_nothing() {
        return Ok(());
    }
    // Of several pods that have run one after the other, a later one may have left something.
    let failed = during("the end of a collection cannot be read");
    let row = bound(sqlx::query(SELECT), run).fetch_one(&mut **tx).await.map_err(failed)?;
    let mut kept: Collected = body(&row, "body")?;
    kept.left = kept.left.then(collected.left.clone());
    let update =
        "UPDATE collections SET body = $4 WHERE experiment_id = $1 AND trial_idx = $2 AND attempt = $3";
    let update = bound(sqlx::query(update), run).bind(json(&kept)?);
    update.execute(&mut **tx).await.map_err(during("the end of a collection cannot be stored"))?;
    Ok(())
}

/// What was said of a run.
const SELECT: &str =
    "SELECT body FROM collections WHERE experiment_id = $1 AND trial_idx = $2 AND attempt = $3";

fn bound(query: Query<'_, Any, AnyArguments>, run: RunId) -> Query<'_, Any, AnyArguments> {
    query.bind(run.experiment.0).bind(run.trial.0 as i64).bind(i64::from(run.attempt))
}

pub(crate) async fn get(pool: &AnyPool, run: RunId) -> Result<Option<Collected>, StoreError> {
    let row = bound(sqlx::query(SELECT), run).fetch_optional(pool).await;
    let row = row.map_err(during("the end of a collection cannot be read"))?;
    row.as_ref().map(|row| body(row, "body")).transpose()
}
