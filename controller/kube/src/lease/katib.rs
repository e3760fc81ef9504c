//! Whether Katib acts in a cluster: both would run every trial.

use std::fmt::Debug;

use controller_core::time::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::Obstacle;
use crate::answer::{self, Doing};
use crate::client::Cluster;

/// The Lease of Katib's controllers, where they elect a leader.
const LEASE: &str = "3fbc96e9.katib.kubeflow.org";
/// Their Deployment.
const DEPLOYMENT: &str = "katib-controller";
/// How long after its last renewal a Lease is that of one who lives, by a clock that may differ from ours.
const RECENT: i64 = 60_000_000;

/// A Katib that acts; what was found of it.
pub(super) async fn alive(cluster: &Cluster, now: Timestamp) -> Result<Option<String>, Obstacle> {
    let deployments = named::<Deployment>(cluster, DEPLOYMENT, "apps", "deployments").await?;
    if let Some(found) = deployments.iter().find(|deployment| is_available(deployment)) {
        return Ok(Some(format!("Deployment {}", place(found))));
    }
    let leases = named::<Lease>(cluster, LEASE, "coordination.k8s.io", "leases").await?;
    let found = leases.iter().find(|lease| is_recent(lease, now));
    Ok(found.map(|lease| format!("Lease {}", place(lease))))
}

/// Objects of a name anywhere, or where this Cairn may look.
async fn named<K>(cluster: &Cluster, name: &str, group: &str, plural: &str) -> Result<Vec<K>, Obstacle>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let everywhere: Api<K> = Api::all(cluster.client.clone());
    let listed = match (everywhere.list(&params).await, &cluster.namespace) {
        (Err(error), Some(namespace)) if answer::is_forbidden(&error) => {
            Api::namespaced(cluster.client.clone(), namespace).list(&params).await
        }
        (listed, _) => listed,
    };
    let doing = Doing { verb: "list", group, plural };
    listed.map(|list| list.items).map_err(|error| Obstacle::of(&error, &doing))
}

fn is_available(deployment: &Deployment) -> bool {
    deployment.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0) > 0
}

fn is_recent(lease: &Lease, now: Timestamp) -> bool {
    let spec = lease.spec.as_ref();
    let held = spec.and_then(|spec| spec.holder_identity.as_ref()).is_some_and(|holder| !holder.is_empty());
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0.as_microsecond());
    held && renewed.is_some_and(|renewed| now.0 - renewed < RECENT)
}

fn place<K: Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lease(holder: &str) -> Lease {
        let spec = json!({"holderIdentity": holder, "renewTime": "1970-01-01T00:01:00.000000Z"});
        serde_json::from_value(json!({"metadata": {"name": LEASE}, "spec": spec})).unwrap()
    }

    #[test]
    fn a_lease_that_was_left_behind_is_nobody_s() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert!(is_recent(&lease("katib"), at(60)) && is_recent(&lease("katib"), at(119)));
        assert!(!is_recent(&lease("katib"), at(120)));
        assert!(!is_recent(&lease(""), at(60)));
    }

    #[test]
    fn a_deployment_that_is_scaled_to_nothing_does_nothing() {
        let with = |status| serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        assert!(is_available(&with(json!({"availableReplicas": 1}))));
        assert!(!is_available(&with(json!({"replicas": 1}))));
    }
}
