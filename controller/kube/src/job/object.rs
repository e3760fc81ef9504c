//! The object to create for a run.

use std::collections::BTreeMap;

use controller_core::defaults;
use controller_core::report::Problem;
use controller_core::run::Run;
use controller_core::spec::TrialTemplate;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use thiserror::Error;

use super::gjson::{Path, PathError};
use super::process;
use super::reading::Reading;
use crate::inject::{self, InjectError, Settings};
use crate::names;
use crate::project::owner;
use crate::resources::Kind;

/// Why a run can be no object.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// The template made something that no API server takes.
    #[error("the trial template makes no object of Kubernetes")]
    NotAnObject(#[source] serde_json::Error),
    /// A Process that cannot run on a cluster.
    #[error("{}", .0.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; "))]
    Process(Vec<Problem>),
    /// It does not say what it is.
    #[error("the trial template has no {0}")]
    NoKind(&'static str),
    /// Its metrics could not be collected.
    #[error("its metrics cannot be collected: {0}")]
    Metrics(#[source] InjectError),
    /// Nobody could tell how it goes.
    #[error("{word} `{text}` cannot be read")]
    Condition {
        /// Which of the two, by its word in the spec.
        word: &'static str,
        /// As written.
        text: String,
        /// What is wrong.
        source: PathError,
    },
}

/// The object of a run: as rendered, a Process as a Job, with the trial for its owner, so that it goes with it, labels to
/// find it by, and annotations that say which attempt it is and by which expressions it has ended, so that nothing else
/// need be known to read it. Its pods are labelled too, wherever their templates stand, and have what is needed to collect
/// their metrics. `trial_uid` is that of the Trial resource.
///
/// # Errors
/// If the API server could not take it, or nobody could tell from it how the trial goes.
pub fn object(run: &Run, trial_uid: &str, settings: &Settings) -> Result<DynamicObject, ObjectError> {
    let template = TrialTemplate { trial_spec: Some(run.manifest.clone()), ..TrialTemplate::default() };
    let is_process = template.is_process();
    let mut manifest = if is_process {
        process::job(run, template.retries()).map_err(ObjectError::Process)?
    } else {
        run.manifest.clone()
    };
    let by_webhook = collect(&mut manifest, run, settings)?;
    let mut object: DynamicObject = serde_json::from_value(manifest).map_err(ObjectError::NotAnObject)?;
    let types = object.types.as_ref().ok_or(ObjectError::NoKind("apiVersion and kind"))?;
    if types.kind.is_empty() || types.api_version.is_empty() {
        return Err(ObjectError::NoKind(if types.kind.is_empty() { "kind" } else { "apiVersion" }));
    }
    let (success, failure) = if is_process {
        (&defaults::condition("Complete"), &defaults::condition("Failed"))
    } else {
        (&run.success_condition, &run.failure_condition)
    };
    let metadata = &mut object.metadata;
    let annotations = metadata.annotations.get_or_insert_default();
    for (word, annotation, text) in [
        ("successCondition", names::SUCCESS_ANNOTATION, success),
        ("failureCondition", names::FAILURE_ANNOTATION, failure),
    ] {
        Path::parse(text).map_err(|source| ObjectError::Condition { word, text: text.clone(), source })?;
        annotations.insert(annotation.into(), text.clone());
    }
    annotations.insert(names::RUN_ANNOTATION.into(), run.id.to_string());
    annotations.insert(names::READING_ANNOTATION.into(), Reading::of(run, is_process, by_webhook).text());
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(names::EXPERIMENT_LABEL.into(), run.experiment.clone());
    labels.insert(names::TRIAL_LABEL.into(), run.trial.clone());
    metadata.name = Some(run.trial.clone());
    metadata.namespace = Some(run.namespace.clone());
    metadata.owner_references = Some(vec![owner(Kind::Trial, &run.trial, trial_uid)]);
    Ok(object)
}

/// Sees to it that the metrics of an object's pods are collected, and says whether the webhook has to: for a kind that is
/// not known, or whose primary pods cannot be told before they are made. Without the webhook only what such pods print can
/// be read.
fn collect(manifest: &mut Value, run: &Run, settings: &Settings) -> Result<bool, ObjectError> {
    // By its name pods are known.
    if let Some(manifest) = manifest.as_object_mut() {
        let metadata = manifest.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".into(), json!(run.trial));
        }
    }
    let mut injected = manifest.clone();
    match inject::object(&mut injected, run, &run.primary_pod_labels, settings) {
        Ok(_) => {
            *manifest = injected;
            Ok(false)
        }
        Err(InjectError::UnknownKind(_) | InjectError::Undecided(_)) => {
            let kind = manifest["kind"].as_str().unwrap_or_default();
            settings.can_collect_unseen(run.collector.kind(), kind).map_err(ObjectError::Metrics)?;
            tag_pods(manifest, run);
            Ok(settings.sees_pods())
        }
        Err(error) => Err(ObjectError::Metrics(error)),
    }
}

/// Gives every pod template, or the pod that the object is, the label of the trial and the annotation of the run.
fn tag_pods(value: &mut Value, run: &Run) {
    if inject::tag(value, run).is_ok() {
        return;
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| tag_pods(value, run)),
        Value::Array(items) => items.iter_mut().for_each(|value| tag_pods(value, run)),
        _ => {}
    }
}

/// Whether an object says itself which pods it has, so that they are tagged.
pub fn has_pods(object: &DynamicObject) -> bool {
    fn within(value: &Value) -> bool {
        value.pointer("/spec/containers").is_some_and(Value::is_array)
            || match value {
                Value::Object(map) => map.values().any(within),
                Value::Array(items) => items.iter().any(within),
                _ => false,
            }
    }
    within(&object.data)
}

/// Selects the pods of a trial whose logs and metrics count.
pub fn primary_pods(trial: &str, primary_pod_labels: &BTreeMap<String, String>) -> String {
    let labels = primary_pod_labels.iter().map(|(name, value)| format!(",{name}={value}"));
    std::iter::once(format!("{}={trial}", names::TRIAL_LABEL)).chain(labels).collect()
}
