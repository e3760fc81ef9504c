//! What pods say of their run.

use std::sync::Arc;
use std::time::Duration;

use controller_core::time::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use kube::ResourceExt as _;

use crate::inject;
use crate::job::Reading;
use crate::names;

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

/// Whether a sidecar reads a pod's metrics; else its log is read from here, if its metrics are there.
pub(super) fn has_sidecar(pod: &Pod) -> bool {
    pod.annotations().get(names::SIDECAR_ANNOTATION).is_some_and(|word| word == inject::SIDECAR)
}

/// Whether a pod lacks what the webhook puts in, and its metrics cannot be had without.
pub(super) fn is_bare(pod: &Pod, reading: &Reading) -> bool {
    let is_prepared = match reading.collector.kind() {
        "StdOut" => true,
        "Push" => knows_its_trial(pod, reading),
        _ => pod.annotations().contains_key(names::SIDECAR_ANNOTATION),
    };
    reading.by_webhook && is_primary(pod, reading) && !is_prepared
}

/// Whether a pod's program is told which trial it is of.
fn knows_its_trial(pod: &Pod, reading: &Reading) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut env = containers.filter(|container| container.name == reading.container).flat_map(|it| &it.env);
    env.any(|env| env.iter().any(|variable| variable.name == inject::TRIAL_NAME))
}

/// Whether a pod has ended, or is on its way out.
pub(super) fn is_over(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || has_ended(pod)
}

/// Whether nothing of a pod runs any more.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a pod's own sidecar may still have something to say.
pub(super) fn is_reporting(pod: &Pod) -> bool {
    has_sidecar(pod) && inject::CONTAINERS.iter().any(|name| is_running(pod, name))
}

/// How long a sidecar may take to keep what its program has left.
pub(super) const KEEPING: Duration = Duration::from_hours(1);

/// Whether a container of a pod runs.
pub(super) fn is_running(pod: &Pod, name: &str) -> bool {
    let state = container(pod, name).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}

/// Whether a pod's own sidecar has begun.
pub(super) fn has_begun_to_report(pod: &Pod) -> bool {
    let ended = inject::CONTAINERS.iter().any(|name| terminated(pod, name).is_some());
    is_reporting(pod) || (has_sidecar(pod) && ended)
}

/// Whether a pod's own sidecar begins any moment: a node has the pod, and nothing holds it up.
pub(super) fn is_about_to_report(pod: &Pod) -> bool {
    let has_a_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let held_up = pod.status.as_ref().and_then(stuck).is_some();
    has_sidecar(pod) && has_a_node && !held_up && !has_ended(pod) && !has_begun_to_report(pod)
}

/// Seconds after a program's end by which its sidecar has shown everything of it, as the node counts them.
const SHOWN: i64 = 2;

/// Whether a pod's own sidecar has lived long enough after its program to have shown all that it has printed.
pub(super) fn has_shown_everything(pod: &Pod, reading: &Reading) -> bool {
    let Some(ended) = terminated(pod, &reading.container).and_then(finished) else { return false };
    let lived = |name: &&str| terminated(pod, name).and_then(finished).is_none_or(|at| at - ended >= SHOWN);
    inject::CONTAINERS.iter().filter(|name| container(pod, name).is_some()).all(lived)
}

/// Whether the program of the newest primary pod has ended well, and nothing else has failed.
pub(super) fn have_succeeded(pods: &[Arc<Pod>], reading: &Reading) -> bool {
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    let mut others = pods.iter().filter(|pod| !is_primary(pod, reading));
    let newest = pods.iter().rfind(|pod| is_primary(pod, reading));
    let ended = newest.and_then(|pod| terminated(pod, &reading.container));
    ended.is_some_and(|ended| ended.exit_code == 0)
        && others.all(|pod| phase(pod).as_deref() != Some("Failed"))
}

