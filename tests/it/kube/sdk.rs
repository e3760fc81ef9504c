//! Katib's Python SDK, as it is, with Cairn behind the API server.

use e2e::{Running, python};
use serde_json::Value;

use super::experiments::pairs;
use super::hooks;
use super::sidecars::Watched;

#[test]
fn katib_s_sdk_finds_what_it_is_used_to() {
    let Some(watched) = Watched::begin("katib-sdk", 7708) else { return };
    let story = &watched.story;
    story.cluster.python_image();
    let server = watched.serve_with(&["--manager-listen", "127.0.0.1:0", "--manager-open"]);
    let manager = server.said("serving Katib's DBManager on ");
    let mut user = story.cluster.enter(python::with("katib"));
    let script = e2e::workspace().join("tests/it/kube/katib_sdk.py");
    user.arg(script).args([story.namespace, &manager]);
    let said = Running::start(user).end_within(4 * e2e::PATIENCE).ok().stdout;
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();

    let listed: Vec<(String, String)> = serde_json::from_value(found["conditions"].clone()).unwrap();
    assert_eq!(listed, pairs(&[("Created", "True"), ("Running", "False"), ("Succeeded", "True")]));
    assert_eq!(found["status"]["succeeded"], 3);
    let trials = found["trials"].as_object().unwrap();
    let suggested: Vec<&str> =
        found["suggested"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(suggested, trials.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, trial) in trials {
        let x = &trial["x"];
        assert_eq!((&trial["state"], &trial["runs"]), (&"Succeeded".into(), &"Job".into()), "{name}");
        assert_eq!(trial["metrics"], serde_json::json!([["loss", "9"], ["loss", x]]), "{name}");
    }
    let best = &found["best"];
    assert_eq!(trials[best["trial"].as_str().unwrap()]["x"], best["x"]);
    assert_eq!(best["metrics"][0]["latest"], best["x"]);
    assert_eq!(best["metrics"][0]["max"], "9");

    let tuned = &found["tuned"];
    assert_eq!(tuned["succeeded"], 4);
    assert_eq!(tuned["reason"], "ExperimentMaxTrialsReached");
    let number = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    let (a, b) = (number(&tuned["given"]["a"]), number(&tuned["given"]["b"]));
    assert!((4.0 * a - b * b - number(&tuned["result"])).abs() < 1e-9, "{tuned}");
    assert_eq!(found["wrong"], "Experiment has failed because max failed count has reached");
}

/// A runtime whose trainers are plain programs of Python.
const RUNTIME: &str = "
apiVersion: trainer.kubeflow.org/v1alpha1
kind: ClusterTrainingRuntime
metadata: {name: plain, labels: {trainer.kubeflow.org/framework: plain}}
spec:
  mlPolicy: {numNodes: 1}
  template:
    spec:
      replicatedJobs:
      - name: node
        template:
          metadata: {labels: {trainer.kubeflow.org/trainjob-ancestor-step: trainer}}
          spec: {template: {spec: {containers: [{name: node, image: local/python:1}]}}}
";

/// A TrainJob holds no template of its pods: what those need is put into them when they are made.
#[test]
fn kubeflow_s_optimizer_client_finds_the_best_of_its_train_jobs() {
    let operators =
        |story: &hooks::Story| ["jobset", "trainer"].iter().all(|name| story.cluster.operator(name));
    let Some(story) = hooks::Story::begin().filter(operators) else { return };
    story.cluster.python_image();
    let namespace = story.cluster.namespace("optimizer");
    story.cluster.apply_in(namespace, RUNTIME);
    let server = story.serve();
    let mut user = story.cluster.enter(python::with("kubeflow"));
    user.arg(e2e::workspace().join("tests/it/kube/optimizer_client.py")).arg(namespace);
    let output = Running::start(user).end_within(3 * e2e::PATIENCE);
    assert_eq!(output.code, Some(0), "{output}\n{}", server.stderr());
    let found: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(found["status"], "Complete", "{found}");
    assert_eq!(found["listed"], serde_json::json!([true, "Complete"]), "{found}");
    let trials = found["trials"].as_object().unwrap();
    assert_eq!(trials.len(), 2, "{found}");
    assert!(trials.values().all(|trial| trial[0] == "Complete"), "{found}");
    let events = found["events"].to_string();
    assert!(events.contains("ExperimentMaxTrialsReached") && events.contains("TrialCreated"), "{found}");

    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let losses = trials.values().map(|trial| number(&trial[2][0]));
    let (given, loss) = (&found["best"][0], number(&found["best"][1][0]));
    assert!((losses.fold(f64::INFINITY, f64::min) - loss).abs() < 1e-12, "{found}");
    assert!((2.0 * number(&given["lr"]) - loss).abs() < 1e-12, "{found}");
}
