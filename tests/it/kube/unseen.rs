//! Trials of kinds whose pods Cairn does not see before they are made: it is a webhook that prepares those, and what that
//! has missed is found.

use e2e::{Cluster, until};
use serde_json::{Value, json};

use super::experiments::{self, conditions};
use super::hooks;

/// A kind of nobody's, whose operator the stories play.
fn things(cluster: &Cluster, namespace: &str) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let things = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    });
    cluster.apply_in(namespace, &things.to_string());
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd/things.example.com"]);
}

/// An experiment of as many things, one after the other.
fn experiment(name: &str, trials: u32, collector: &Value) -> Value {
    let condition = |kind: &str| format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#");
    json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "seed": 7,
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
            "parallelTrialCount": 1, "maxTrialCount": trials, "maxFailedTrialCount": trials,
            "metricsCollectorSpec": collector,
            "trialTemplate": {
                "primaryContainerName": "main",
                "trialParameters": [{"name": "x", "reference": "x"}],
                "successCondition": condition("Done"), "failureCondition": condition("Failed"),
                "trialSpec": {
                    "apiVersion": "example.com/v1", "kind": "Thing", "spec": {"x": "${trialParameters.x}"},
                },
            },
        },
    })
}

/// The things of a namespace, with what an operator of theirs would do.
struct Things {
    cluster: &'static Cluster,
    namespace: &'static str,
}

impl Things {
    fn get(&self, what: &str) -> Value {
        let text = self.cluster.kubectl(&["-n", self.namespace, "get", what, "-o", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// The thing of an attempt, once it is there.
    fn of_attempt(&self, trial: u32, attempt: u32) -> Value {
        until(&format!("attempt {attempt} of trial {trial}"), || {
            let things = self.get("things");
            let is_it = |thing: &&Value| {
                let run = thing["metadata"]["annotations"]["cairn.dev/run"].as_str().unwrap();
                run.ends_with(&format!("/{trial}/{attempt}"))
            };
            things["items"].as_array().unwrap().iter().find(is_it).cloned()
        })
    }

    /// Makes the pod of a thing, with this name, that runs this script.
    fn make_pod(&self, thing: &Value, name: &str, script: &str) {
        self.cluster.apply_in(self.namespace, &pod(thing, name, script).to_string());
    }

    /// The number of containers of a pod.
    fn containers(&self, pod: &str) -> usize {
        self.get(&format!("pod/{pod}"))["spec"]["containers"].as_array().unwrap().len()
    }

    /// Waits until a pod has ended well, and says so of its thing.
    fn finish(&self, thing: &Value, pod: &str) {
        let phase = "--for=jsonpath={.status.phase}=Succeeded";
        let wait = ["wait", phase, "--timeout=60s", &format!("pod/{pod}")];
        self.cluster.kubectl(&[&["-n", self.namespace], &wait[..]].concat());
        let (name, done) = (
            thing["metadata"]["name"].as_str().unwrap(),
            r#"{"status": {"conditions": [{"type": "Done", "status": "True"}]}}"#,
        );
        let patch = ["patch", "thing", name, "--type", "merge", "-p", done];
        self.cluster.kubectl(&[&["-n", self.namespace], &patch[..]].concat());
    }

    /// The trial of a thing, once its last condition is this.
    fn trial(&self, thing: &Value, condition: &str) -> Value {
        let name = thing["metadata"]["name"].as_str().unwrap();
        until(&format!("the trial is {condition}"), || {
            let trial = self.get(&format!("trial/{name}"));
            (conditions(&trial).last()?.0 == condition).then_some(trial)
        })
    }
}

/// The pod of a thing.
fn pod(thing: &Value, name: &str, script: &str) -> Value {
    let (owner, uid) = (&thing["metadata"]["name"], &thing["metadata"]["uid"]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": [{
            "apiVersion": "example.com/v1", "kind": "Thing", "name": owner, "uid": uid,
            "controller": true, "blockOwnerDeletion": true,
        }]},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "local/busybox:1", "command": ["sh", "-c", script]}],
        },
    })
}

fn file() -> Value {
    json!({
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": "/out/metrics.log", "kind": "File"}},
    })
}

fn latest(trial: &Value) -> &Value {
    &trial["status"]["observation"]["metrics"][0]["latest"]
}

