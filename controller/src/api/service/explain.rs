//! Explaining: why a trial is as it is, what a field means here, why nothing happens; and trials side by side.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus, Hold};
use controller_core::fields;
use controller_core::ports::TrialQuery;
use controller_core::prediction::{self, Prediction};
use controller_core::spec::ObjectiveSpec;
use controller_core::time::Timestamp;
use controller_core::trial::{Origin, TrialRecord, TrialState};
use serde_json::Value;

use super::error::ApiError;
use super::events::text;
use super::trials::find_trial;
use super::{fidelity, find, view};
use crate::api::Api;
use crate::api::types::{CairnBlock, Calibration, Comparison, ComparisonRow, Explanation, called};

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
    let mut block = CairnBlock::default();
    fidelity::add(api, record, &status, &mut block).await?;
    lines.extend(block.steps.map(|steps| steps.to_string()));
    lines.extend(waits(record, &status));
    if !status.waiting.is_empty() {
        lines.push(format!("waits: {}", status.waiting));
    }
    for wish in api.world.store.open_wishes(record.id).await? {
        lines.push(format!("wish {} of {} is not carried out yet", wish.wish_no, wish.at.to_rfc3339()));
    }
    let states = vec![TrialState::Pending, TrialState::Paused];
    let query = TrialQuery { states, limit: 20, ..TrialQuery::default() };
    for trial in api.world.store.trials(record.id, &query).await?.items {
        let why = if trial.message.is_empty() { "is to be started" } else { &*trial.message };
        let state = trial.state.name().to_lowercase();
        lines.push(format!("trial {} {} is {state}: {why}", trial.idx.0, trial.name));
    }
    let calibration = calibration(api, record).await?;
    lines.extend(calibration.map(|found| {
        format!(
            "predictions: of {} trials {:.0} % lie within their 50 % interval and {:.0} % within their 90 % interval; \
             they miss by {:.2} deviations (1 is right)",
            found.trials,
            100.0 * found.within50,
            100.0 * found.within90,
            found.rms_z
        )
    }));
    let newest = status.last_seq.saturating_sub(5);
    for event in api.world.store.events(record.id, newest, 0).await? {
        lines.push(format!("event {} at {}: {}", event.seq, event.at.to_rfc3339(), text(&event.event)));
    }
    Ok(Explanation { subject: format!("experiment {}", record.name), lines, calibration })
}

/// Compares what was predicted of trials with what came, over all that ran to their end.
async fn calibration(api: &Api, record: &ExperimentRecord) -> Result<Option<Calibration>, ApiError> {
    let query = TrialQuery { states: vec![TrialState::Succeeded], ..TrialQuery::default() };
    let ended = api.world.store.trials(record.id, &query).await?.items;
    let direction = record.spec.objective().direction();
    let seen = ended.iter().filter_map(|trial| {
        let predicted = Prediction::of_notes(&trial.suggestion.notes, direction)?;
        Some((predicted, *trial.objectives.first()?))
    });
    Ok(prediction::calibration(seen).map(|found| Calibration {
        trials: found.n,
        within50: found.within_half,
        within90: found.within_nine_tenths,
        rms_z: found.rms_z,
    }))
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
    Ok(Explanation { subject: path.to_owned(), lines, calibration: None })
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
    lines.push(format!("came about by: {}", came_about(&trial.origin)));
    lines.extend(noted(&record.spec.objective(), &trial));
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
    Ok(Explanation { subject: format!("trial {} {}", trial.idx.0, trial.name), lines, calibration: None })
}

/// Whose idea a trial was.
fn came_about(origin: &Origin) -> String {
    match origin {
        Origin::Search => "search".into(),
        Origin::Enqueued => "enqueued".into(),
        Origin::Repeat { of } => format!("repeat of trial {}, which did best", of.0),
        Origin::Retry { of } => format!("retry of trial {}", of.0),
    }
}

