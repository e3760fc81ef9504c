//! Values that programs report of their own trials: our client's, and Katib's.

use controller_core::experiment::ExperimentId;
use controller_core::metrics::value::number;
use controller_core::ports::{ObservationQuery, ObservationRow, Pushed, Wish};
use controller_core::run::RunId;
use controller_core::time::Timestamp;
use controller_core::trial::{TrialRecord, TrialState};
use proto::katib;

use super::error::{ApiError, Code};
use super::rules::{self, Places};
use crate::api::Api;
use crate::api::types::PushRequest;

/// The newest trial of a name that a program may report to: one that has begun and not ended.
async fn running(api: &Api, name: &str) -> Result<(ExperimentId, TrialRecord), ApiError> {
    let named = api.world.store.trials_named(name).await?;
    let known = named.first().map(|(_, trial)| trial.state.name());
    let running = named.into_iter().find(|(_, trial)| {
        trial.attempt > 0 && matches!(trial.state, TrialState::Pending | TrialState::Running)
    });
    running.ok_or_else(|| match known {
        None => ApiError::not_found(format!("trial `{name}` not found")),
        Some(state) => ApiError::new(
            Code::Conflict,
            format!("trial `{name}` is not running: {state}; nothing was stored"),
        ),
    })
}

/// Keeps values of our own client; a number that was sent before adds nothing.
pub(crate) async fn push(api: &Api, trial: &str, request: &PushRequest) -> Result<(), ApiError> {
    let (experiment, trial) = running(api, trial).await?;
    let run = RunId { experiment, trial: trial.idx, attempt: trial.attempt };
    if let Some(attempt) = request.attempt.filter(|attempt| *attempt != trial.attempt) {
        let (name, now) = (&trial.name, trial.attempt);
        let message =
            format!("attempt {attempt} of trial `{name}` is over, it is at {now}; nothing was stored");
        return Err(ApiError::new(Code::Conflict, message));
    }
    let now = api.world.clock.now();
    let source: std::sync::Arc<str> = format!("push/{}", request.source).into();
    let mut rows = Vec::with_capacity(request.items.len());
    for (i, item) in request.items.iter().enumerate() {
        let time = match item.time.as_deref() {
            None => now,
            Some(text) => Timestamp::parse_rfc3339(text).ok_or_else(|| {
                ApiError::invalid(format!(
                    "items[{i}].time: `{text}` is no time such as 2026-01-01T10:00:00Z"
                ))
            })?,
        };
        if item.metric.is_empty() {
            return Err(ApiError::invalid(format!("items[{i}].metric is empty")));
        }
        rows.push(ObservationRow {
            source: source.clone(),
            offset: item.seq,
            nth: 0,
            metric: item.metric.as_str().into(),
            time: Some(time),
            step: item.step.unwrap_or(i64::try_from(item.seq).unwrap_or(i64::MAX)),
            text: item.value.replace('\0', "\\x00"),
            value: number(&item.value),
        });
    }
    api.world.store.append(&[(run, rows.clone())]).await?;
    rules::look(api, run, &trial, &rows, Places::Known).await?;
    api.world.wake.notify_waiters();
    Ok(())
}

/// Katib's `ReportObservationLog`: rows without a time are passed over, others kept in order after what is there.
pub(crate) async fn report(api: &Api, request: &katib::ReportObservationLogRequest) -> Result<(), ApiError> {
    let (experiment, trial) = running(api, &request.trial_name).await?;
    let run = RunId { experiment, trial: trial.idx, attempt: trial.attempt };
    let logs = request.observation_log.iter().flat_map(|log| &log.metric_logs);
    let mut rows = Vec::new();
    for log in logs.filter(|log| !log.time_stamp.is_empty()) {
        let Some(metric) = &log.metric else { continue };
        let time = Timestamp::parse_rfc3339(&log.time_stamp).ok_or_else(|| {
            ApiError::invalid(format!("Error parsing start time {}: no RFC 3339 time", log.time_stamp))
        })?;
        rows.push(Pushed {
            metric: metric.name.clone(),
            time,
            text: metric.value.replace('\0', "\\x00"),
            value: number(&metric.value),
        });
    }
    api.world.store.push(run, &rows).await?;
    let looked_at: Vec<ObservationRow> = rows.into_iter().map(unplaced).collect();
    rules::look(api, run, &trial, &looked_at, Places::Unknown).await?;
    api.world.wake.notify_waiters();
    Ok(())
}

/// A pushed value as rules see it; its place is the store's.
fn unplaced(pushed: Pushed) -> ObservationRow {
    ObservationRow {
        source: "".into(),
        offset: 0,
        nth: 0,
        metric: pushed.metric.into(),
        time: Some(pushed.time),
        step: 0,
        text: pushed.text,
        value: pushed.value,
    }
}

/// Katib's `GetObservationLog`: ordered by time; unknown trials have an empty log.
pub(crate) async fn log(
    api: &Api,
    request: &katib::GetObservationLogRequest,
) -> Result<Vec<katib::MetricLog>, ApiError> {
    let named = api.world.store.trials_named(&request.trial_name).await?;
    let Some((id, trial)) = named.into_iter().next() else { return Ok(Vec::new()) };
    let time = |text: &str| match text {
        "" => Ok(None),
        text => Timestamp::parse_rfc3339(text)
            .map(Some)
            .ok_or_else(|| ApiError::invalid(format!("Error parsing start time {text}: no RFC 3339 time"))),
    };
    let query = ObservationQuery {
        trial: Some(trial.idx),
        metric: Some(request.metric_name.clone()).filter(|name| !name.is_empty()),
        from: time(&request.start_time)?,
        to: time(&request.end_time)?,
        ..ObservationQuery::default()
    };
    let mut rows = api.world.store.observations(id, &query).await?;
    rows.retain(|row| trial.counts(row.attempt));
    rows.sort_by_key(|row| row.row.time);
    let logs = rows.into_iter().map(|row| katib::MetricLog {
        time_stamp: row.row.time.map(Timestamp::to_rfc3339_micros).unwrap_or_default(),
        metric: Some(katib::Metric { name: row.row.metric.to_string(), value: row.row.text }),
    });
    Ok(logs.collect())
}

/// Katib's `DeleteObservationLog`; of an unknown trial there is nothing to delete.
pub(crate) async fn delete_log(api: &Api, trial: &str) -> Result<(), ApiError> {
    if let Some((id, trial)) = api.world.store.trials_named(trial).await?.into_iter().next() {
        api.world.store.delete_observations(id, trial.idx).await?;
    }
    Ok(())
}

/// Katib's `SetTrialStatus`: a rule has stopped this trial. Its driver ends it, as a wish.
pub(crate) async fn stop_early(api: &Api, trial: &str) -> Result<(), ApiError> {
    let (id, trial) = running(api, trial).await?;
    let wish = Wish::StopEarly { trial: trial.idx };
    api.world.store.wish(id, &wish, api.world.clock.now()).await?;
    api.world.wake.notify_waiters();
    Ok(())
}

/// The namespaces of all trials of a name.
pub(crate) async fn namespaces_of(api: &Api, trial: &str) -> Result<Vec<String>, ApiError> {
    let mut namespaces = Vec::new();
    for (id, _) in api.world.store.trials_named(trial).await? {
        namespaces.extend(api.world.store.experiment_by_id(id).await?.map(|record| record.namespace));
    }
    Ok(namespaces)
}
