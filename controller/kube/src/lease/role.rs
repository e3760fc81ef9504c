//! Where Cairns are pods, the Services that others report to lead to the one that leads: it has a label.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::warn;

use super::Obstacle;
use crate::answer::Doing;
use crate::client::Cluster;
use crate::names::{LEADER, ROLE_LABEL};

/// Sees to it that this pod alone is said to lead; whether it is so. It is where there are no pods.
pub(super) async fn mark(cluster: &Cluster) -> bool {
    let Some(own) = &cluster.pod else { return true };
    match try_to(cluster, own).await {
        Ok(()) => true,
        Err(obstacle) => {
            warn!(why = %obstacle, pod = own, "Services cannot be led to this pod; it is tried again");
            false
        }
    }
}

async fn try_to(cluster: &Cluster, own: &str) -> Result<(), Obstacle> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.home);
    let leaders = ListParams::default().labels(&format!("{ROLE_LABEL}={LEADER}"));
    let doing = |verb| Doing { verb, group: "", plural: "pods" };
    let pods = api.list(&leaders).await.map_err(|error| Obstacle::of(&error, &doing("list")))?;
    let others = pods.iter().map(|pod| (pod.name_any(), Value::Null)).filter(|(name, _)| name != own);
    for (name, role) in others.chain([(own.to_owned(), json!(LEADER))]) {
        let patch = json!({"metadata": {"labels": {ROLE_LABEL: role}}});
        let patched = api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        match patched {
            // It is gone.
            Err(error) if crate::answer::is_not_found(&error) && name != own => {}
            patched => {
                patched.map_err(|error| Obstacle::of(&error, &doing("patch")))?;
            }
        }
    }
    Ok(())
}
