//! What pods say of their run.

use std::sync::Arc;

use controller_core::run::STARTING;
use controller_core::time::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod, PodStatus};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use super::Place;
use crate::answer;
use crate::client::Cluster;
use crate::job::Reading;

/// Place of a pod among others: the oldest first.
pub(super) fn order(pod: &Pod) -> (Option<i64>, String) {
    let created = pod.metadata.creation_timestamp.as_ref();
    (created.map(|time| time.0.as_microsecond()), pod.name_any())
}

/// Whether a pod's metrics count.
pub(super) fn is_primary(pod: &Pod, reading: &Reading) -> bool {
    let labels = pod.labels();
    reading.pod_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// The status of a container.
pub(super) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    pod.status.as_ref()?.container_statuses.iter().flatten().find(|status| status.name == name)
}

/// When the first primary container began; `otherwise` where it says no time. `None` if none has begun.
pub(super) fn started(pods: &[Arc<Pod>], reading: &Reading, otherwise: Timestamp) -> Option<Timestamp> {
    let begun = |pod: &Arc<Pod>| {
        let state = container(pod, &reading.container)?.state.clone()?;
        let running = state.running.map(|running| running.started_at);
        let since = running.or_else(|| state.terminated.map(|terminated| terminated.started_at))?;
        Some(since.map_or(otherwise, |time| Timestamp(time.0.as_microsecond())))
    };
    pods.iter().filter(|pod| is_primary(pod, reading)).find_map(begun)
}

/// Why no primary container has begun, in one line; on its way, if nothing keeps it.
pub(super) async fn waiting(cluster: &Cluster, place: &Place, pods: &[Arc<Pod>]) -> String {
    if let Some(reason) = pods.iter().rev().find_map(|pod| stuck(pod.status.as_ref()?)) {
        return reason;
    }
    if !pods.is_empty() {
        return STARTING.into();
    }
    warning(cluster, place).await.unwrap_or_else(|| STARTING.into())
}

/// What keeps a pod from beginning.
fn stuck(status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    let mut unscheduled =
        conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled.next() {
        let message = condition.message.clone().unwrap_or_default();
        return Some(format!("its pod finds no node: {message}"));
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers
        .filter_map(|container| Some((&container.name, container.state.as_ref()?.waiting.as_ref()?)))
        .find_map(|(name, waiting)| {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            let usual = matches!(reason, "ContainerCreating" | "PodInitializing" | "");
            let message = waiting.message.clone().unwrap_or_default();
            (!usual).then(|| format!("container `{name}`: {reason}: {message}"))
        })
}

/// The newest warning about an object, such as that a quota lets it have no pods.
async fn warning(cluster: &Cluster, place: &Place) -> Option<String> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &place.namespace);
    let about = format!("involvedObject.uid={},type=Warning", place.uid);
    let mut events = answer::within(events.list(&ListParams::default().fields(&about))).await.ok()?.items;
    events.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
    let newest = events.pop()?;
    Some(format!("{}: {}", newest.reason.unwrap_or_default(), newest.message.unwrap_or_default()))
}

/// Why pods have failed, in one line: the newest that says anything.
pub(super) fn failure(pods: &[Arc<Pod>], primary: &str) -> Option<String> {
    pods.iter().rev().find_map(|pod| of_pod(pod, primary))
}

fn of_pod(pod: &Pod, primary: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = &status.reason {
        let message = status.message.clone().unwrap_or_default();
        return Some(format!("its pod was ended: {reason}: {message}"));
    }
    let terminated = |status: &ContainerStatus| status.state.clone()?.terminated;
    let ended = container(pod, primary).and_then(terminated).map(|ended| (primary.to_owned(), ended));
    let any = || {
        let others = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        others
            .filter_map(|status| Some((status.name.clone(), terminated(status)?)))
            .find(|(_, end)| end.exit_code != 0)
    };
    let (name, ended) = ended.filter(|(_, end)| end.exit_code != 0).or_else(any)?;
    let reason = ended.reason.filter(|reason| reason != "Error").map(|reason| format!("{reason}, "));
    Some(format!("container `{name}`: {}exit code {}", reason.unwrap_or_default(), ended.exit_code))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap())
    }

    #[test]
    fn what_keeps_a_pod_waiting_is_told_in_one_line() {
        let of = |status: Value| stuck(pod(&status).status.as_ref().unwrap());
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]});
        assert_eq!(of(unscheduled).unwrap(), "its pod finds no node: 0/1 nodes are available");
        let container = |reason: &str| json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "M"}}}]});
        assert_eq!(of(container("ImagePullBackOff")).unwrap(), "container `main`: ImagePullBackOff: M");
        assert_eq!(of(container("ContainerCreating")), None);
    }

    #[test]
    fn why_a_pod_failed_is_told_in_one_line() {
        let ended = |reason: &str, code: i32| {
            pod(
                &json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"reason": reason, "exitCode": code}}}]}),
            )
        };
        let of = |pod: Arc<Pod>| failure(&[pod], "main");
        assert_eq!(of(ended("OOMKilled", 137)).unwrap(), "container `main`: OOMKilled, exit code 137");
        assert_eq!(of(ended("Error", 3)).unwrap(), "container `main`: exit code 3");
        assert_eq!(of(ended("Completed", 0)), None);
        let evicted = pod(&json!({"reason": "Evicted", "message": "The node was low on memory."}));
        assert_eq!(of(evicted).unwrap(), "its pod was ended: Evicted: The node was low on memory.");
    }
}
