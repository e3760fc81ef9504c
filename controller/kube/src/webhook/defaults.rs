//! What is written into an Experiment before it is stored: its defaults, and who has asked for it.

use controller_core::document;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::names;
use crate::wishes;

/// An Experiment with everything in it that it leaves out, and what the SDK misplaces put right. Nothing else is changed.
/// `user` is who asks; of an Experiment that is there it stays who asked first.
pub(super) fn filled_in(experiment: &DynamicObject, old: Option<&DynamicObject>, user: &str) -> Value {
    let (read, _) = wishes::document(experiment);
    let mut value = serde_json::to_value(experiment).unwrap_or_default();
    document::repair_distribution(&mut value);
    let spec = serde_json::to_value(&read.spec).unwrap_or_default();
    if let (Some(there), Some(full)) = (value.get_mut("spec"), spec.as_object()) {
        fill_map(there, full);
    }
    let requester = match old {
        Some(old) => old.annotations().get(names::REQUESTER_ANNOTATION).map(String::as_str),
        None => Some(user).filter(|user| !user.is_empty()),
    };
    let metadata = value["metadata"].as_object_mut();
    let annotations = metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        match requester {
            Some(user) => annotations.insert(names::REQUESTER_ANNOTATION.into(), json!(user)),
            None => annotations.shift_remove(names::REQUESTER_ANNOTATION),
        };
    }
    value
}

/// Writes below a map what it leaves out.
fn fill_map(there: &mut Value, full: &Map<String, Value>) {
    let Some(there) = there.as_object_mut() else { return };
    for (word, full) in full {
        match there.get_mut(word) {
            Some(value) if !is_unset(value) => fill(value, full),
            _ if is_unset(full) => {}
            _ => {
                there.insert(word.clone(), full.clone());
            }
        }
    }
}

fn fill(there: &mut Value, full: &Value) {
    match (there, full) {
        (there @ Value::Object(_), Value::Object(full)) => fill_map(there, full),
        (Value::Array(there), Value::Array(full)) if there.len() <= full.len() => {
            for (there, full) in there.iter_mut().zip(full) {
                fill(there, full);
            }
            there.extend_from_slice(&full[there.len()..]);
        }
        _ => {}
    }
}

/// Whether a value means nothing.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(change: impl FnOnce(&mut Value)) -> DynamicObject {
        let mut value = json!({
            "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": "demo"},
            "spec": {
                "objective": {"type": "minimize", "objectiveMetricName": "loss", "additionalMetricNames": ["acc"],
                    "metricStrategies": [{"name": "loss", "value": "latest"}]},
                "algorithm": {"algorithmName": "random"},
                "parameters": [
                    {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.2"}},
                    {"name": "opt", "parameterType": "categorical", "feasibleSpace": {"list": ["a", "b"]}},
                ],
                "trialTemplate": {
                    "primaryContainerName": "main",
                    "trialParameters": [{"name": "lr", "reference": "lr"}, {"name": "opt", "reference": "opt"}],
                    "trialSpec": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": null,
                        "template": {"spec": {"restartPolicy": "Never", "containers": []}}}},
                },
            },
        });
        change(&mut value);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_nothing_else_is_touched() {
        let before = experiment(|_| {});
        let after = filled_in(&before, None, "alice");
        let spec = &after["spec"];
        assert_eq!(spec["parallelTrialCount"], 3);
        assert_eq!(spec["resumePolicy"], "Never");
        assert_eq!(spec["metricsCollectorSpec"], json!({"collector": {"kind": "StdOut"}}));
        assert_eq!(
            spec["objective"]["metricStrategies"],
            json!([{"name": "loss", "value": "latest"}, {"name": "acc", "value": "min"}])
        );
        assert!(spec["trialTemplate"]["successCondition"].as_str().unwrap().contains("Complete"));
        assert_eq!(
            spec["parameters"][1]["feasibleSpace"],
            json!({"list": ["a", "b"], "distribution": "uniform"})
        );
        assert_eq!(spec["trialTemplate"]["trialSpec"], before.data["spec"]["trialTemplate"]["trialSpec"]);
        let again: DynamicObject = serde_json::from_value(after.clone()).unwrap();
        assert_eq!(filled_in(&again, Some(&again), "bob"), after, "a second time changes nothing");
    }

    #[test]
    fn the_sdk_s_array_in_distribution_becomes_the_list() {
        let sdk = experiment(|value| {
            value["spec"]["parameters"][1]["feasibleSpace"] = json!({"distribution": ["a", "b"]});
        });
        let after = filled_in(&sdk, None, "alice");
        let space = &after["spec"]["parameters"][1]["feasibleSpace"];
        assert_eq!(*space, json!({"list": ["a", "b"], "distribution": "uniform"}));
    }

    #[test]
    fn a_mistake_stays_as_it_is_for_the_validator_to_see() {
        let wrong = experiment(|value| {
            value["spec"]["parallelTrialCount"] = json!("three");
            value["spec"]["parameters"][0] = json!("lr");
            value["spec"]["colour"] = json!("red");
        });
        let after = filled_in(&wrong, None, "alice");
        assert_eq!(after["spec"]["parallelTrialCount"], "three");
        assert_eq!(after["spec"]["parameters"][0], "lr");
        assert_eq!(after["spec"]["colour"], "red");
    }

    #[test]
    fn who_asked_first_is_written_down_and_stays() {
        let of = |value: &Value| value["metadata"]["annotations"][names::REQUESTER_ANNOTATION].clone();
        let forged = |user: &str| {
            experiment(|value| {
                value["metadata"]["annotations"] = json!({names::REQUESTER_ANNOTATION: user});
            })
        };
        assert_eq!(of(&filled_in(&experiment(|_| {}), None, "alice")), "alice");
        assert_eq!(of(&filled_in(&forged("root"), None, "alice")), "alice");
        assert_eq!(of(&filled_in(&forged("root"), Some(&forged("alice")), "bob")), "alice");
        assert_eq!(of(&filled_in(&experiment(|_| {}), Some(&forged("alice")), "bob")), "alice");
        let unknown = filled_in(&forged("root"), Some(&experiment(|_| {})), "bob");
        assert_eq!(of(&unknown), Value::Null, "nobody knows who asked for one that was there before");
    }
}
