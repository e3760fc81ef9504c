//! The sidecar in pods of kinds whose templates are not Cairn's to change.

use controller_core::run::Run;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::refused::Refused;
use crate::discovery::Discovery;
use crate::inject::{self, Settings};
use crate::job::{Reading, run_id};
use crate::names;
use crate::resources::{GROUP, Kind};

/// The pod with the sidecar in it, and the labels of its trial; `None` if it has none, or there is nothing to do.
pub(super) async fn injected(
    discovery: &Discovery,
    pod: &DynamicObject,
    namespace: &str,
    settings: &Settings,
) -> Result<Option<Value>, Refused> {
    if pod.annotations().contains_key(names::SIDECAR_ANNOTATION) {
        return Ok(None);
    }
    let above = discovery.above(pod.owner_references(), namespace, &is_of_a_trial).await?;
    let Some(object) = above else { return Ok(None) };
    let Some((run, reading)) = run(&object) else { return Ok(None) };
    let mut value = serde_json::to_value(pod).unwrap_or_default();
    let wrong = |error: inject::InjectError| Refused::bad(format!("trial `{}`: {error}", run.trial));
    inject::pod(&mut value, &run, &reading.pod_labels, settings).map_err(wrong)?;
    Ok(Some(value))
}

/// Whether a Trial owns it.
fn is_of_a_trial(object: &DynamicObject) -> bool {
    let is_trial = |owner: &OwnerReference| {
        owner.kind == Kind::Trial.name() && owner.api_version.split('/').next() == Some(GROUP)
    };
    object.owner_references().iter().any(is_trial)
}

/// The run that an object is, as far as its pods have to know it, by what stands on it.
fn run(object: &DynamicObject) -> Option<(Run, Reading)> {
    let (id, reading) = (run_id(object)?, Reading::read(object)?);
    let label = |name: &str| object.labels().get(name).cloned();
    let run = Run {
        id,
        namespace: object.namespace()?,
        experiment: label(names::EXPERIMENT_LABEL)?,
        experiment_uid: String::new(),
        trial: label(names::TRIAL_LABEL)?,
        manifest: json!(object.types),
        primary_container: reading.container.clone(),
        primary_pod_labels: reading.pod_labels.clone(),
        success_condition: String::new(),
        failure_condition: String::new(),
        retain: reading.retain,
        collector: reading.collector.clone(),
        metrics: reading.metrics.clone(),
        maximize: reading.maximize,
        rules: reading.rules.clone(),
        base_dir: None,
        start_from: None,
        keep_checkpoint: reading.checkpoints.keep,
        checkpoint_path: reading.checkpoints.path.clone(),
        artifacts: reading.artifacts.clone(),
        start: reading.checkpoints.start.clone(),
    };
    Some((run, reading))
}