/// Why the sidecar of the newest primary pod has failed, though its program has not.
pub(super) fn sidecar_failure(pods: &[Arc<Pod>], reading: &Reading) -> Option<String> {
    let pod = pods.iter().rev().find(|pod| is_primary(pod, reading) && has_sidecar(pod))?;
    let of = |name: &str| terminated(pod, name).filter(|ended| ended.exit_code != 0);
    if of(&reading.container).is_some() {
        return None;
    }
    inject::CONTAINERS.iter().find_map(|name| Some(told(name, of(name)?)))
}

/// The container whose log holds what the program has printed.
pub(super) fn printing(pod: &Pod, reading: &Reading) -> String {
    let kept = reading.is_of_output() && has_sidecar(pod);
    if kept { inject::CONTAINERS[0].to_owned() } else { reading.container.clone() }
}

/// The status of a container.
pub(super) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    all.into_iter().find(|status| status.name == name)
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

/// What keeps all pods from beginning, in one line.
pub(super) fn keeps(pods: &[Arc<Pod>]) -> Option<String> {
    pods.iter().rev().find_map(|pod| stuck(pod.status.as_ref()?))
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
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.find_map(held_up)
}

/// What keeps a container from beginning.
fn held_up(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let usual = matches!(reason, "ContainerCreating" | "PodInitializing" | "");
    let message = waiting.message.clone().unwrap_or_default();
    (!usual).then(|| format!("container `{}`: {reason}: {message}", container.name))
}

/// What keeps the sidecar of a primary pod from beginning, beside a program that runs unheard.
pub(super) fn unheard(pods: &[Arc<Pod>], reading: &Reading) -> Option<String> {
    let mut heard = pods.iter().filter(|pod| is_primary(pod, reading) && has_sidecar(pod) && !has_ended(pod));
    heard.find_map(|pod| inject::CONTAINERS.iter().find_map(|name| held_up(container(pod, name)?)))
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
    let others = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let names = std::iter::once(primary).chain(others.map(|status| status.name.as_str()));
    let mut ends = names.filter_map(|name| Some((name, terminated(pod, name)?)));
    let (name, ended) = ends.find(|(_, end)| end.exit_code != 0)?;
    Some(told(name, ended))
}

/// How a container has ended.
fn terminated<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStateTerminated> {
    container(pod, name)?.state.as_ref()?.terminated.as_ref()
}

/// The second in which a container has ended.
fn finished(ended: &ContainerStateTerminated) -> Option<i64> {
    ended.finished_at.as_ref().map(|time| time.0.as_second())
}

