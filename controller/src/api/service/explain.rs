//! Explaining: why a trial is as it is, what a field means here, why nothing happens; and trials side by side.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus, Hold};
use controller_core::fields;
use controller_core::ports::TrialQuery;
use controller_core::time::Timestamp;
use controller_core::trial::TrialState;
use serde_json::Value;

use super::error::ApiError;
use super::events::text;
use super::trials::find_trial;
use super::{find, view};
use crate::api::Api;
use crate::api::types::{Comparison, ComparisonRow, Explanation, called};

/// Explains a trial (by name or number), a field (by path, such as `spec.maxTrialCount`), or, without a subject, where
/// the experiment stands and what it waits for.
pub(crate) async fn explain(
    api: &Api,
    namespace: &str,
    name: &str,
    subject: Option<&str>,
) -> Result<Explanation, ApiError> {
    let record = find(api, namespace, name).await?;
    match subject {
        None => experiment(api, &record).await,
        Some(path) if path == "spec" || path.starts_with("spec.") => field(&record, path),
        Some(trial) => self::trial(api, &record, trial).await,
    }
}

async fn experiment(api: &Api, record: &ExperimentRecord) -> Result<Explanation, ApiError> {
    let status = api.world.store.status(record.id).await?;
    let holder = api.world.store.holder(record.id).await?;
    let mut lines = vec![format!("state: {}", view::state(&status))];
    if let Some(current) = status.conditions.last() {
        lines.push(format!("because: {} ({})", view::message(&status), current.reason));
    }
    match &holder {
        Some(holder) => lines.push(format!("driven by: {holder}")),
        None if status.is_completed() => {}
        None => lines.push(format!(
            "driven by nobody: `cairn resume {}`, `cairn run FILE` or `cairn serve` goes on",
            called(&record.namespace, &record.name)
        )),
    }
    lines.extend(waits(record, &status));
    if !status.waiting.is_empty() {
        lines.push(format!("waits: {}", status.waiting));
    }
    for wish in api.world.store.open_wishes(record.id).await? {
        lines.push(format!("wish {} of {} is not carried out yet", wish.wish_no, wish.at.to_rfc3339()));
    }
    let query = TrialQuery { states: vec![TrialState::Pending], limit: 20, ..TrialQuery::default() };
    for trial in api.world.store.trials(record.id, &query).await?.items {
        let why = if trial.message.is_empty() { "is to be started" } else { &*trial.message };
        lines.push(format!("trial {} {} is pending: {why}", trial.idx.0, trial.name));
    }
    let newest = status.last_seq.saturating_sub(5);
    for event in api.world.store.events(record.id, newest, 0).await? {
        lines.push(format!("event {} at {}: {}", event.seq, event.at.to_rfc3339(), text(&event.event)));
    }
    Ok(Explanation { subject: format!("experiment {}", record.name), lines })
}

/// Why no new trial comes, as far as the counters tell.
fn waits(record: &ExperimentRecord, status: &ExperimentStatus) -> Vec<String> {
    let counters = &status.counters;
    let mut lines = Vec::new();
    match status.hold {
        Hold::Free => {}
        Hold::Draining => lines.push(format!(
            "no new trials: it was told to stop; `cairn resume {}` lets it go on",
            called(&record.namespace, &record.name)
        )),
        Hold::Stopped => lines.push(format!(
            "no trials run: it was told to stop now; `cairn resume {}` lets it go on",
            called(&record.namespace, &record.name)
        )),
        Hold::Deleting => lines.push("it is being deleted".into()),
    }
    let budget = |limit: Option<i32>| limit.and_then(|limit| u64::try_from(limit).ok());
    if let Some(max) = budget(record.spec.max_trial_count) {
        let left = match max.saturating_sub(counters.ended()) {
            left if left > 0 && !status.is_completed() => format!(", {left} to go"),
            _ => String::new(),
        };
        lines.push(format!(
            "trials: {} of {max} ended, {} active{left}",
            counters.ended(),
            counters.active()
        ));
    }
    if let Some(parallel) = budget(record.spec.parallel_trial_count)
        && counters.active() >= parallel
        && !status.is_completed()
    {
        lines.push(format!("all {parallel} places for trials at once are taken"));
    }
    lines
}

fn field(record: &ExperimentRecord, path: &str) -> Result<Explanation, ApiError> {
    let spec = serde_json::to_value(&record.spec).unwrap_or_default();
    let mut value = Some(&spec);
    let steps = path.split(['.', '[']).skip(1).map(|step| step.trim_end_matches(']'));
    for step in steps {
        value = value.and_then(|value| match value {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
            other => other.get(step),
        });
    }
    let meaning = fields::at(path);
    let mut lines: Vec<String> = meaning.iter().map(|field| field.doc.to_owned()).collect();
    match value {
        Some(value) => lines.push(format!("here: {value}")),
        None if meaning.is_some() => lines.push("here: unset".into()),
        None => {
            let known: Vec<&str> =
                spec.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
            return Err(ApiError::not_found(format!("`{path}` is not set; spec has {}", known.join(", "))));
        }
    }
    Ok(Explanation { subject: path.to_owned(), lines })
}

