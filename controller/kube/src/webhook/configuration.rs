//! How the API server is told of the webhooks.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::Hook;
use crate::resources::{GROUP, Kind, VERSION};

/// Name of both configurations.
pub const CONFIGURATION: &str = "cairn.dev";
/// Pods of these never belong to a trial by themselves: there are many, and none is held up.
const SERVICES: &str = "['ReplicaSet', 'StatefulSet', 'DaemonSet']";

/// Where the API server finds the webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Behind a Service, at its port 443.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// At an address, such as `https://192.0.2.1:8443`.
    Url(String),
}

/// What the API server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// Where they are.
    pub reach: Reach,
    /// Cairn's own namespace, whose pods are left alone.
    pub namespace: String,
    /// Whether sidecars are put into pods.
    pub pods: bool,
}

/// The ValidatingWebhookConfiguration and the MutatingWebhookConfiguration. `authorities` are those to trust, as PEM; none
/// where whoever serves fills them in.
pub fn configurations(hooks: &Hooks, authorities: &str) -> [Value; 2] {
    let experiments = |name: &str, hook: Hook| {
        json!({
            "name": name,
            "clientConfig": client(&hooks.reach, hook, authorities),
            "rules": [{
                "apiGroups": [GROUP],
                "apiVersions": [VERSION],
                "resources": [Kind::Experiment.plural()],
                "operations": ["CREATE", "UPDATE"],
                "scope": "Namespaced",
            }],
            "failurePolicy": "Fail",
            "timeoutSeconds": 10,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        })
    };
    let validating = vec![experiments("validator.experiment.cairn.dev", Hook::ValidateExperiment)];
    let mut mutating = vec![experiments("defaulter.experiment.cairn.dev", Hook::MutateExperiment)];
    if hooks.pods {
        mutating.push(pods(hooks, authorities));
    }
    [
        configuration("ValidatingWebhookConfiguration", &validating),
        configuration("MutatingWebhookConfiguration", &mutating),
    ]
}

fn configuration(kind: &str, webhooks: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": CONFIGURATION, "labels": {"app.kubernetes.io/name": "cairn"}},
        "webhooks": webhooks,
    })
}

/// A pod is held up for a short time at most, and never kept from beginning because Cairn is away.
fn pods(hooks: &Hooks, authorities: &str) -> Value {
    let owners = "object.metadata.ownerReferences";
    json!({
        "name": "injector.pod.cairn.dev",
        "clientConfig": client(&hooks.reach, Hook::MutatePod, authorities),
        "rules": [{
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "operations": ["CREATE"],
            "scope": "Namespaced",
        }],
        "namespaceSelector": {"matchExpressions": [{
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", hooks.namespace],
        }]},
        "matchConditions": [{
            "name": "belongs-to-no-service",
            "expression": format!(
                "has({owners}) && size({owners}) > 0 && !{owners}.exists(owner, owner.kind in {SERVICES})"
            ),
        }],
        "failurePolicy": "Ignore",
        "timeoutSeconds": 5,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    })
}

fn client(reach: &Reach, hook: Hook, authorities: &str) -> Value {
    let path = hook.path();
    let mut client = match reach {
        Reach::Service { namespace, name } => {
            json!({"service": {"namespace": namespace, "name": name, "path": path, "port": 443}})
        }
        Reach::Url(url) => json!({"url": format!("{}{path}", url.trim_end_matches('/'))}),
    };
    if !authorities.is_empty() {
        client["caBundle"] = json!(ByteString(authorities.as_bytes().to_vec()));
    }
    client
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
    };

    use super::*;

    fn hooks(pods: bool) -> Hooks {
        let reach = Reach::Service { namespace: "cairn-system".into(), name: "cairn".into() };
        Hooks { reach, namespace: "cairn-system".into(), pods }
    }

    #[test]
    fn what_is_told_is_what_kubernetes_reads() {
        let [validating, mutating] = configurations(&hooks(true), "PEM");
        let typed: ValidatingWebhookConfiguration = serde_json::from_value(validating.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap()["webhooks"], validating["webhooks"]);
        let typed: MutatingWebhookConfiguration = serde_json::from_value(mutating.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap()["webhooks"], mutating["webhooks"]);
    }

    #[test]
    fn experiments_wait_for_cairn_and_pods_do_not() {
        let [validating, mutating] = configurations(&hooks(true), "PEM");
        assert_eq!(validating["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(mutating["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(mutating["webhooks"][1]["failurePolicy"], "Ignore");
        let [_, mutating] = configurations(&hooks(false), "PEM");
        assert_eq!(mutating["webhooks"].as_array().unwrap().len(), 1, "pods are not looked at");
    }

    #[test]
    fn outside_of_the_cluster_they_are_reached_by_their_address() {
        let reach = Reach::Url("https://192.0.2.1:8443/".into());
        let [validating, _] = configurations(&Hooks { reach, ..hooks(true) }, "");
        let client = &validating["webhooks"][0]["clientConfig"];
        assert_eq!(*client, json!({"url": "https://192.0.2.1:8443/validate-experiment"}));
    }
}
