//! Trials: pages of them, one, its observations, its log, and the best.

use bytes::Bytes;
use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{ObservationQuery, TrialOrder, TrialQuery};
use controller_core::run::RunId;
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use futures::stream::BoxStream;
use study::TrialIdx;

use super::error::{ApiError, Code};
use super::filter::{self, Filter};
use super::front::{self, Against};
use super::{find, view};
use crate::api::Api;
use crate::api::types::{Observation, Observations, Repeated, Trial, Trials};

/// Which trials are wanted, as the API takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TrialsQuery {
    /// A condition.
    pub(crate) filter: Option<String>,
    /// Fields that count beside the objective: only trials that no other beats in all of them. With a leading `-` the
    /// larger is the better.
    pub(crate) front: Option<String>,
    /// A field; by number without one, or of a front by the objective. With a leading `-` largest first.
    pub(crate) sort: Option<String>,
    /// How many to pass over.
    pub(crate) offset: u64,
    /// How many at most; 0: all.
    pub(crate) limit: u64,
}

/// A page of trials.
pub(crate) async fn trials(
    api: &Api,
    namespace: &str,
    name: &str,
    query: &TrialsQuery,
) -> Result<Trials, ApiError> {
    let record = find(api, namespace, name).await?;
    let filter = query.filter.as_deref().map(Filter::parse).transpose().map_err(ApiError::invalid)?;
    let (sort, descending) = match query.sort.as_deref() {
        Some(sort) => sort.strip_prefix('-').map_or((sort, false), |sort| (sort, true)),
        None => ("idx", false),
    };
    let against = query.front.as_deref().map(front::read).unwrap_or_default();
    let against_fields = against.iter().map(|one| one.field);
    let looked_at = filter.iter().flat_map(Filter::fields).chain([sort]).chain(against_fields);
    for field in looked_at {
        check_field(&record, field)?;
    }
    let order = match sort {
        "idx" => Some(TrialOrder::Idx),
        "value" => Some(TrialOrder::Objective),
        "ended" => Some(TrialOrder::Ended),
        _ => None,
    };
    let now = api.world.clock.now();
    let Some(order) = order.filter(|_| filter.is_none() && against.is_empty()) else {
        let sort = Sort { order, field: sort, descending };
        return sorted_here(api, &record, filter.as_ref(), &against, sort, query).await;
    };
    let stored =
        TrialQuery { order, descending, offset: query.offset, limit: query.limit, ..TrialQuery::default() };
    let page = api.world.store.trials(record.id, &stored).await?;
    Ok(Trials {
        items: page.items.iter().map(|trial| view::trial(&record, trial, now)).collect(),
        total: page.total,
    })
}

/// How trials are to be sorted.
#[derive(Clone, Copy)]
struct Sort<'a> {
    /// As the store can.
    order: Option<TrialOrder>,
    field: &'a str,
    descending: bool,
}