/// What the algorithm wrote beside a suggestion: who proposed it and why, what it foresaw, and how that came out.
fn noted(objective: &ObjectiveSpec, trial: &TrialRecord) -> Vec<String> {
    const TOLD: [&str; 5] = ["by", "why", "mean", "std", "acquisition"];
    let notes = &trial.suggestion.notes;
    let name = &objective.objective_metric_name;
    let mut lines = Vec::new();
    if let Some(by) = notes.get("by") {
        let why = notes.get("why").map_or_else(String::new, |why| format!(": {why}"));
        lines.push(format!("proposed by: {by}{why}"));
    }
    if let Some(predicted) = Prediction::of_notes(notes, objective.direction()) {
        let (low, high) = predicted.nine_tenths();
        lines.push(format!(
            "predicted: {name} {} with deviation {}, nine times in ten from {} to {}",
            short(predicted.mean),
            short(predicted.std),
            short(low),
            short(high)
        ));
        if let Some(value) = trial.objectives.first().copied()
            && let Some(z) = predicted.z(value)
        {
            let side = if z < 0.0 { "below" } else { "above" };
            lines.push(format!("seen: {name} {}, {:.1} deviations {side} it", short(value), z.abs()));
        }
    }
    if let Some(value) = prediction::number(notes, "acquisition") {
        lines.push(format!("acquisition value: {}", short(value)));
    }
    let others = notes.iter().filter(|(key, _)| !TOLD.contains(&key.as_str()));
    lines.extend(others.map(|(key, value)| format!("algorithm's note: {key}={value}")));
    lines
}

/// A number rounded to five digits.
fn short(x: f64) -> String {
    format!("{x:.4e}").parse().map_or_else(|_| x.to_string(), |x: f64| x.to_string())
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
        found.push(view::trial(&record, &find_trial(api, &record, trial).await?, now));
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
    for name in record.spec.given() {
        let values = found.iter().map(|trial| trial.parameters.get(name).and_then(Value::as_str));
        row("parameter", name, values.map(|text| text.unwrap_or_default().to_owned()).collect());
    }
    for metric in record.spec.objective().metrics() {
        let values = found
            .iter()
            .map(|trial| trial.metrics.iter().find(|m| m.name == metric).map(|m| m.latest.clone()));
        row("metric", &metric, values.map(Option::unwrap_or_default).collect());
    }
    Ok(Comparison { trials: found.into_iter().map(|trial| trial.name).collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_foreseen_is_told_in_the_objective_s_own_unit() {
        let trial = serde_json::from_value(serde_json::json!({
            "idx": 3, "name": "t", "state": "Succeeded", "assignments": [], "labels": {}, "rules": [],
            "suggestion": {"assignment": [], "fidelity": null, "parent": null, "notes": {
                "by": "gp", "why": "expects the most", "mean": "-0.9", "std": "0.01", "acquisition": "-4.25", "k": "v",
            }},
            "origin": {"by": "search"}, "attempt": 1, "failures": 0, "reason": "", "message": "",
            "observation": [], "objectives": [0.88], "model": null, "created": 0, "started": null, "ended": null,
        }));
        let objective = ObjectiveSpec {
            kind: "maximize".into(),
            objective_metric_name: "accuracy".into(),
            ..ObjectiveSpec::default()
        };
        assert_eq!(
            noted(&objective, &trial.unwrap()),
            [
                "proposed by: gp: expects the most",
                "predicted: accuracy 0.9 with deviation 0.01, nine times in ten from 0.88355 to 0.91645",
                "seen: accuracy 0.88, 2.0 deviations below it",
                "acquisition value: -4.25",
                "algorithm's note: k=v",
            ]
        );
    }

    #[test]
    fn numbers_are_rounded_to_five_digits() {
        assert_eq!([short(0.123_456_78), short(-1234.567), short(2.0)], ["0.12346", "-1234.6", "2"]);
    }
}
