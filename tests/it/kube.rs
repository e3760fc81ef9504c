//! The real Kubernetes of the tests: what later stories stand on.

mod artifacts;
mod counts;
mod doors;
mod experiments;
mod fidelity;
mod gpus;
mod hands;
mod hooks;
mod install;
mod lead;
mod nas;
mod notebook;
mod played;
mod recover;
mod replicas;
mod sdk;
mod sidecars;
mod templates;
mod training;
mod unseen;
mod watching;

use e2e::Cluster;
use serde_json::Value;

/// A Job that prints a line.
const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: hello}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: local/busybox:1
        command: [sh, -c, nslookup kubernetes.default.svc.cluster.local && echo loss=0.5]
";

#[test]
fn a_job_runs_on_the_node_and_its_log_is_read() {
    let Some(cluster) = Cluster::shared() else { return };
    let node: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "node", "node1", "-o", "json"])).unwrap();
    let conditions = node["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"));

    let namespace = cluster.namespace("hello");
    cluster.apply_in(namespace, JOB);
    cluster.kubectl(&["wait", "-n", namespace, "--for=condition=Complete", "--timeout=60s", "job/hello"]);
    let log = cluster.kubectl(&["logs", "-n", namespace, "job/hello"]);
    assert!(log.contains("198.51.100.1") && log.ends_with("loss=0.5\n"), "a Service's name is found: {log}");
}

#[test]
fn an_api_server_answers_without_nodes() {
    let Some(cluster) = Cluster::api_only() else { return };
    assert_eq!(cluster.kubectl(&["get", "--raw", "/readyz"]), "ok");
    assert_eq!(cluster.kubectl(&["get", "nodes", "-o", "name"]), "");
    // Its controllers are there: a Job gets a pod, which waits for a node.
    let namespace = cluster.namespace("waits");
    cluster.apply_in(namespace, JOB);
    e2e::until("a pod of the Job", || {
        let pods =
            cluster.kubectl(&["get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].status.phase}"]);
        (pods == "Pending").then_some(())
    });
}

#[test]
fn training_jobs_of_real_operators_succeed() {
    let Some(cluster) = Cluster::shared() else { return };
    if !cluster.operator("training") {
        return;
    }
    let namespace = cluster.namespace("training");
    for (kind, replicas, container) in [
        ("PyTorchJob", "pytorchReplicaSpecs: {Master", "pytorch"),
        ("TFJob", "tfReplicaSpecs: {Worker", "tensorflow"),
    ] {
        let pod = format!(
            "spec: {{containers: [{{name: {container}, image: local/busybox:1, command: [sh, -c, echo done]}}]}}"
        );
        cluster.apply_in(
            namespace,
            &format!(
                "apiVersion: kubeflow.org/v1\nkind: {kind}\nmetadata: {{name: one}}\nspec:\n  \
                 {replicas}: {{replicas: 1, restartPolicy: Never, template: {{{pod}}}}}}}\n"
            ),
        );
    }
    for kind in ["pytorchjob", "tfjob"] {
        let job = format!("{kind}/one");
        cluster.kubectl(&["wait", "-n", namespace, "--for=condition=Succeeded", "--timeout=60s", &job]);
    }
}