/// What the store cannot sort or filter is sorted and filtered here, over all trials.
async fn sorted_here(
    api: &Api,
    record: &ExperimentRecord,
    filter: Option<&Filter>,
    against: &[Against<'_>],
    Sort { order, field: sort, descending }: Sort<'_>,
    query: &TrialsQuery,
) -> Result<Trials, ApiError> {
    let now = api.world.clock.now();
    let stored = TrialQuery {
        order: order.unwrap_or_default(),
        descending: descending && order.is_some(),
        ..TrialQuery::default()
    };
    let all = api.world.store.trials(record.id, &stored).await?.items;
    let mut items: Vec<Trial> = all
        .iter()
        .map(|trial| view::trial(record, trial, now))
        .filter(|trial| filter.is_none_or(|filter| filter.holds(trial)))
        .collect();
    if !against.is_empty() {
        let best = front::of(record, items.clone(), against);
        if query.sort.is_none() {
            items = best;
        } else {
            items.retain(|trial| best.iter().any(|one| one.idx == trial.idx));
        }
    }
    if order.is_none() {
        items.sort_by(|a, b| match (filter::field(a, sort), filter::field(b, sort)) {
            (Some(a), Some(b)) if descending => filter::order(&b, &a),
            (Some(a), Some(b)) => filter::order(&a, &b),
            // Trials without the field come last either way.
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
    let total = items.len() as u64;
    let limit = if query.limit == 0 { usize::MAX } else { query.limit as usize };
    let items = items.into_iter().skip(query.offset as usize).take(limit).collect();
    Ok(Trials { items, total })
}

fn check_field(record: &ExperimentRecord, field: &str) -> Result<(), ApiError> {
    let parameters = record.spec.given();
    let metrics = record.spec.objective().metrics();
    let known = parameters.contains(&field)
        || metrics.iter().any(|metric| metric == field)
        || filter::FIELDS.contains(&field)
        || field == "ended";
    if known {
        return Ok(());
    }
    let message = format!(
        "`{field}` is no field of these trials; there are {}, parameters {}, metrics {}",
        filter::FIELDS.join(", "),
        parameters.join(", "),
        metrics.join(", ")
    );
    Err(ApiError::invalid(message))
}

/// A trial by name or number.
pub(super) async fn find_trial(
    api: &Api,
    record: &ExperimentRecord,
    name: &str,
) -> Result<TrialRecord, ApiError> {
    let not_found = || {
        let message =
            format!("trial `{name}` not found in experiment `{}`; `cairn trials` lists them", record.name);
        ApiError::not_found(message)
    };
    if let Ok(idx) = name.parse() {
        return api.world.store.trial(record.id, TrialIdx(idx)).await?.ok_or_else(not_found);
    }
    let named = api.world.store.trials_named(name).await?;
    named.into_iter().find(|(id, _)| *id == record.id).map(|(_, trial)| trial).ok_or_else(not_found)
}

/// One trial, with the place of its newest run.
pub(crate) async fn trial(api: &Api, namespace: &str, name: &str, trial: &str) -> Result<Trial, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = find_trial(api, &record, trial).await?;
    Ok(placed(api, &record, &trial))
}

/// A trial with the place of its newest run.
pub(super) fn placed(api: &Api, record: &ExperimentRecord, trial: &TrialRecord) -> Trial {
    let mut view = view::trial(record, trial, api.world.clock.now());
    let run = RunId { experiment: record.id, trial: trial.idx, attempt: trial.attempt };
    view.place = api.world.executor.place(&run);
    view
}

/// The best trial so far.
pub(crate) async fn best(api: &Api, namespace: &str, name: &str) -> Result<Trial, ApiError> {
    let record = find(api, namespace, name).await?;
    let status = api.world.store.status(record.id).await?;
    let Some(best) = status.best else {
        let metric = record.spec.objective().objective_metric_name;
        let message = format!("experiment `{name}` has no trial with a value of `{metric}` yet");
        return Err(ApiError::not_found(message));
    };
    let trial = api.world.store.trial(record.id, best.idx).await?;
    let trial = trial.ok_or_else(|| ApiError::not_found(format!("trial `{}` not found", best.name)))?;
    let mut view = placed(api, &record, &trial);
    if let (Some(mean), Some(std_error)) = (best.value, best.std_error) {
        view.repeated = Some(Repeated { runs: best.runs, mean, std_error });
    }
    Ok(view)
}

/// What was measured of a trial, in the order of writing.
pub(crate) async fn observations(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
    metric: Option<&str>,
    limit: u64,
) -> Result<Observations, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = find_trial(api, &record, trial).await?;
    let query = ObservationQuery {
        trial: Some(trial.idx),
        metric: metric.map(str::to_owned),
        limit,
        ..ObservationQuery::default()
    };
    let stored = api.world.store.observations(record.id, &query).await?;
    let items = stored.into_iter().map(|observation| Observation {
        metric: observation.row.metric.to_string(),
        attempt: observation.attempt,
        step: observation.row.step,
        time: observation.row.time.map(Timestamp::to_rfc3339_micros),
        text: observation.row.text,
        value: observation.row.value.filter(|value| value.is_finite()),
    });
    Ok(Observations { items: items.collect() })
}

/// What a trial has printed, from a byte on; with `follow` until its run has ended.
pub(crate) async fn logs(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
    attempt: Option<u32>,
    from: u64,
    follow: bool,
) -> Result<BoxStream<'static, Bytes>, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = find_trial(api, &record, trial).await?;
    let attempt = attempt.unwrap_or(trial.attempt);
    if attempt == 0 || attempt > trial.attempt {
        let message = match trial.attempt {
            0 => format!("trial `{}` has not begun", trial.name),
            newest => format!("trial `{}` has attempts 1 to {newest}", trial.name),
        };
        return Err(ApiError::new(Code::NotFound, message));
    }
    let run = RunId { experiment: record.id, trial: trial.idx, attempt };
    let follow = follow && !(trial.state.is_final() && attempt == trial.attempt);
    Ok(api.world.executor.logs(&run, from, follow))
}
