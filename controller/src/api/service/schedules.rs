//! Schedules: looking at them, suspending them, asking for a run.

use std::sync::Arc;

use controller_core::experiment::{ExperimentRecord, Living};
use controller_core::schedule::{Cause, Timetable};
use controller_core::spec::ScheduleSpec;
use controller_core::time::Timestamp;

use super::error::{ApiError, Code};
use super::experiments::find;
use crate::api::Api;
use crate::api::types::{ScheduleView, SchedulesView, called};
use crate::schedule;

/// All schedules of a namespace, or of all, by name.
pub(crate) async fn schedules(api: &Api, namespace: Option<&str>) -> Result<SchedulesView, ApiError> {
    let all = api.world.store.experiments().await?;
    let mut items = Vec::new();
    for living in &all {
        let record = &living.record;
        if let Some(spec) = &record.spec.schedule
            && namespace.is_none_or(|namespace| record.namespace == namespace)
        {
            items.push(view(api, &all, record, spec).await?);
        }
    }
    items.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    Ok(SchedulesView { items })
}

/// Lets nothing begin by itself, or everything again.
pub(crate) async fn suspend_schedule(
    api: &Api,
    namespace: &str,
    name: &str,
    suspended: bool,
) -> Result<ScheduleView, ApiError> {
    let (record, spec) = scheduled(api, namespace, name).await?;
    api.world.schedules.suspend_schedule(record.id, suspended).await?;
    view(api, &api.world.store.experiments().await?, &record, &spec).await
}

/// Asks for a run; it is made by whoever serves.
pub(crate) async fn ask_for_run(
    api: &Api,
    namespace: &str,
    name: &str,
    cause: Option<&str>,
) -> Result<ScheduleView, ApiError> {
    let (record, spec) = scheduled(api, namespace, name).await?;
    let cause = match cause {
        None | Some("person") => Cause::Person,
        Some("drift") if spec.on_drift == Some(true) => Cause::Drift,
        Some("drift") => {
            let message = format!("drift begins no run of `{name}`; set spec.schedule.onDrift: true");
            return Err(ApiError::new(Code::Conflict, message));
        }
        Some(other) => return Err(ApiError::invalid(format!("cause `{other}` is not person or drift"))),
    };
    api.world.schedules.ask_for_run(record.id, cause).await?;
    view(api, &api.world.store.experiments().await?, &record, &spec).await
}

async fn scheduled(
    api: &Api,
    namespace: &str,
    name: &str,
) -> Result<(ExperimentRecord, ScheduleSpec), ApiError> {
    let record = find(api, namespace, name).await?;
    let Some(spec) = record.spec.schedule.clone() else {
        let message = format!("experiment `{name}` has no schedule; set spec.schedule when it is submitted");
        return Err(ApiError::new(Code::Conflict, message));
    };
    Ok((record, spec))
}

/// Refuses what only a search that runs can do, of a template.
pub(super) fn refuse_template(record: &ExperimentRecord) -> Result<(), ApiError> {
    if record.spec.schedule.is_none() {
        return Ok(());
    }
    let called = called(&record.namespace, &record.name);
    let message = format!(
        "experiment `{}` is a schedule and runs nothing itself; name one of its runs, or use \
         `cairn schedule suspend|resume|run-now {called}`",
        record.name
    );
    Err(ApiError::new(Code::Conflict, message))
}

async fn view(
    api: &Api,
    all: &[Arc<Living>],
    record: &ExperimentRecord,
    spec: &ScheduleSpec,
) -> Result<ScheduleView, ApiError> {
    let scheduled = api.world.schedules.schedule(record.id).await?;
    let now = api.world.wall.now();
    let suspended = scheduled.suspended.unwrap_or(spec.suspend == Some(true));
    let state = scheduled.state.unwrap_or_default();
    let since = if state.since.0 == 0 { now } else { state.since };
    let times = Timetable::of(spec).ok().filter(|_| !suspended);
    let next = times.and_then(|times| times.due(since, now).or_else(|| times.next(since, now)));
    let mut runs = schedule::runs(all, record);
    runs.sort_by_key(|run| run.n);
    Ok(ScheduleView {
        name: record.name.clone(),
        namespace: record.namespace.clone(),
        when: when(spec),
        suspended,
        runs: state.n_runs,
        active: runs.iter().filter(|run| run.end.is_none()).map(|run| run.name.clone()).collect(),
        last: runs.last().map(|run| run.name.clone()),
        next: next.map(Timestamp::to_rfc3339),
        missed: state.missed.map(Timestamp::to_rfc3339),
        asked: scheduled.asked > state.taken || state.pending.is_some(),
    })
}

/// What begins runs, in words.
fn when(spec: &ScheduleSpec) -> String {
    let cron = spec.cron.as_ref().map(|cron| match &spec.time_zone {
        Some(zone) => format!("{cron} ({zone})"),
        None => cron.clone(),
    });
    let every = spec.every.as_ref().map(|every| format!("every {every}"));
    let data = spec.on_new_data.as_ref().map(|data| format!("new data in {}", data.path));
    let drift = (spec.on_drift == Some(true)).then(|| "drift".to_owned());
    [cron, every, data, drift].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
