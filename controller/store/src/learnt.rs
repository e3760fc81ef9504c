//! What algorithms have learnt, the newest of each experiment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller_core::experiment::ExperimentId;
use controller_core::ports::{Learnt, StoreError};
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::database::during;
use crate::experiments::{body, json};

pub(crate) async fn put(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    learnt: &Learnt,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO learnt (experiment_id, maker, prefix, state) VALUES ($1, $2, $3, $4)
         ON CONFLICT (experiment_id) DO UPDATE
         SET maker = excluded.maker, prefix = excluded.prefix, state = excluded.state",
    )
    .bind(id.0)
    .bind(learnt.by.clone())
    .bind(json(&learnt.prefix)?)
    .bind(STANDARD.encode(&learnt.state))
    .execute(&mut **tx)
    .await
    .map_err(during("what was learnt cannot be stored"))?;
    Ok(())
}

pub(crate) async fn delete(tx: &mut Transaction<'_, Any>, id: ExperimentId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM learnt WHERE experiment_id = $1")
        .bind(id.0)
        .execute(&mut **tx)
        .await
        .map_err(during("what was learnt cannot be deleted"))?;
    Ok(())
}

/// What is kept; a row that cannot be read is none, as it can be learnt again.
pub(crate) async fn get(pool: &AnyPool, id: ExperimentId) -> Result<Option<Learnt>, StoreError> {
    let failed = during("what was learnt cannot be read");
    let row = sqlx::query("SELECT maker, prefix, state FROM learnt WHERE experiment_id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(&failed)?;
    let Some(row) = row else { return Ok(None) };
    let (by, state): (String, String) =
        (row.try_get("maker").map_err(&failed)?, row.try_get("state").map_err(&failed)?);
    let prefix = body(&row, "prefix").ok();
    Ok(prefix.zip(STANDARD.decode(state).ok()).map(|(prefix, state)| Learnt { by, prefix, state }))
}
