//! Who is let in where trials report: at Katib's DBManager pods are known by their addresses, where sidecars report by
//! their tokens. Cairn looks at all namespaces.

use e2e::{python, until};
use serde_json::{Value, json};

use super::hooks::{IMAGE, NODE, Story};

const OWN: &str = "doors-own";
const OTHER: &str = "doors-other";

/// The folder of an environment's packages.
fn packages() -> String {
    let python = python::with("katib");
    let find = ["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"];
    let output = std::process::Command::new(python).args(find).output().unwrap();
    std::fs::canonicalize(String::from_utf8(output.stdout).unwrap().trim()).unwrap().display().to_string()
}

/// A container with Katib's SDK, and its volumes, that says what it may do with a trial.
fn asking(story: &Story, trial: &str, then: &str) -> Value {
    let folder = |name: &str, path: String| json!({"name": name, "hostPath": {"path": path}});
    let mount = |name: &str| json!({"name": name, "mountPath": format!("/{name}"), "readOnly": true});
    let scripts = e2e::workspace().join("tests/it/kube").display().to_string();
    let script = format!("python3 /scripts/db_manager.py {NODE}:6789 {trial}; {then}");
    json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main", "image": "local/python:1", "command": ["sh", "-c", script],
            "env": [{"name": "PYTHONPATH", "value": "/site"}],
            "volumeMounts": [mount("scripts"), mount("site"), mount("told")],
        }],
        "volumes": [
            folder("scripts", scripts),
            folder("site", packages()),
            folder("told", story.cairn.path().display().to_string()),
        ],
    })
}

fn experiment(name: &str, collector: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
            "parallelTrialCount": 1, "maxTrialCount": 1,
            "metricsCollectorSpec": {"collector": {"kind": collector}},
            "trialTemplate": {
                "primaryContainerName": "main",
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"annotations": {"x": "${trialParameters.x}"}},
                    "spec": {"backoffLimit": 0, "template": {"spec": pod}}},
            },
        },
    })
}

/// The pod of an experiment's trial, once it says something.
fn pod_of(story: &Story, experiment: &str) -> Value {
    let list = ["-n", OWN, "get", "pods", "-o", "json", "-l"];
    until("the trial has a pod", || {
        let trials = story.get(OWN, "trials")["items"].as_array().cloned()?;
        let label = |trial: &Value| trial["metadata"]["labels"]["katib.kubeflow.org/experiment"].clone();
        let trial = trials.into_iter().find(|trial| label(trial) == *experiment)?;
        let selector = format!("katib.kubeflow.org/trial={}", trial["metadata"]["name"].as_str()?);
        let pods: Value =
            serde_json::from_str(&story.cluster.kubectl(&[&list[..], &[&selector]].concat())).unwrap();
        pods["items"].get(0).cloned()
    })
}

/// What a pod has said of the three things that it tried.
fn said(story: &Story, namespace: &str, pod: &str) -> Vec<String> {
    until(&format!("{namespace}/{pod} has tried"), || {
        let log = story
            .cluster
            .enter("kubectl")
            .args(["-n", namespace, "logs", pod, "-c", "main"])
            .output()
            .unwrap();
        let lines: Vec<String> = String::from_utf8_lossy(&log.stdout).lines().map(str::to_owned).collect();
        (lines.len() == 3).then_some(lines)
    })
}

