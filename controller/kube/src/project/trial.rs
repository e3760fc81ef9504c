//! A Trial.

use controller_core::conditions;
use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::katib;
use controller_core::render::{TrialMeta, render};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use study::TrialIdx;

use super::object::{Tags, of_experiment, rules};
use crate::names;
use crate::resources::Kind;

/// Most Trials of an experiment that are shown.
const MAX_TRIALS: u64 = 1000;

/// Whether a trial has a resource: it has not ended, or it is one of the newest, or its object is retained, which would go
/// with it.
pub fn is_shown(record: &ExperimentRecord, status: &ExperimentStatus, trial: &TrialRecord) -> bool {
    let retained = record.spec.trial_template.as_ref().is_some_and(|template| template.retain);
    let newest = trial.idx.0 + MAX_TRIALS >= status.counters.total();
    newest || retained || !trial.state.is_final()
}

/// Trials that newer ones have driven out from among the newest since an earlier status.
pub fn driven_out(before: &ExperimentStatus, status: &ExperimentStatus) -> impl Iterator<Item = TrialIdx> {
    let end = |status: &ExperimentStatus| status.counters.total().saturating_sub(MAX_TRIALS);
    (end(before)..end(status)).map(TrialIdx)
}

/// The Trial of a record.
pub fn trial(record: &ExperimentRecord, trial: &TrialRecord) -> DynamicObject {
    let mut labels = record.labels.clone();
    labels.insert(names::EXPERIMENT_LABEL.into(), record.name.clone());
    labels.extend(trial.labels.clone());
    let tags = Tags { labels, ..Tags::default() };
    of_experiment(Kind::Trial, record, &trial.name, tags, &spec(record, trial), &status(trial))
}

fn spec(record: &ExperimentRecord, trial: &TrialRecord) -> Value {
    let template = record.spec.trial_template.clone().unwrap_or_default();
    let mut spec = Map::new();
    let mut set = |word: &str, value: Value| {
        let unset = matches!(&value, Value::Null | Value::Bool(false))
            || value.as_str().is_some_and(str::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty);
        if !unset {
            spec.insert(word.into(), value);
        }
    };
    set("objective", json!(record.spec.objective));
    set("parameterAssignments", katib::assignments(&trial.assignments));
    set("earlyStoppingRules", rules(&trial.rules));
    // The template of an edited experiment may not fit the trials before; then it is not known what they ran.
    let meta = TrialMeta { name: &trial.name, namespace: &record.namespace };
    set("runSpec", render(&record.spec, &trial.assignments, meta).unwrap_or_default());
    set("retainRun", json!(template.retain));
    set("metricsCollector", json!(record.spec.collector()));
    set("primaryPodLabels", json!(template.primary_pod_labels));
    set("primaryContainerName", json!(template.primary_container_name));
    set("successCondition", json!(template.success_condition));
    set("failureCondition", json!(template.failure_condition));
    set("labels", json!(trial.labels));
    Value::Object(spec)
}

fn status(trial: &TrialRecord) -> Value {
    let mut status = json!({
        "startTime": trial.created.to_rfc3339(),
        "completionTime": trial.ended.map(Timestamp::to_rfc3339),
        "conditions": katib::conditions(&conditions::of_trial(trial)),
    });
    if !trial.observation.is_empty() {
        status["observation"] = json!({ "metrics": trial.observation });
    }
    status
}