/// A comparison as one reads it.
fn than(comparison: study::Comparison) -> &'static str {
    match comparison {
        study::Comparison::Equal => "equal to",
        study::Comparison::Less => "less than",
        study::Comparison::Greater => "greater than",
    }
}

async fn trial(api: &Api, record: &ExperimentRecord, name: &str) -> Result<Explanation, ApiError> {
    let trial = find_trial(api, record, name).await?;
    let point: Vec<String> =
        trial.assignments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut lines = vec![
        format!("state: {} ({})", trial.state.name(), trial.reason),
        format!("point: {}", point.join(", ")),
    ];
    if !trial.message.is_empty() {
        lines.push(format!("because: {}", trial.message));
    }
    let origin = serde_json::to_value(&trial.origin).unwrap_or_default();
    lines.push(format!("came about by: {}", origin["by"].as_str().unwrap_or("search")));
    lines
        .extend(trial.suggestion.notes.iter().map(|(key, value)| format!("algorithm's note: {key}={value}")));
    let asked = api.world.store.asks(record.id, study::TrialIdx(0)).await?;
    let asked =
        asked.iter().find(|ask| (ask.first_idx.0..ask.first_idx.0 + u64::from(ask.n)).contains(&trial.idx.0));
    if let Some(ask) = asked {
        lines.push(format!("asked for with the history up to event {}", ask.history_seq));
    }
    for rule in &trial.rules {
        lines.push(format!(
            "rule: stop once {} is {} {} from row {} on",
            rule.metric,
            than(rule.comparison),
            rule.value,
            rule.start_step
        ));
    }
    for run in api.world.store.runs(record.id, Some(trial.idx)).await? {
        let end = run.end.as_ref().map_or_else(|| "goes on".to_owned(), |end| end.exit.to_string());
        let times = [run.started, run.end.as_ref().map(|end| end.ended)]
            .map(|at| at.map_or_else(|| "?".into(), Timestamp::to_rfc3339));
        lines.push(format!(
            "run {}: {end}, {} to {}, at {}",
            run.id.attempt,
            times[0],
            times[1],
            api.world.executor.place(&run.id).unwrap_or_default()
        ));
        let Some(end) = run.end else { continue };
        if let Some(rule) = end.stopped_by {
            lines.push(format!(
                "run {} was stopped by the rule: {} was {} {}",
                run.id.attempt,
                rule.metric,
                than(rule.comparison),
                rule.value
            ));
        }
        if !end.message.is_empty() {
            lines.push(format!("run {} left a note: {}", run.id.attempt, end.message));
        }
    }
    let mut after = 0;
    loop {
        let events = api.world.store.events(record.id, after, 1000).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in events.iter().filter(|event| event.event.trial() == Some(trial.idx)) {
            lines.push(format!("event {} at {}: {}", event.seq, event.at.to_rfc3339(), text(&event.event)));
        }
    }
    Ok(Explanation { subject: format!("trial {} {}", trial.idx.0, trial.name), lines })
}

/// Trials side by side.
pub(crate) async fn compare(
    api: &Api,
    namespace: &str,
    name: &str,
    trials: &[String],
) -> Result<Comparison, ApiError> {
    if trials.len() < 2 {
        return Err(ApiError::invalid("comparing needs at least two trials"));
    }
    let record = find(api, namespace, name).await?;
    let now = api.world.clock.now();
    let mut found = Vec::new();
    for trial in trials {
        found.push(view::trial(&find_trial(api, &record, trial).await?, now));
    }
    let mut rows = Vec::new();
    let mut row = |kind: &str, name: &str, values: Vec<String>| {
        let differs = values.windows(2).any(|pair| pair[0] != pair[1]);
        rows.push(ComparisonRow { kind: kind.into(), name: name.into(), values, differs });
    };
    row("trial", "state", found.iter().map(|trial| trial.state.clone()).collect());
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    row("trial", "value", found.iter().map(|trial| number(trial.value)).collect());
    row(
        "trial",
        "seconds",
        found.iter().map(|trial| number(trial.seconds.map(|s| (s * 10.0).round() / 10.0))).collect(),
    );
    for parameter in &record.spec.parameters {
        let values = found.iter().map(|trial| trial.parameters.get(&parameter.name).and_then(Value::as_str));
        row("parameter", &parameter.name, values.map(|text| text.unwrap_or_default().to_owned()).collect());
    }
    for metric in record.spec.objective().metrics() {
        let values = found
            .iter()
            .map(|trial| trial.metrics.iter().find(|m| m.name == metric).map(|m| m.latest.clone()));
        row("metric", &metric, values.map(Option::unwrap_or_default).collect());
    }
    Ok(Comparison { trials: found.into_iter().map(|trial| trial.name).collect(), rows })
}
