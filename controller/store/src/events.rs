//! The log of each experiment, and the questions put to the suggestion service.

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::ExperimentId;
use controller_core::ports::{AskRecord, StoreError};
use controller_core::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Transaction};
use study::TrialIdx;

use crate::database::during;
use crate::experiments::{body, int, json};
use crate::sql::Sql;

/// Rows in one statement.
const CHUNK: usize = 500;

pub(crate) async fn append(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    events: &[StoredEvent],
) -> Result<(), StoreError> {
    for chunk in events.chunks(CHUNK) {
        let mut rows = Vec::with_capacity(chunk.len());
        for stored in chunk {
            rows.push((stored, json(&stored.event)?));
        }
        let mut sql = Sql::new("INSERT INTO events (experiment_id, seq, at, kind, trial_idx, attempt, body)");
        sql.rows(rows, |row, (stored, text)| {
            row.item(id.0)
                .item(stored.seq as i64)
                .item(stored.at.0)
                .item(stored.event.kind().to_owned())
                .item(stored.event.trial().map(|trial| trial.0 as i64))
                .item(stored.event.attempt().map(i64::from))
                .item(text);
        });
        sql.query_on(tx).execute(&mut **tx).await.map_err(during("events cannot be stored"))?;
    }
    Ok(())
}

pub(crate) async fn list(
    pool: &AnyPool,
    id: ExperimentId,
    after: u64,
    limit: u64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let limit = if limit == 0 { i64::MAX } else { limit as i64 };
    let rows = sqlx::query(
        "SELECT seq, at, body FROM events WHERE experiment_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(id.0)
    .bind(after as i64)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(during("events cannot be read"))?;
    let event = |row: &AnyRow| {
        let event: Event = body(row, "body")?;
        Ok(StoredEvent { seq: int(row, "seq")? as u64, at: Timestamp(int(row, "at")?), event })
    };
    rows.iter().map(event).collect()
}

pub(crate) async fn put_asks(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    asks: &[AskRecord],
) -> Result<(), StoreError> {
    for ask in asks {
        sqlx::query(
            "INSERT INTO asks (experiment_id, first_idx, n, history_seq) VALUES ($1, $2, $3, $4)
             ON CONFLICT (experiment_id, first_idx) DO UPDATE SET n = excluded.n, history_seq = excluded.history_seq",
        )
        .bind(id.0)
        .bind(ask.first_idx.0 as i64)
        .bind(i64::from(ask.n))
        .bind(ask.history_seq as i64)
        .execute(&mut **tx)
        .await
        .map_err(during("the question cannot be stored"))?;
    }
    Ok(())
}

pub(crate) async fn drop_asks(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    from: TrialIdx,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM asks WHERE experiment_id = $1 AND first_idx >= $2")
        .bind(id.0)
        .bind(from.0 as i64)
        .execute(&mut **tx)
        .await
        .map_err(during("questions cannot be dropped"))?;
    Ok(())
}

pub(crate) async fn asks(
    pool: &AnyPool,
    id: ExperimentId,
    from: TrialIdx,
) -> Result<Vec<AskRecord>, StoreError> {
    let rows = sqlx::query(
        "SELECT first_idx, n, history_seq FROM asks WHERE experiment_id = $1 AND first_idx >= $2 ORDER BY first_idx",
    )
    .bind(id.0)
    .bind(from.0 as i64)
    .fetch_all(pool)
    .await
    .map_err(during("questions cannot be read"))?;
    let ask = |row: &AnyRow| {
        Ok(AskRecord {
            first_idx: TrialIdx(int(row, "first_idx")? as u64),
            n: int(row, "n")? as u32,
            history_seq: int(row, "history_seq")? as u64,
        })
    };
    rows.iter().map(ask).collect()
}
