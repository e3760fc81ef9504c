//! The service of an algorithm that has an image of somebody's own. Pure.

use controller_core::experiment::ExperimentRecord;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::parse::{Algorithm, KatibConfig};
use crate::names;
use crate::project;
use crate::resources::Kind;

/// The port that it is asked at, and its name.
const PORT: (&str, u16) = ("suggestion-api", 6789);
/// What a health check asks it for, as with Katib.
const HEALTH: &str = "manager.v1beta1.Suggestion";

/// Its name, as with Katib.
fn name(experiment: &str, algorithm: &str) -> String {
    format!("{experiment}-{algorithm}")
}

/// Where the service of an experiment is found.
fn endpoint(namespace: &str, experiment: &str, algorithm: &str) -> String {
    format!("{}.{namespace}:{}", name(experiment, algorithm), PORT.1)
}

/// Names the service in an Experiment whose algorithm has an image of its own, unless another is named there. What was named
/// in `old` stays.
pub(crate) fn fill_in(experiment: &mut Value, namespace: &str, old: Option<&Value>, config: &KatibConfig) {
    let named = experiment["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let algorithm = experiment.pointer_mut("/spec/algorithm").and_then(Value::as_object_mut);
    let Some(algorithm) = algorithm else { return };
    let algorithm_name =
        algorithm.get("algorithmName").and_then(Value::as_str).unwrap_or_default().to_owned();
    if named.is_empty() || algorithm.get("endpoint").is_some_and(|endpoint| !endpoint.is_null()) {
        return;
    }
    let here = endpoint(namespace, &named, &algorithm_name);
    let is_named = match old {
        Some(old) => old["spec"]["algorithm"]["endpoint"] == *here,
        None => config.algorithms.contains_key(&algorithm_name),
    };
    if is_named {
        algorithm.insert("endpoint".into(), json!(here));
    }
}

/// The algorithm of an experiment that asks the service which is started for it; `None` if it asks another, or Cairn.
pub(crate) fn service_of(record: &ExperimentRecord) -> Option<&str> {
    let algorithm = record.spec.algorithm.as_ref()?;
    let own = endpoint(&record.namespace, &record.name, &algorithm.algorithm_name);
    (algorithm.endpoint.as_ref() == Some(&own)).then_some(algorithm.algorithm_name.as_str())
}

/// The Deployment and the Service of an algorithm, which go with their Experiment.
pub(crate) fn objects(
    record: &ExperimentRecord,
    algorithm: &str,
    image: &Algorithm,
) -> (Deployment, Service) {
    let name = name(&record.name, algorithm);
    let mut labels = json!(record.labels);
    labels["katib.kubeflow.org/deployment"] = json!(name);
    labels["katib.kubeflow.org/suggestion"] = json!(record.name);
    labels[names::EXPERIMENT_LABEL] = json!(record.name);
    labels["sidecar.istio.io/inject"] = json!("false");
    let mut container = image.container.clone();
    container.insert("name".into(), json!("suggestion"));
    let ports = container.entry("ports").or_insert_with(|| json!([]));
    if let Some(ports) = ports.as_array_mut() {
        ports.push(json!({"name": PORT.0, "containerPort": PORT.1}));
    }
    let health = json!({"port": PORT.1, "service": HEALTH});
    container.entry("readinessProbe").or_insert_with(|| json!({"grpc": health, "periodSeconds": 2}));
    container.entry("livenessProbe").or_insert_with(
        || json!({"grpc": health, "periodSeconds": 60, "initialDelaySeconds": 10, "failureThreshold": 12}),
    );
    let metadata = json!({
        "name": name,
        "namespace": record.namespace,
        "labels": labels,
        "ownerReferences": [project::owner(Kind::Experiment, &record.name, &record.uid)],
    });
    let mut pod = json!({"containers": [container]});
    if let Some(account) = &image.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    let deployment = json!({"metadata": metadata, "spec": {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }});
    let service = json!({"metadata": metadata, "spec": {
        "selector": labels,
        "ports": [{"name": PORT.0, "port": PORT.1, "targetPort": PORT.1}],
    }});
    (
        serde_json::from_value(deployment).unwrap_or_default(),
        serde_json::from_value(service).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::testing;

    const CONFIG: &str = "runtime: {suggestions: [{algorithmName: mine, image: 'registry.example/mine:1', ports: [{name: more, containerPort: 80}]}]}";

    fn experiment(algorithm: &Value) -> Value {
        json!({"metadata": {"name": "demo"}, "spec": {"algorithm": algorithm}})
    }

    fn filled_in(mut value: Value, old: Option<&Value>) -> Value {
        fill_in(&mut value, "ns1", old, &KatibConfig::parse(CONFIG));
        value["spec"]["algorithm"]["endpoint"].clone()
    }

    #[test]
    fn the_service_of_an_image_of_ones_own_is_named() {
        let mine = || experiment(&json!({"algorithmName": "mine"}));
        let named = experiment(&json!({"algorithmName": "mine", "endpoint": "demo-mine.ns1:6789"}));
        assert_eq!(filled_in(mine(), None), "demo-mine.ns1:6789");
        assert_eq!(filled_in(experiment(&json!({"algorithmName": "random"})), None), Value::Null);
        let elsewhere = experiment(&json!({"algorithmName": "mine", "endpoint": "here:1"}));
        assert_eq!(filled_in(elsewhere, None), "here:1");
        assert_eq!(filled_in(mine(), Some(&named)), "demo-mine.ns1:6789", "what was named stays");
        assert_eq!(filled_in(mine(), Some(&mine())), Value::Null, "one that began without it goes on so");
        assert_eq!(filled_in(experiment(&Value::Null), None), Value::Null);
    }

    #[test]
    fn it_is_made_as_katib_makes_it() {
        let mut record = testing::experiment();
        let config = KatibConfig::parse(CONFIG);
        let (deployment, service) = objects(&record, "mine", &config.algorithms["mine"]);
        let name = Some(format!("{}-mine", record.name));
        assert_eq!((&deployment.metadata.name, &service.metadata.name), (&name, &name));
        let spec = deployment.spec.unwrap();
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        assert_eq!(spec.selector.match_labels.as_ref(), Some(&labels));
        assert_eq!(service.spec.unwrap().selector.as_ref(), Some(&labels));
        assert_eq!(labels["katib.kubeflow.org/suggestion"], record.name);
        let container = &spec.template.spec.unwrap().containers[0];
        let ports: Vec<i32> = container.ports.iter().flatten().map(|port| port.container_port).collect();
        assert_eq!((container.name.as_str(), ports), ("suggestion", vec![80, 6789]));
        assert!(container.readiness_probe.is_some());

        assert_eq!(service_of(&record), None);
        let algorithm = record.spec.algorithm.as_mut().unwrap();
        algorithm.algorithm_name = "mine".into();
        algorithm.endpoint = Some(endpoint(&record.namespace, &record.name, "mine"));
        assert_eq!(service_of(&record), Some("mine"));
    }
}
