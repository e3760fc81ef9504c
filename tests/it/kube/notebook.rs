//! Cairn's own Python client with a cluster: from a pod with a few rights, and from outside with a kubeconfig.

use e2e::{PATIENCE, Running, python};
use serde_json::Value;

use super::experiments::Story;

/// A person's namespace: an account that may edit Experiments and nothing else, and a pod in which it works.
const NOTEBOOK: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: notebook}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: notebook}
rules: [{apiGroups: [kubeflow.org], resources: [experiments], verbs: [create, get, patch, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: notebook}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: notebook}
subjects: [{kind: ServiceAccount, name: notebook}]
---
apiVersion: v1
kind: Pod
metadata: {name: notebook}
spec:
  serviceAccountName: notebook
  restartPolicy: Never
  containers:
  - name: main
    image: local/python:1
    command: [python3, /notebook/notebook.py, Job, "1"]
    env: [{name: PYTHONPATH, value: /opt/cairn}]
    volumeMounts: [{name: notebook, mountPath: /notebook}]
  volumes: [{name: notebook, configMap: {name: notebook}}]
"#;

fn check(said: &str, kind: &str, namespace: &str) {
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let name = format!("train-{kind}");
    assert_eq!(found["repr"], format!("ClusterExperiment('{name}', namespace='{namespace}')"));
    let (best, number) = (&found["best"], |value: &Value| value.as_f64().unwrap());
    let wanted = number(&best["params"]["lr"]) + number(&best["params"]["layers"]);
    assert!((number(&best["value"]) - wanted).abs() < 1e-9, "{best}");
    assert_eq!(best["metrics"]["accuracy"]["latest"], "0.5");
    let first: f64 = best["metrics"]["loss"]["max"].as_str().unwrap().parse().unwrap();
    assert!((first - wanted - 2.0).abs() < 1e-9, "what was reported on the way counts too: {best}");
    assert_eq!((&found["succeeded"], &found["again"]), (&3.into(), &true.into()));
    assert!(found["other"].as_str().unwrap().contains("exists with another spec"), "{found}");
    assert!(found["broken"].as_str().unwrap().contains("1 of 1 failed alike"), "{found}");
    // Logs are pods', which not everybody may see who may have experiments.
    let printed = if kind == "job" { r#"cannot list resource "pods""# } else { "loss=" };
    assert!(found["printed"].as_str().unwrap().contains(printed), "{found}");
}

#[test]
fn a_notebook_in_a_pod_tunes_with_the_right_to_edit_experiments_alone() {
    let Some(story) = Story::begin("notebook") else { return };
    story.cluster.python_image();
    let server = story.serve();
    let script = e2e::workspace().join("tests/it/kube/notebook.py");
    story.kubectl(&["create", "configmap", "notebook", "--from-file", &script.display().to_string()]);
    story.apply(NOTEBOOK);
    // Whether it came to that is asked below, with what it says.
    let mut wait = story.cluster.enter("kubectl");
    wait.args(["wait", "-n", story.namespace, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=170s"]);
    wait.arg("pod/notebook");
    Running::start(wait).end_within(3 * PATIENCE);
    let ended = story.kubectl(&["get", "pod", "notebook", "-o", "jsonpath={.status.phase}"]);
    let said = story.kubectl(&["logs", "notebook"]);
    assert_eq!(ended, "Succeeded", "{said}\n{}", server.stderr());
    check(&said, "job", story.namespace);
}

#[test]
fn a_program_with_a_kubeconfig_tunes_with_workers() {
    let Some(story) = Story::begin("workers").filter(|story| story.cluster.operator("training")) else {
        return;
    };
    story.cluster.python_image();
    let server = story.serve();
    let file = story.cairn.at("kubeconfig");
    std::fs::copy(story.cluster.kubeconfig(), &file).unwrap();
    let path = file.display().to_string();
    let context =
        ["--kubeconfig", &path, "config", "set-context", "--current", "--namespace", story.namespace];
    story.cluster.kubectl(&context);
    let mut program = story.cluster.enter("env");
    program.arg(format!("KUBECONFIG={path}")).arg(python::with("client"));
    program.arg(e2e::workspace().join("tests/it/kube/notebook.py")).args(["PyTorchJob", "2"]);
    let output = Running::start(program).end_within(3 * PATIENCE);
    assert_eq!(output.code, Some(0), "{output}\n{}", server.stderr());
    check(&output.stdout, "pytorchjob", story.namespace);
}
