//! What an object occupies while it runs.

use controller_core::quantity;
use serde_json::Value;

/// Counts of whatever stands below them: pods of a group, of a Job, of a TrainJob.
const COUNTS: [&str; 3] = ["replicas", "parallelism", "numNodes"];

/// Most slots that are told; more is a mistake in a template.
const MAX_SLOTS: u64 = 100_000;

/// The GPUs, whole ones and slices, of all pods of an object of any kind, told by its spec: every container counts, as often as the counts above it
/// say. Named as slots of a machine are, because hours and costs are counted by them.
pub(super) fn slots(object: &Value) -> Vec<String> {
    let gpus = object.get("spec").map_or(0, gpus);
    (0..gpus.min(MAX_SLOTS)).map(|n| format!("gpu-{n}")).collect()
}

fn gpus(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(gpus).fold(0, u64::saturating_add),
        Value::Object(map) => {
            let counts = COUNTS.iter().filter_map(|word| map.get(*word)?.as_u64());
            let times = counts.fold(1, u64::saturating_mul);
            let containers = map.get("containers").and_then(Value::as_array).into_iter().flatten();
            let asked = containers.filter_map(|container| container.get("resources"));
            let here = asked.chain(map.get("resourcesPerNode")).map(of_resources);
            times.saturating_mul(here.chain(map.values().map(gpus)).fold(0, u64::saturating_add))
        }
        _ => 0,
    }
}

/// `nvidia.com/gpu` and those of other vendors, and slices such as `nvidia.com/mig-1g.10gb`, each of which counts as one.
fn is_gpu(resource: &str) -> bool {
    resource.ends_with("/gpu") || resource.starts_with("nvidia.com/mig-")
}

/// Limits of GPUs, which must be equal to requests.
fn of_resources(resources: &Value) -> u64 {
    let limits = resources.get("limits").or_else(|| resources.get("requests")).and_then(Value::as_object);
    let gpus = limits.into_iter().flatten().filter(|(name, _)| is_gpu(name));
    let amount = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        quantity::parse(&text).map_or(0, |amount| amount as u64)
    };
    gpus.map(|(_, value)| amount(value)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(gpus: &Value) -> Value {
        json!({"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": gpus, "cpu": "4"}}}, {"name": "b"}]}})
    }

    #[test]
    fn gpus_are_counted_over_all_pods_of_any_kind() {
        let of = |spec: Value| slots(&json!({ "spec": spec })).len();
        assert_eq!(of(json!({"template": pod(&json!(2))})), 2);
        assert_eq!(of(json!({"parallelism": 3, "template": pod(&json!("2"))})), 6);
        let replicas = json!({"Master": {"replicas": 1, "template": pod(&json!(1))}, "Worker": {"replicas": 3, "template": pod(&json!(2))}});
        assert_eq!(of(json!({ "pytorchReplicaSpecs": replicas })), 7);
        let trainer = json!({"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 4}}});
        assert_eq!(of(json!({ "trainer": trainer })), 8);
        assert_eq!(of(json!({"template": {"spec": {"containers": [{"name": "cpu"}]}}})), 0);
        assert_eq!(slots(&json!({"spec": {"template": pod(&json!(1))}})), ["gpu-0"]);
        let slices = json!({"containers": [{"resources": {"limits": {"nvidia.com/mig-1g.10gb": 3, "nvidia.com/other": 1}}}]});
        assert_eq!(of(json!({"template": {"spec": slices}})), 3);
    }

    #[test]
    fn an_amount_without_sense_counts_nothing_and_no_count_overflows() {
        let of = |spec: Value| slots(&json!({ "spec": spec })).len();
        assert_eq!(of(json!({"template": pod(&json!("many"))})), 0);
        assert_eq!(of(json!({"replicas": u64::MAX, "parallelism": 9, "template": pod(&json!(2))})), 100_000);
    }
}
