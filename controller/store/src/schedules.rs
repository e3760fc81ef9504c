//! Schedules: one row for each template that somebody has looked at or wanted something of.

use controller_core::experiment::ExperimentId;
use controller_core::ports::StoreError;
use controller_core::schedule::{Cause, ScheduleState, Scheduled};
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::database::during;
use crate::experiments::{body, int, json};

pub(crate) async fn get(pool: &AnyPool, id: ExperimentId) -> Result<Scheduled, StoreError> {
    let failed = during("the schedule cannot be read");
    let row = sqlx::query("SELECT suspended, asked, cause, body FROM schedules WHERE experiment_id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await
        .map_err(&failed)?;
    let Some(row) = row else { return Ok(Scheduled::default()) };
    let suspended: Option<i64> = row.try_get("suspended").map_err(&failed)?;
    Ok(Scheduled {
        suspended: suspended.map(|suspended| suspended != 0),
        asked: u64::try_from(int(&row, "asked")?).unwrap_or(0),
        cause: body(&row, "cause")?,
        state: body(&row, "body")?,
    })
}

pub(crate) async fn suspend(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    suspended: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO schedules (experiment_id, suspended, asked, cause, body) VALUES ($1, $2, 0, $3, 'null')
         ON CONFLICT (experiment_id) DO UPDATE SET suspended = excluded.suspended",
    )
    .bind(id.0)
    .bind(i64::from(suspended))
    .bind(json(&Cause::default())?)
    .execute(&mut **tx)
    .await
    .map_err(during("the schedule cannot be suspended"))?;
    Ok(())
}

/// Asks for one more run; returns how many were asked for so far.
pub(crate) async fn ask(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    cause: Cause,
) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO schedules (experiment_id, suspended, asked, cause, body) VALUES ($1, NULL, 1, $2, 'null')
         ON CONFLICT (experiment_id) DO UPDATE SET asked = schedules.asked + 1, cause = excluded.cause
         RETURNING asked",
    )
    .bind(id.0)
    .bind(json(&cause)?)
    .fetch_one(&mut **tx)
    .await
    .map_err(during("the run cannot be asked for"))?;
    Ok(u64::try_from(int(&row, "asked")?).unwrap_or(0))
}

pub(crate) async fn keep(
    tx: &mut Transaction<'_, Any>,
    id: ExperimentId,
    state: &ScheduleState,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO schedules (experiment_id, suspended, asked, cause, body) VALUES ($1, NULL, 0, $2, $3)
         ON CONFLICT (experiment_id) DO UPDATE SET body = excluded.body",
    )
    .bind(id.0)
    .bind(json(&Cause::default())?)
    .bind(json(state)?)
    .execute(&mut **tx)
    .await
    .map_err(during("the schedule cannot be stored"))?;
    Ok(())
}
