//! Experiments and their status.

use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus};
use controller_core::ports::StoreError;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::database::during;

/// The value that a row keeps as JSON in a column.
pub(crate) fn body<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get(column).map_err(during("a row cannot be read"))?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Failed(format!("a stored {column} cannot be read: {error}")))
}

/// A value as JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("a value cannot be stored: {error}")))
}

/// An integer of a row.
pub(crate) fn int(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    row.try_get(column).map_err(during("a row cannot be read"))
}

pub(crate) async fn insert(
    tx: &mut Transaction<'_, Any>,
    record: &ExperimentRecord,
) -> Result<(), StoreError> {
    let taken = sqlx::query(
        "SELECT id FROM experiments WHERE cluster = $1 AND namespace = $2 AND name = $3 AND living = 0",
    )
    .bind(record.cluster.clone())
    .bind(record.namespace.clone())
    .bind(record.name.clone())
    .fetch_optional(&mut **tx)
    .await
    .map_err(during("experiments cannot be read"))?;
    let exists =
        || StoreError::AlreadyExists { namespace: record.namespace.clone(), name: record.name.clone() };
    if taken.is_some() {
        return Err(exists());
    }
    let inserted = sqlx::query(
        "INSERT INTO experiments (id, cluster, uid, namespace, name, living, created, body)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
    )
    .bind(record.id.0)
    .bind(record.cluster.clone())
    .bind(record.uid.clone())
    .bind(record.namespace.clone())
    .bind(record.name.clone())
    .bind(record.created.0)
    .bind(json(record)?)
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(exists()),
        Err(error) => Err(during("the experiment cannot be stored")(error)),
    }
}

pub(crate) async fn update(
    tx: &mut Transaction<'_, Any>,
    record: &ExperimentRecord,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE experiments SET body = $2, revision = revision + 1 WHERE id = $1")
        .bind(record.id.0)
        .bind(json(record)?)
        .execute(&mut **tx)
        .await
        .map_err(during("the experiment cannot be stored"))?;
    Ok(())
}

pub(crate) async fn mark_deleted(tx: &mut Transaction<'_, Any>, id: ExperimentId) -> Result<(), StoreError> {
    sqlx::query("UPDATE experiments SET living = id WHERE id = $1")
        .bind(id.0)
        .execute(&mut **tx)
        .await
        .map_err(during("the experiment cannot be deleted"))?;
    Ok(())
}

pub(crate) async fn named(
    pool: &AnyPool,
    namespace: &str,
    name: &str,
) -> Result<Option<ExperimentRecord>, StoreError> {
    let row = sqlx::query("SELECT body FROM experiments WHERE namespace = $1 AND name = $2 AND living = 0")
        .bind(namespace.to_owned())
        .bind(name.to_owned())
        .fetch_optional(pool)
        .await
        .map_err(during("experiments cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

pub(crate) async fn by_id(pool: &AnyPool, id: ExperimentId) -> Result<Option<ExperimentRecord>, StoreError> {
    let row = sqlx::query("SELECT body FROM experiments WHERE id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(during("experiments cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

/// Deleted experiments, oldest first.
pub(crate) async fn deleted(pool: &AnyPool) -> Result<Vec<ExperimentRecord>, StoreError> {
    let rows = sqlx::query("SELECT body FROM experiments WHERE living <> 0 ORDER BY created, id")
        .fetch_all(pool)
        .await
        .map_err(during("experiments cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}

/// Erases a deleted experiment from every table; whether it was there.
pub(crate) async fn purge(tx: &mut Transaction<'_, Any>, id: ExperimentId) -> Result<bool, StoreError> {
    let failed = during("a deleted experiment cannot be erased");
    // Whatever else is erased belongs to a row that is.
    let erased = sqlx::query("DELETE FROM experiments WHERE id = $1 AND living <> 0")
        .bind(id.0)
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    if erased.rows_affected() == 0 {
        return Ok(false);
    }
    for statement in [
        "DELETE FROM schedules WHERE experiment_id = $1",
        "DELETE FROM collections WHERE experiment_id = $1",
        "DELETE FROM observations WHERE experiment_id = $1",
        "DELETE FROM metrics WHERE experiment_id = $1",
        "DELETE FROM runs WHERE experiment_id = $1",
        "DELETE FROM trials WHERE experiment_id = $1",
        "DELETE FROM asks WHERE experiment_id = $1",
        "DELETE FROM learnt WHERE experiment_id = $1",
        "DELETE FROM events WHERE experiment_id = $1",
        "DELETE FROM wishes WHERE experiment_id = $1",
        "DELETE FROM leases WHERE experiment_id = $1",
        "DELETE FROM experiment_status WHERE experiment_id = $1",
    ] {
        sqlx::query(statement).bind(id.0).execute(&mut **tx).await.map_err(&failed)?;
    }
    Ok(true)
}

pub(crate) async fn put_status(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    status: &ExperimentStatus,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO experiment_status (experiment_id, generation, body) VALUES ($1, $2, $3)
         ON CONFLICT (experiment_id) DO UPDATE SET generation = excluded.generation, body = excluded.body,
                                                   revision = experiment_status.revision + 1",
    )
    .bind(id.0)
    .bind(status.generation)
    .bind(json(status)?)
    .execute(&mut **tx)
    .await
    .map_err(during("the status cannot be stored"))?;
    Ok(())
}

pub(crate) async fn status(pool: &AnyPool, id: ExperimentId) -> Result<ExperimentStatus, StoreError> {
    let row = sqlx::query("SELECT body FROM experiment_status WHERE experiment_id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(during("the status cannot be read"))?;
    let row = row.ok_or_else(|| StoreError::NotFound(format!("experiment {}", id.0)))?;
    body(&row, "body")
}
