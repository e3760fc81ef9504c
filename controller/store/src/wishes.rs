//! Wishes of people and programs, of experiments and of promotions.

use std::collections::BTreeSet;

use controller_core::experiment::ExperimentId;
use controller_core::ports::StoreError;
use controller_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Transaction};

use crate::database::during;
use crate::experiments::{body, int, json};

/// Writes down a wish behind those there are; returns its number.
pub(crate) async fn put<T: Serialize + Sync>(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    wish: &T,
    at: Timestamp,
) -> Result<i64, StoreError> {
    let failed = during("the wish cannot be stored");
    let last = sqlx::query("SELECT COALESCE(MAX(wish_no), 0) AS last FROM wishes WHERE experiment_id = $1")
        .bind(id.0)
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)?;
    let wish_no = int(&last, "last")? + 1;
    let text = json(wish)?;
    let kind = text.split('"').nth(3).unwrap_or_default().to_owned();
    sqlx::query(
        "INSERT INTO wishes (experiment_id, wish_no, at, taken, kind, body) VALUES ($1, $2, $3, 0, $4, $5)",
    )
    .bind(id.0)
    .bind(wish_no)
    .bind(at.0)
    .bind(kind)
    .bind(text)
    .execute(&mut **tx)
    .await
    .map_err(&failed)?;
    Ok(wish_no)
}

/// Wishes that nobody has carried out, oldest first: number, time, wish.
pub(crate) async fn open<T: DeserializeOwned>(
    pool: &AnyPool,
    id: ExperimentId,
) -> Result<Vec<(i64, Timestamp, T)>, StoreError> {
    let rows = sqlx::query(
        "SELECT wish_no, at, body FROM wishes WHERE experiment_id = $1 AND taken = 0 ORDER BY wish_no",
    )
    .bind(id.0)
    .fetch_all(pool)
    .await
    .map_err(during("wishes cannot be read"))?;
    let wish = |row: &AnyRow| Ok((int(row, "wish_no")?, Timestamp(int(row, "at")?), body(row, "body")?));
    rows.iter().map(wish).collect()
}

/// Whose wishes somebody has yet to carry out.
pub(crate) async fn wished(pool: &AnyPool) -> Result<BTreeSet<ExperimentId>, StoreError> {
    let rows = sqlx::query("SELECT DISTINCT experiment_id FROM wishes WHERE taken = 0")
        .fetch_all(pool)
        .await
        .map_err(during("wishes cannot be read"))?;
    rows.iter().map(|row| Ok(ExperimentId(int(row, "experiment_id")?))).collect()
}

/// Takes wishes from those that are open.
pub(crate) async fn take(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    taken: &[i64],
) -> Result<(), StoreError> {
    for wish_no in taken {
        sqlx::query("UPDATE wishes SET taken = 1 WHERE experiment_id = $1 AND wish_no = $2")
            .bind(id.0)
            .bind(*wish_no)
            .execute(&mut **tx)
            .await
            .map_err(during("the wish cannot be stored"))?;
    }
    Ok(())
}