fn told(name: &str, ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_ref().filter(|reason| *reason != "Error");
    let reason = reason.map(|reason| format!("{reason}, ")).unwrap_or_default();
    let said = ended.message.as_ref().and_then(|message| message.trim().lines().last());
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    format!("container `{name}`: {reason}exit code {}{said}", ended.exit_code)
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
    fn a_sidecar_that_cannot_begin_is_told_though_its_program_runs() {
        let status = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let beside = |sidecar: Value, phase: &str| {
            let program = status("main", json!({"running": {}}));
            let sidecar = status("metrics-logger-and-collector", sidecar);
            let status = json!({"phase": phase, "containerStatuses": [program, sidecar]});
            let mut pod = Pod::clone(&pod(&status));
            pod.metadata.labels = Some([("role".to_owned(), "master".to_owned())].into());
            pod.metadata.annotations =
                Some([(names::SIDECAR_ANNOTATION.into(), inject::SIDECAR.into())].into());
            unheard(&[Arc::new(pod)], &reading("StdOut", false))
        };
        let reason =
            |reason: &str| json!({"waiting": {"reason": reason, "message": "secret \"keys\" not found"}});
        let told = beside(reason("CreateContainerConfigError"), "Running").unwrap();
        let wanted =
            "container `metrics-logger-and-collector`: CreateContainerConfigError: secret \"keys\" not found";
        assert_eq!(told, wanted);
        assert_eq!(beside(reason("ContainerCreating"), "Running"), None, "it is on its way");
        assert_eq!(beside(json!({"running": {}}), "Running"), None);
        assert_eq!(
            beside(reason("CreateContainerConfigError"), "Failed"),
            None,
            "nothing of it begins any more"
        );
    }

    #[test]
    fn a_sidecar_is_about_to_begin_once_its_pod_has_a_node_and_nothing_holds_it_up() {
        let about = |node: Option<&str>, state: Value| {
            let sidecar = json!({"name": "metrics-logger-and-collector", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            let pod = json!({
                "metadata": {"name": "p", "annotations": {names::SIDECAR_ANNOTATION: inject::SIDECAR}},
                "spec": {"nodeName": node, "containers": []}, "status": {"containerStatuses": [sidecar]},
            });
            is_about_to_report(&serde_json::from_value(pod).unwrap())
        };
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        assert!(about(Some("n"), waiting("ContainerCreating")));
        assert!(!about(None, waiting("ContainerCreating")), "no node has it");
        assert!(!about(Some("n"), waiting("ErrImagePull")));
        assert!(!about(Some("n"), json!({"running": {}})), "it has begun");
    }

    fn reading(collector: &str, by_webhook: bool) -> Reading {
        serde_json::from_value(json!({
            "collector": {"collector": {"kind": collector}}, "metrics": ["loss"], "container": "main",
            "podLabels": {"role": "master"}, "byWebhook": by_webhook,
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_bare_where_the_webhook_should_have_helped_and_nothing_else_can() {
        let pod = |role: &str, annotations: Value, env: Value| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "p", "labels": {"role": role}, "annotations": annotations},
                "spec": {"containers": [{"name": "main", "env": env}]},
            }))
            .unwrap()
        };
        let bare = pod("master", json!({}), json!([]));
        assert!(is_bare(&bare, &reading("File", true)));
        assert!(is_bare(&bare, &reading("Push", true)));
        assert!(!is_bare(&bare, &reading("StdOut", true)), "its log is read");
        assert!(!is_bare(&bare, &reading("Push", false)), "nobody was to help");
        assert!(!is_bare(&pod("worker", json!({}), json!([])), &reading("File", true)));
        let with_sidecar = pod("master", json!({"cairn.dev/metrics": "sidecar"}), json!([]));
        assert!(!is_bare(&with_sidecar, &reading("File", true)));
        let told = pod("master", json!({}), json!([{"name": "KATIB_TRIAL_NAME"}]));
        assert!(!is_bare(&told, &reading("Push", true)));
    }

    #[test]
    fn a_sidecar_that_outlives_its_program_has_shown_everything() {
        let ended = |program: (i32, &str), sidecar: (i32, &str)| {
            let status = |name: &str, (code, at): (i32, &str)| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": code, "finishedAt": at}}});
            let statuses = json!({"containerStatuses": [
                status("main", program), status("metrics-logger-and-collector", sidecar),
            ]});
            let mut pod = Pod::clone(&pod(&statuses));
            pod.metadata.labels = Some([("role".to_owned(), "master".to_owned())].into());
            let (reading, pod) = (reading("StdOut", false), Arc::new(pod));
            (has_shown_everything(&pod, &reading), have_succeeded(&[pod], &reading))
        };
        let at = |second: u32| format!("2026-01-01T10:00:{second:02}Z");
        assert_eq!(ended((0, &at(10)), (137, &at(20))), (true, true));
        assert_eq!(ended((1, &at(10)), (137, &at(20))), (true, false));
        assert_eq!(ended((0, &at(10)), (137, &at(11))), (false, true));
        assert_eq!(ended((0, &at(10)), (137, &at(3))), (false, true));
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
        let mut said = Pod::clone(&ended("Error", 2));
        let statuses = said.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        let state = statuses[0].state.as_mut().unwrap();
        state.terminated.as_mut().unwrap().message = Some("it says\nthe store has no such thing\n".into());
        let wanted = "container `main`: exit code 2: the store has no such thing";
        assert_eq!(of(Arc::new(said)).unwrap(), wanted);
        assert_eq!(of(ended("Completed", 0)), None);
        let evicted = pod(&json!({"reason": "Evicted", "message": "The node was low on memory."}));
        assert_eq!(of(evicted).unwrap(), "its pod was ended: Evicted: The node was low on memory.");
    }
}