#[test]
fn pods_report_for_their_own_trial_read_at_home_and_are_strangers_elsewhere() {
    let Some(story) = Story::begin() else { return };
    let cluster = story.cluster;
    cluster.python_image();
    let (observe, manager) = (format!("{NODE}:6790"), format!("{NODE}:6789"));
    let url = format!("https://{observe}");
    let sidecars = ["--sidecar-image", IMAGE, "--observe-listen", &observe, "--observe-url", &url];
    let server = story.serve_with(&[&sidecars[..], &["--manager-listen", &manager]].concat());
    for namespace in [OWN, OTHER] {
        cluster.namespace(namespace);
    }

    // Katib's DBManager: the trial's own pod writes, and its namespace reads.
    let wait = "while [ ! -e /told/now ]; do sleep 0.2; done";
    let pushed = experiment("pushed", "Push", &asking(&story, "$KATIB_TRIAL_NAME", wait));
    cluster.apply_in(OWN, &pushed.to_string());
    let own = pod_of(&story, "pushed")["metadata"].clone();
    let (pod, trial) =
        (own["name"].as_str().unwrap(), own["labels"]["katib.kubeflow.org/trial"].as_str().unwrap());
    let tried = said(&story, OWN, pod);
    assert_eq!(tried[..2], ["write: done", "read: done 0.5"], "{}", server.stderr());
    assert!(tried[2].starts_with("delete: PERMISSION_DENIED"), "{tried:?}");

    let visitor = |namespace: &str, name: &str, labels: Value| {
        let metadata = json!({"name": name, "labels": labels});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": asking(&story, trial, "true")});
        cluster.apply_in(namespace, &pod.to_string());
    };
    visitor(OWN, "notebook", json!({}));
    visitor(OWN, "neighbour", json!({"katib.kubeflow.org/trial": "another"}));
    visitor(OTHER, "stranger", json!({"katib.kubeflow.org/trial": trial}));
    for name in ["notebook", "neighbour"] {
        let tried = said(&story, OWN, name);
        assert!(tried[0].starts_with("write: PERMISSION_DENIED only pods of trial"), "{tried:?}");
        assert_eq!(tried[1], "read: done 0.5", "{name}");
    }
    let tried = said(&story, OTHER, "stranger");
    assert!(tried.iter().all(|line| line.contains("PERMISSION_DENIED")), "{tried:?}");
    assert!(
        tried[1].contains("is read from its own namespace alone, and this is a pod of `doors-other`"),
        "{tried:?}"
    );

    // Where sidecars report: the very sidecar of a trial is no use in a pod of another namespace.
    let script = json!(["sh", "-c", format!("(echo loss=1; {wait})")]);
    let mut plain = asking(&story, "", "");
    plain["containers"][0]["command"] = script;
    cluster.apply_in(OWN, &experiment("printed", "StdOut", &plain).to_string());
    let mut spec = pod_of(&story, "printed")["spec"].clone();
    let mut sidecar = spec["containers"][1].take();
    let mounts = sidecar["volumeMounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !mount["name"].as_str().unwrap().starts_with("kube-api-access"));
    let volumes = spec["volumes"].as_array().unwrap().iter();
    let token = volumes.clone().find(|volume| volume["name"] == "cairn-token").unwrap();
    let volumes = json!([token, {"name": "metrics-volume", "emptyDir": {}}]);
    let forged = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "forged"},
        "spec": {"restartPolicy": "Never", "containers": [sidecar], "volumes": volumes}});
    cluster.apply_in(OTHER, &forged.to_string());
    let refusal = until("it is refused", || {
        let log = cluster.enter("kubectl").args(["-n", OTHER, "logs", "forged"]).output().unwrap();
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        log.contains("PermissionDenied").then_some(log)
    });
    assert!(
        refusal.contains("pod `doors-other/forged` is none of attempt 1 of trial `doors-own/"),
        "{refusal}"
    );

    story.cairn.write("now", "");
    for name in ["pushed", "printed"] {
        let done = until(&format!("{name} has succeeded"), || {
            let trials = story.get(OWN, &format!("experiment/{name}"));
            (trials["status"]["trialsSucceeded"] == 1).then_some(trials)
        });
        let latest = if name == "pushed" { "0.5" } else { "1" };
        assert_eq!(
            done["status"]["currentOptimalTrial"]["observation"]["metrics"][0]["latest"], latest,
            "{done}"
        );
    }
}