#[test]
fn what_a_pod_prints_that_nobody_has_prepared_is_read() {
    let Some(story) = experiments::Story::begin("unseen-log") else { return };
    things(story.cluster, story.namespace);
    let server = story.serve();
    let things = Things { cluster: story.cluster, namespace: story.namespace };
    story.apply(&experiment("printed", 1, &json!({"collector": {"kind": "StdOut"}})).to_string());
    let thing = things.of_attempt(0, 1);
    things.make_pod(&thing, "inner", "echo loss=0.5; echo loss=0.25");
    things.finish(&thing, "inner");
    assert_eq!(*latest(&things.trial(&thing, "Succeeded")), json!("0.25"), "{}", server.stderr());

    // Only a sidecar could read a file, and nobody puts one in.
    story.apply(&experiment("written", 1, &file()).to_string());
    let failed = story.until_is("written", "Failed");
    let message = failed["status"]["conditions"].to_string();
    assert!(message.contains("start it with --sidecar-image"), "{message}");
}

#[test]
fn a_sidecar_is_put_into_a_pod_of_an_unknown_kind_and_reports_over_tls() {
    let Some(story) = hooks::Story::begin() else { return };
    let server = story.serve();
    let things = Things { cluster: story.cluster, namespace: story.cluster.namespace("unknown") };
    self::things(story.cluster, things.namespace);
    let odd = experiment("odd", 1, &json!({"collector": {"kind": "StdOut"}}));
    story.cluster.apply_in(things.namespace, &odd.to_string());
    let thing = things.of_attempt(0, 1);

    // A Job between them, as many operators have it.
    let name = &thing["metadata"]["name"];
    let mut inner = pod(&thing, "inner", "echo loss=0.25");
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": inner["metadata"].take(),
        "spec": {"backoffLimit": 0, "template": {"spec": inner["spec"].take()}},
    });
    story.cluster.apply_in(things.namespace, &job.to_string());
    let pod = until("the Job's pod", || things.get("pods")["items"].get(0).cloned());
    assert_eq!(pod["metadata"]["labels"]["katib.kubeflow.org/trial"], *name);
    let pod = pod["metadata"]["name"].as_str().unwrap();
    assert_eq!(things.containers(pod), 2);
    things.finish(&thing, pod);
    assert_eq!(*latest(&things.trial(&thing, "Succeeded")), json!("0.25"), "{}", server.stderr());
}

#[test]
fn a_pod_made_without_its_sidecar_is_made_again_which_does_not_count_and_is_not_done_for_ever() {
    let Some(story) = hooks::Story::begin() else { return };
    let mut server = story.serve();
    let things = Things { cluster: story.cluster, namespace: story.cluster.namespace("missed") };
    self::things(story.cluster, things.namespace);
    story.cluster.apply_in(things.namespace, &experiment("missed", 2, &file()).to_string());
    let first = things.of_attempt(0, 1);

    // While Cairn is away, no pod waits for it.
    server.kill();
    things.make_pod(&first, "first", "sleep 600");
    assert_eq!(things.containers("first"), 1);
    let server = story.serve();
    let again = things.of_attempt(0, 2);
    assert_eq!(again["metadata"]["name"], first["metadata"]["name"]);
    assert_ne!(again["metadata"]["uid"], first["metadata"]["uid"]);
    things.make_pod(&again, "again", "echo loss=0.5 > /out/metrics.log");
    assert_eq!(things.containers("again"), 2);
    things.finish(&again, "again");
    assert_eq!(*latest(&things.trial(&again, "Succeeded")), json!("0.5"), "{}", server.stderr());

    // The cluster asks nobody any more.
    story.cluster.kubectl(&["delete", "mutatingwebhookconfiguration", "cairn.dev"]);
    let mut thing = things.of_attempt(1, 1);
    until("no pod is prepared", || {
        let tried = pod(&thing, "tried", "true");
        let create = ["create", "-n", things.namespace, "--dry-run=server", "-o", "json", "-f", "-"];
        let made: Value = serde_json::from_slice(&story.given(&create, &tried).stdout).ok()?;
        (made["spec"]["containers"].as_array()?.len() == 1).then_some(())
    });
    for attempt in 1..=4 {
        thing = things.of_attempt(1, attempt);
        things.make_pod(&thing, &format!("bare-{attempt}"), "sleep 600");
    }
    let failed = things.trial(&thing, "Failed");
    let message = failed["status"]["conditions"].as_array().unwrap().last().unwrap()["message"].clone();
    let wanted =
        "its pod was made without its sidecar, 4 times: see to it that the API server reaches the webhook";
    assert!(message.as_str().unwrap().contains(wanted), "{message}\n{}", server.stderr());
    let ended = until("the experiment has ended", || {
        let experiment = things.get("experiment/missed");
        (conditions(&experiment).last()?.0 == "Succeeded").then_some(experiment)
    });
    let count = |word: &str| ended["status"][word].clone();
    assert_eq!([count("trialsSucceeded"), count("trialsFailed")], [json!(1), json!(1)], "{ended}");
}
