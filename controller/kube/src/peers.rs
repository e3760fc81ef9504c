//! Pods by their addresses.

use std::time::Duration;

use async_trait::async_trait;
use controller_core::ports::{NotAllowed, PeerPod, Peers};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use tokio::time::{Instant, sleep};

use crate::answer::{self, Doing};
use crate::brief::Brief;
use crate::client::Cluster;
use crate::names;

/// How long a pod is waited for: a kubelet may tell its address after it has begun.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Pods of a cluster.
pub struct PodPeers {
    cluster: Cluster,
    known: Brief<PeerPod>,
}

impl PodPeers {
    /// Of this one.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, known: Brief::default() }
    }

    async fn look(&self, address: &str) -> Result<Option<PeerPod>, NotAllowed> {
        let api: Api<Pod> = self.cluster.all_of();
        let params = ListParams::default().fields(&format!("status.podIP={address}"));
        let doing = Doing { verb: "list", group: "", plural: "pods" };
        let pods = answer::within(api.list(&params)).await;
        let pods = pods.map_err(|error| NotAllowed::Unavailable(answer::message(&error, &doing)))?;
        Ok(peer(&pods.items))
    }
}

/// The one pod that has an address to itself. Those that have ended have it no longer, and on a node's own anybody speaks.
fn peer(pods: &[Pod]) -> Option<PeerPod> {
    let ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let mut living = pods.iter().filter(|pod| !ended(pod));
    let (pod, others) = (living.next()?, living.count());
    let shared = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    let trial = pod.labels().get(names::TRIAL_LABEL).cloned();
    (others == 0 && !shared).then(|| PeerPod { namespace: pod.namespace().unwrap_or_default(), trial })
}

#[async_trait]
impl Peers for PodPeers {
    async fn pod(&self, address: &str) -> Result<Option<PeerPod>, NotAllowed> {
        let begun = Instant::now();
        if let Some(pod) = self.known.get(address, begun) {
            return Ok(Some(pod));
        }
        loop {
            if let Some(pod) = self.look(address).await? {
                self.known.keep(address, pod.clone(), Instant::now());
                return Ok(Some(pod));
            }
            if begun.elapsed() > PATIENCE {
                return Ok(None);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, phase: &str, spec: &Value) -> Pod {
        let labels = json!({names::TRIAL_LABEL: name});
        let metadata = json!({"name": name, "namespace": "ns1", "labels": labels});
        let mut spec = spec.clone();
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}}))
            .unwrap()
    }

    #[test]
    fn whoever_lives_alone_at_an_address_is_known_by_it() {
        let living = pod("a", "Running", &json!({}));
        let known = Some(PeerPod { namespace: "ns1".into(), trial: Some("a".into()) });
        assert_eq!(peer(&[living.clone(), pod("b", "Succeeded", &json!({}))]), known);
        assert_eq!(peer(&[living.clone(), pod("b", "Running", &json!({}))]), None, "either may speak");
        assert_eq!(peer(&[pod("a", "Running", &json!({"hostNetwork": true}))]), None, "the node's own");
        assert_eq!(peer(&[]), None);
    }
}
