//! What all projected objects have in common.

use std::collections::BTreeMap;

use controller_core::experiment::ExperimentRecord;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Value, json};
use study::Rule;

use crate::resources::Kind;

/// The reference by which an object goes with its owner.
pub fn owner(kind: Kind, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: kind.resource().api_version,
        kind: kind.name().into(),
        name: name.into(),
        uid: uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels and annotations of an object.
#[derive(Default)]
pub(super) struct Tags {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// An object that goes with its Experiment.
pub(super) fn of_experiment(
    kind: Kind,
    record: &ExperimentRecord,
    name: &str,
    tags: Tags,
    spec: &Value,
    status: &Value,
) -> DynamicObject {
    let some = |map: BTreeMap<String, String>| (!map.is_empty()).then_some(map);
    DynamicObject {
        types: Some(TypeMeta { api_version: kind.resource().api_version, kind: kind.name().into() }),
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(record.namespace.clone()),
            labels: some(tags.labels),
            annotations: some(tags.annotations),
            owner_references: Some(vec![owner(Kind::Experiment, &record.name, &record.uid)]),
            ..ObjectMeta::default()
        },
        data: json!({ "spec": spec, "status": status }),
    }
}

/// Rules of early stopping; numbers are texts there.
pub(super) fn rules(rules: &[Rule]) -> Value {
    let rule = |rule: &Rule| {
        json!({
            "name": rule.metric,
            "value": rule.value.to_string(),
            "comparison": rule.comparison,
            "startStep": rule.start_step,
        })
    };
    rules.iter().map(rule).collect()
}
