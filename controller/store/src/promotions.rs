//! Promotions, versions, champions and the audit log.

use controller_core::ports::{ModelRecord, PromotionQuery, StoreError};
use controller_core::promotion::{AuditEntry, Change, Deed, Promotion, PromotionId, Serving, Version};
use controller_core::time::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::database::during;
use crate::experiments::{body, int, json};
use crate::outbox;

/// Writes down a promotion with the next number of its model, unless its key is known.
pub(crate) async fn propose(
    tx: &mut Transaction<'_, Any>,
    promotion: &Promotion,
) -> Result<Promotion, StoreError> {
    let failed = during("the promotion cannot be stored");
    let there = sqlx::query("SELECT body FROM promotions WHERE id = $1")
        .bind(promotion.id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
    if let Some(row) = there {
        return body(&row, "body");
    }
    let row = sqlx::query(
        "SELECT COALESCE(MAX(number), 0) AS last FROM promotions WHERE namespace = $1 AND model = $2",
    )
    .bind(promotion.namespace.clone())
    .bind(promotion.model.clone())
    .fetch_one(&mut **tx)
    .await
    .map_err(&failed)?;
    let number = int(&row, "last")? + 1;
    let kept = Promotion { number: number.unsigned_abs(), ..promotion.clone() };
    let inserted = sqlx::query(
        "INSERT INTO promotions (id, namespace, model, number, ended, created, body)
         VALUES ($1, $2, $3, $4, 0, $5, $6)",
    )
    .bind(kept.id.0)
    .bind(kept.namespace.clone())
    .bind(kept.model.clone())
    .bind(number)
    .bind(kept.created.0)
    .bind(json(&kept)?)
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(kept),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(StoreError::Unavailable("another promotion of the model came at the same moment".into()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes what a step decided.
pub(crate) async fn keep(tx: &mut Transaction<'_, Any>, change: &Change) -> Result<(), StoreError> {
    let failed = during("the promotion cannot be stored");
    let promotion = &change.promotion;
    sqlx::query("UPDATE promotions SET body = $2, ended = $3 WHERE id = $1")
        .bind(promotion.id.0)
        .bind(json(promotion)?)
        .bind(i64::from(promotion.state.is_final()))
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    if let Some(version) = &change.version {
        sqlx::query(
            "INSERT INTO versions (namespace, model, number, digest, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(version.namespace.clone())
        .bind(version.model.clone())
        .bind(version.number as i64)
        .bind(version.digest().to_owned())
        .bind(json(version)?)
        .execute(&mut **tx)
        .await
        .map_err(during("the version cannot be stored"))?;
    }
    if let Some(champion) = change.champion {
        sqlx::query(
            "INSERT INTO champions (namespace, model, number, since) VALUES ($1, $2, $3, $4)
             ON CONFLICT (namespace, model) DO UPDATE SET number = excluded.number, since = excluded.since",
        )
        .bind(promotion.namespace.clone())
        .bind(promotion.model.clone())
        .bind(champion as i64)
        .bind(promotion.ended.unwrap_or_default().0)
        .execute(&mut **tx)
        .await
        .map_err(during("the champion cannot be stored"))?;
    }
    if let Some(serving) = &change.serving {
        keep_serving(tx, serving).await?;
    }
    for record in &change.records {
        outbox::queue(tx, record).await?;
    }
    record(tx, &change.deeds).await
}

/// Writes down the servers of a model.
pub(crate) async fn keep_serving(tx: &mut Transaction<'_, Any>, serving: &Serving) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO serving (namespace, model, body) VALUES ($1, $2, $3)
         ON CONFLICT (namespace, model) DO UPDATE SET body = excluded.body",
    )
    .bind(serving.namespace.clone())
    .bind(serving.model.clone())
    .bind(json(serving)?)
    .execute(&mut **tx)
    .await
    .map_err(during("the servers of the model cannot be stored"))?;
    Ok(())
}

pub(crate) async fn serving(
    pool: &AnyPool,
    namespace: &str,
    model: &str,
) -> Result<Option<Serving>, StoreError> {
    let row = sqlx::query("SELECT body FROM serving WHERE namespace = $1 AND model = $2")
        .bind(namespace.to_owned())
        .bind(model.to_owned())
        .fetch_optional(pool)
        .await
        .map_err(during("the servers of the model cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

pub(crate) async fn all_serving(pool: &AnyPool) -> Result<Vec<Serving>, StoreError> {
    let rows = sqlx::query("SELECT body FROM serving ORDER BY namespace, model")
        .fetch_all(pool)
        .await
        .map_err(during("the servers of models cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}

/// Appends to the audit log.
pub(crate) async fn record(tx: &mut Transaction<'_, Any>, deeds: &[Deed]) -> Result<(), StoreError> {
    if deeds.is_empty() {
        return Ok(());
    }
    let failed = during("the audit log cannot be written");
    let last = sqlx::query("SELECT body FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
    let mut last: Option<AuditEntry> = last.map(|row| body(&row, "body")).transpose()?;
    for deed in deeds {
        let entry = AuditEntry::after(last.as_ref(), deed.clone());
        let inserted = sqlx::query("INSERT INTO audit (seq, body) VALUES ($1, $2)")
            .bind(entry.seq as i64)
            .bind(json(&entry)?)
            .execute(&mut **tx)
            .await;
        match inserted {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                return Err(StoreError::Unavailable("another entry of the audit log came first".into()));
            }
            Err(error) => return Err(failed(error)),
        }
        last = Some(entry);
    }
    Ok(())
}

pub(crate) async fn by_id(pool: &AnyPool, id: PromotionId) -> Result<Option<Promotion>, StoreError> {
    let row = sqlx::query("SELECT body FROM promotions WHERE id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(during("promotions cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

pub(crate) async fn list(pool: &AnyPool, query: &PromotionQuery) -> Result<Vec<Promotion>, StoreError> {
    let rows = sqlx::query(
        "SELECT body FROM promotions
         WHERE ($1 = '' OR namespace = $1) AND ($2 = '' OR model = $2) AND ended <= $3
         ORDER BY created DESC, number DESC, id",
    )
    .bind(query.namespace.clone().unwrap_or_default())
    .bind(query.model.clone().unwrap_or_default())
    .bind(i64::from(!query.open))
    .fetch_all(pool)
    .await
    .map_err(during("promotions cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}

pub(crate) async fn models(pool: &AnyPool) -> Result<Vec<ModelRecord>, StoreError> {
    let rows = sqlx::query("SELECT namespace, model, number, since FROM champions ORDER BY namespace, model")
        .fetch_all(pool)
        .await
        .map_err(during("models cannot be read"))?;
    let record = |row: &AnyRow| {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(during("a row cannot be read"));
        Ok(ModelRecord {
            namespace: text("namespace")?,
            name: text("model")?,
            champion: int(row, "number")?.unsigned_abs(),
            since: Timestamp(int(row, "since")?),
        })
    };
    rows.iter().map(record).collect()
}

pub(crate) async fn versions(
    pool: &AnyPool,
    namespace: &str,
    model: &str,
) -> Result<Vec<Version>, StoreError> {
    let rows =
        sqlx::query("SELECT body FROM versions WHERE namespace = $1 AND model = $2 ORDER BY number DESC")
            .bind(namespace.to_owned())
            .bind(model.to_owned())
            .fetch_all(pool)
            .await
            .map_err(during("versions cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}

pub(crate) async fn champion(
    pool: &AnyPool,
    namespace: &str,
    model: &str,
) -> Result<Option<Version>, StoreError> {
    let row = sqlx::query(
        "SELECT versions.body AS body FROM champions
         JOIN versions ON versions.namespace = champions.namespace AND versions.model = champions.model
         AND versions.number = champions.number
         WHERE champions.namespace = $1 AND champions.model = $2",
    )
    .bind(namespace.to_owned())
    .bind(model.to_owned())
    .fetch_optional(pool)
    .await
    .map_err(during("the champion cannot be read"))?;
    row.map(|row| body(&row, "body")).transpose()
}

pub(crate) async fn audit(pool: &AnyPool, after: u64) -> Result<Vec<AuditEntry>, StoreError> {
    let rows = sqlx::query("SELECT body FROM audit WHERE seq > $1 ORDER BY seq")
        .bind(after as i64)
        .fetch_all(pool)
        .await
        .map_err(during("the audit log cannot be read"))?;
    rows.iter().map(|row| body(row, "body")).collect()
}
