//! Whether the cluster shows what it should.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::Value;

/// What of an object must be written again. Status is written apart from the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Labels, annotations, owner or spec.
    pub object: bool,
    /// Status.
    pub status: bool,
}

impl Difference {
    /// Whether there is nothing to write.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Compares what is wanted with what the cluster has. Labels and annotations that others have added stay.
pub fn difference(wanted: &DynamicObject, seen: &DynamicObject) -> Difference {
    let has = |wanted: &Option<BTreeMap<String, String>>, seen: &Option<BTreeMap<String, String>>| {
        let seen = |key: &String| seen.as_ref().and_then(|map| map.get(key));
        wanted.iter().flatten().all(|(key, value)| seen(key) == Some(value))
    };
    let (meta, other) = (&wanted.metadata, &seen.metadata);
    let owned = meta.owner_references == other.owner_references;
    let tagged = has(&meta.labels, &other.labels) && has(&meta.annotations, &other.annotations);
    let part = |name: &str| same(&wanted.data[name], &seen.data[name]);
    Difference { object: !(owned && tagged && part("spec")), status: !part("status") }
}

/// Whether two values mean the same to an API server, which writes 1.0 as 1 and may drop a null.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.all(|key| same(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project::testing::{experiment, finished};
    use crate::project::trial;

    fn wanted() -> DynamicObject {
        trial(&experiment(), &finished(3))
    }

    #[test]
    fn what_a_server_makes_of_an_object_is_no_difference() {
        let mut value = serde_json::to_value(wanted()).unwrap();
        value["metadata"]["uid"] = json!("f00");
        value["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        value["metadata"]["labels"]["somebody"] = json!("else");
        value["spec"]["objective"]["goal"] = json!(1);
        value["status"]["lastReconcileTime"] = Value::Null;
        let seen: DynamicObject = serde_json::from_value(value).unwrap();
        assert!(difference(&wanted(), &seen).is_none());
    }

    #[test]
    fn each_edit_is_seen_in_its_part() {
        let edited = |pointer: &str, to: Value| {
            let mut value = serde_json::to_value(wanted()).unwrap();
            *value.pointer_mut(pointer).unwrap() = to;
            let difference = difference(&wanted(), &serde_json::from_value(value).unwrap());
            (difference.object, difference.status)
        };
        assert_eq!(edited("/spec/parameterAssignments/0/value", json!("9")), (true, false));
        assert_eq!(edited("/metadata/labels/katib.kubeflow.org~1experiment", json!("b")), (true, false));
        assert_eq!(edited("/metadata/ownerReferences", json!([])), (true, false));
        assert_eq!(edited("/status/conditions", json!([])), (false, true));
        assert_eq!(edited("/status/observation/metrics/0/latest", json!("0")), (false, true));
    }
}
