//! What is to be told to others: lines of records, one for each target.

use controller_core::ports::StoreError;
use controller_core::promotion::{Delivery, Queued, Record, Standing};
use controller_core::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::database::during;
use crate::experiments::{body, int, json};

/// A record with how many wait in its line, and since when.
const COLUMNS: &str = "SELECT outbox.seq AS seq, outbox.delivery AS delivery, outbox.body AS body,
    (SELECT COUNT(*) FROM outbox AS line WHERE line.waits = 1 AND line.target = outbox.target) AS waiting,
    (SELECT MIN(line.at) FROM outbox AS line WHERE line.waits = 1 AND line.target = outbox.target) AS oldest
    FROM outbox";

/// Puts a record at the end of its line.
pub(crate) async fn queue(tx: &mut Transaction<'_, Any>, record: &Record) -> Result<(), StoreError> {
    let failed = during("what is to be recorded elsewhere cannot be stored");
    let target = record.target.name();
    let last = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS last FROM outbox WHERE target = $1")
        .bind(target.clone())
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)?;
    let inserted = sqlx::query(
        "INSERT INTO outbox (target, seq, namespace, model, promotion, waits, at, delivery, body)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8)",
    )
    .bind(target)
    .bind(int(&last, "last")? + 1)
    .bind(record.version.namespace.clone())
    .bind(record.version.model.clone())
    .bind(record.promotion as i64)
    .bind(record.at.0)
    .bind(json(&Delivery::default())?)
    .bind(json(record)?)
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(StoreError::Unavailable("another record for the same target came first".into()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes down what has come of a record.
pub(crate) async fn delivered(
    tx: &mut Transaction<'_, Any>,
    target: &str,
    seq: u64,
    delivery: &Delivery,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE outbox SET delivery = $3, waits = $4 WHERE target = $1 AND seq = $2")
        .bind(target.to_owned())
        .bind(seq as i64)
        .bind(json(delivery)?)
        .bind(i64::from(delivery.standing == Standing::Queued))
        .execute(&mut **tx)
        .await
        .map_err(during("what became of a record cannot be stored"))?;
    Ok(())
}

pub(crate) async fn lines(pool: &AnyPool) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("SELECT DISTINCT target FROM outbox WHERE waits = 1 ORDER BY target")
        .fetch_all(pool)
        .await
        .map_err(during("what is to be recorded elsewhere cannot be read"))?;
    rows.iter().map(|row| row.try_get("target").map_err(during("a row cannot be read"))).collect()
}

pub(crate) async fn first(pool: &AnyPool, target: &str) -> Result<Option<Queued>, StoreError> {
    let query = format!("{COLUMNS} WHERE target = $1 AND waits = 1 ORDER BY seq LIMIT 1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(target.to_owned())
        .fetch_optional(pool)
        .await
        .map_err(during("what is to be recorded elsewhere cannot be read"))?;
    row.as_ref().map(queued).transpose()
}

pub(crate) async fn of_promotion(
    pool: &AnyPool,
    namespace: &str,
    model: &str,
    promotion: u64,
) -> Result<Vec<Queued>, StoreError> {
    let query =
        format!("{COLUMNS} WHERE namespace = $1 AND model = $2 AND promotion = $3 ORDER BY target, seq");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(namespace.to_owned())
        .bind(model.to_owned())
        .bind(promotion as i64)
        .fetch_all(pool)
        .await
        .map_err(during("what is to be recorded elsewhere cannot be read"))?;
    rows.iter().map(queued).collect()
}

fn queued(row: &AnyRow) -> Result<Queued, StoreError> {
    let oldest: Option<i64> = row.try_get("oldest").map_err(during("a row cannot be read"))?;
    Ok(Queued {
        seq: int(row, "seq")?.unsigned_abs(),
        record: body(row, "body")?,
        delivery: body(row, "delivery")?,
        waiting: int(row, "waiting")?.unsigned_abs(),
        oldest: oldest.map(Timestamp),
    })
}
