//! Records as they travel: Katib's resource with a block of our own.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus, Hold};
use controller_core::katib;
use controller_core::prediction::{self, Prediction};
use controller_core::time::Timestamp;
use controller_core::trial::{MetricSummary, Origin, TrialRecord};
use serde_json::{Value, json};

use super::error::ApiError;
use super::fidelity;
use crate::api::Api;
use crate::api::types::{
    CairnBlock, Counters, Experiment, ExperimentMetadata, Metric, Model, Predicted, Spent, Trial,
};

/// An experiment with the names of its trials, as `get` shows it.
pub(crate) async fn full(api: &Api, record: &ExperimentRecord) -> Result<Experiment, ApiError> {
    let status = api.world.store.status(record.id).await?;
    let mut view = brief(record, &status);
    view.cairn.driven_by = api.world.store.holder(record.id).await?;
    view.cairn.open_wishes = api.world.store.open_wishes(record.id).await?.len() as u64;
    fidelity::add(api, record, &status, &mut view.cairn).await?;
    for (word, query) in katib::lists(&status.counters) {
        let newest = api.world.store.trials(record.id, &query).await?.items;
        view.status[word] = newest.into_iter().rev().map(|trial| trial.name).collect();
    }
    Ok(view)
}

/// An experiment without what needs more than its own rows, as lists show it.
pub(crate) fn brief(record: &ExperimentRecord, status: &ExperimentStatus) -> Experiment {
    let map = |map: &std::collections::BTreeMap<String, String>| {
        if map.is_empty() { Value::Null } else { json!(map) }
    };
    Experiment {
        api_version: "kubeflow.org/v1beta1".into(),
        kind: "Experiment".into(),
        metadata: ExperimentMetadata {
            name: record.name.clone(),
            namespace: record.namespace.clone(),
            uid: record.uid.clone(),
            creation_timestamp: record.created.to_rfc3339(),
            labels: map(&record.labels),
            annotations: map(&record.annotations),
        },
        spec: serde_json::to_value(&record.spec).unwrap_or_default(),
        status: Value::Object(katib::status(record, status)),
        cairn: block(record, status),
    }
}

fn block(record: &ExperimentRecord, status: &ExperimentStatus) -> CairnBlock {
    let current = status.conditions.last();
    let counters = &status.counters;
    let objective = record.spec.objective();
    CairnBlock {
        state: state(status).into(),
        reason: current.map(|condition| condition.reason.clone()).unwrap_or_default(),
        message: message(status),
        seed: record.seed,
        spec_digest: record.spec_digest.clone(),
        direction: if objective.is_maximize() { "maximize" } else { "minimize" }.into(),
        objective: objective.objective_metric_name,
        counters: Counters {
            total: counters.total(),
            pending: counters.pending,
            running: counters.running,
            succeeded: counters.succeeded,
            failed: counters.failed,
            killed: counters.killed,
            early_stopped: counters.early_stopped,
            metrics_unavailable: counters.metrics_unavailable,
        },
        best_value: status.best.as_ref().and_then(|best| best.value),
        best_runs: status.best.as_ref().map(|best| best.runs),
        best_std_error: status.best.as_ref().and_then(|best| best.std_error),
        best_trial: status.best.as_ref().map(|best| best.name.clone()),
        spent: Spent {
            run_seconds: status.spent.run_seconds,
            gpu_seconds: status.spent.gpu_seconds,
            cost: status.spent.cost,
        },
        hold: match status.hold {
            Hold::Free => "free",
            Hold::Draining => "draining",
            Hold::Stopped => "stopped",
            Hold::Deleting => "deleting",
        }
        .into(),
        waiting: status.waiting.clone(),
        driven_by: None,
        rungs: Vec::new(),
        steps: None,
        open_wishes: 0,
        last_seq: status.last_seq,
        base_dir: record.base_dir.clone(),
    }
}

/// The state of an experiment in one word.
pub(crate) fn state(status: &ExperimentStatus) -> &str {
    if status.hold == Hold::Deleting {
        return "Deleting";
    }
    if !status.is_completed() && status.hold != Hold::Free {
        return if status.counters.running > 0 { "Stopping" } else { "Stopped" };
    }
    let current = status.conditions.iter().rev().find(|condition| condition.status == "True");
    current.map_or("Created", |condition| condition.kind.as_str())
}

/// Why it is in its state. What a held one does changes without a new condition.
pub(crate) fn message(status: &ExperimentStatus) -> String {
    let what = match (state(status), status.hold) {
        ("Stopping", Hold::Draining) => "Experiment is stopped; running trials finish",
        ("Stopping", _) => "Experiment is stopped; running trials end and go on later",
        ("Stopped", _) => "Experiment is stopped",
        _ => return status.conditions.last().map(|current| current.message.clone()).unwrap_or_default(),
    };
    what.to_owned()
}

/// A trial as it travels.
pub(crate) fn trial(experiment: &ExperimentRecord, trial: &TrialRecord, now: Timestamp) -> Trial {
    let parameters = trial.assignments.iter().map(|(name, value)| (name.clone(), json!(value)));
    let (origin, retry_of) = match trial.origin {
        Origin::Search => ("search", None),
        Origin::Enqueued => ("enqueued", None),
        Origin::Repeat { of } => ("repeat", Some(of.0)),
        Origin::Retry { of } => ("retry", Some(of.0)),
    };
    let notes = &trial.suggestion.notes;
    let predicted = Prediction::of_notes(notes, experiment.spec.objective().direction());
    let seconds = trial.started.map(|started| trial.ended.unwrap_or(now).since(started).as_secs_f64());
    Trial {
        idx: trial.idx.0,
        name: trial.name.clone(),
        state: trial.state.name().into(),
        reason: trial.reason.clone(),
        message: trial.message.clone(),
        parameters: parameters.collect(),
        value: trial.objectives.first().copied().filter(|value| value.is_finite()),
        repeated: None,
        metrics: trial.observation.iter().map(metric).collect(),
        attempt: trial.attempt,
        origin: origin.into(),
        retry_of,
        parent: trial.suggestion.parent.map(|parent| parent.0),
        steps: Some(trial.steps).filter(|steps| *steps > 0),
        reached: trial.reached,
        proposed_by: notes.get("by").cloned(),
        predicted: predicted.map(|Prediction { mean, std }| Predicted { mean, std }),
        acquisition: prediction::number(notes, "acquisition"),
        notes: json!(notes),
        fidelity: trial.suggestion.fidelity,
        model: trial.model.as_ref().map(|model| Model {
            uri: model.uri.clone(),
            digest: model.digest.clone(),
            bytes: model.bytes,
            format: model.format.clone(),
            elsewhere: model.elsewhere,
            removed: model.removed.map(Timestamp::to_rfc3339_micros),
        }),
        place: None,
        created: trial.created.to_rfc3339_micros(),
        started: trial.started.map(Timestamp::to_rfc3339_micros),
        ended: trial.ended.map(Timestamp::to_rfc3339_micros),
        seconds,
    }
}

fn metric(metric: &MetricSummary) -> Metric {
    Metric {
        name: metric.name.clone(),
        min: metric.min.clone(),
        max: metric.max.clone(),
        latest: metric.latest.clone(),
    }
}
