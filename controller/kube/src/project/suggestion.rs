//! A Suggestion.

use controller_core::conditions;
use controller_core::experiment::{Condition, ExperimentRecord, ExperimentStatus};
use controller_core::katib;
use controller_core::ports::AskRecord;
use controller_core::trial::TrialRecord;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::object::{Tags, of_experiment, rules};
use crate::names;
use crate::resources::Kind;

/// Most ended trials whose points are listed.
pub(crate) const MAX_SUGGESTIONS: u64 = 100;

/// The Suggestion of an experiment, which has its name. `asks` are the questions not answered; of `trials`, by number,
/// the open ones and the newest 100 must be there, and others are passed over.
pub fn suggestion(
    record: &ExperimentRecord,
    status: &ExperimentStatus,
    asks: &[AskRecord],
    trials: &[TrialRecord],
) -> DynamicObject {
    let mut annotations = record.annotations.clone();
    annotations.remove(names::APPLIED_ANNOTATION);
    let tags = Tags { labels: record.labels.clone(), annotations };
    let asked: u64 = asks.iter().map(|ask| u64::from(ask.n)).sum();
    let n_trials = status.counters.total();
    let mut spec = json!({
        "algorithm": record.spec.algorithm,
        "earlyStopping": record.spec.early_stopping,
        "requests": n_trials + asked,
        "resumePolicy": record.spec.resume_policy,
    });
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    let shown =
        trials.iter().filter(|trial| !trial.state.is_final() || trial.idx.0 + MAX_SUGGESTIONS >= n_trials);
    let mut view = json!({
        "startTime": record.created.to_rfc3339(),
        "suggestionCount": n_trials,
        "suggestions": shown.map(point).collect::<Vec<_>>(),
        "conditions": katib::conditions(&of_suggestion(record, status)),
    });
    if !status.algorithm_settings.is_empty() {
        view["algorithmSettings"] = json!(status.algorithm_settings);
    }
    of_experiment(Kind::Suggestion, record, &record.name, tags, &spec, &view)
}

fn point(trial: &TrialRecord) -> Value {
    let mut point = Map::new();
    point.insert("name".into(), json!(trial.name));
    point.insert("parameterAssignments".into(), katib::assignments(&trial.assignments));
    if !trial.rules.is_empty() {
        point.insert("earlyStoppingRules".into(), rules(&trial.rules));
    }
    if !trial.labels.is_empty() {
        point.insert("labels".into(), json!(trial.labels));
    }
    Value::Object(point)
}

/// As if a Deployment answered: clients of Katib wait for it. A Suggestion has succeeded with its experiment unless that
/// keeps its service, and runs again when that is taken up again.
fn of_suggestion(record: &ExperimentRecord, status: &ExperimentStatus) -> Vec<Condition> {
    let mut list = Vec::new();
    let mut set = |at, kind: &str, is, reason: &str, message: &str| {
        conditions::set(&mut list, at, kind, is, reason, message);
    };
    set(record.created, "Created", true, "SuggestionCreated", "Suggestion is created");
    if let Some(started) = status.started {
        let restarted = status.conditions.iter().find(|condition| condition.kind == "Restarting");
        let since = restarted.map_or(started, |condition| condition.last_transition_time);
        set(since, "DeploymentReady", true, "DeploymentReady", "Deployment is ready");
        set(since, "Running", true, "SuggestionRunning", "Suggestion is running");
    }
    let policy = record.spec.resume_policy.as_deref().unwrap_or_default();
    if let Some(completed) = status.completed.filter(|_| policy != "LongRunning") {
        let reason = "Suggestion is succeeded";
        set(completed, "Running", false, reason, "Suggestion is not running");
        set(completed, "DeploymentReady", false, reason, "Deployment is not ready");
        let message = if policy == "FromVolume" {
            "Suggestion is succeeded, suggestion volume is not deleted, can be restarted"
        } else {
            "Suggestion is succeeded, can't be restarted"
        };
        set(completed, "Succeeded", true, "Experiment is succeeded", message);
    }
    list
}
