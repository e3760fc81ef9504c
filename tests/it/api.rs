//! HTTP and gRPC as programs see them.

use std::process::Command;

use e2e::{Cairn, http, until};
use serde_json::{Value, json};

/// Three quick trials and one knob.
const EXPERIMENT: &str = r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: parabola}
spec:
  seed: 3
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: random}
  parameters: [{name: lr, parameterType: double, feasibleSpace: {min: "0", max: "1"}}]
  parallelTrialCount: 1
  maxTrialCount: 3
  trialTemplate:
    trialParameters: [{name: lr, reference: lr}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c, 'echo "loss=${trialParameters.lr}"']
"#;

fn submit(url: &str, text: &str) -> http::Answer {
    http::ask(url, "POST", "/api/v1/experiments", &[("Content-Type", "application/yaml")], text)
}

fn state(url: &str) -> String {
    http::get(url, "/api/v1/experiments/parabola").json()["cairn"]["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn completed(url: &str) {
    until("the experiment has succeeded", || (state(url) == "Succeeded").then_some(()));
}

#[test]
fn an_experiment_is_submitted_followed_and_read_over_http() {
    let cairn = Cairn::new();
    let (_server, url) = cairn.serve(&[]);
    let answer = submit(&url, EXPERIMENT);
    assert_eq!((answer.status, answer.json()["outcome"].as_str()), (201, Some("created")), "{answer:?}");
    assert_eq!(submit(&url, EXPERIMENT).json()["outcome"], "unchanged");
    completed(&url);
    let trials = http::get(&url, "/api/v1/experiments/parabola/trials?sort=value").json();
    assert_eq!(trials["total"], 3);
    let best = http::get(&url, "/api/v1/experiments/parabola/best").json();
    assert_eq!(best["name"], trials["items"][0]["name"]);
    assert_eq!(best["value"], trials["items"][0]["value"]);
    let condition =
        |answer: &Value| answer["status"]["conditions"].as_array().unwrap().last().cloned().unwrap();
    let experiment = http::get(&url, "/api/v1/experiments/parabola").json();
    assert_eq!(condition(&experiment)["reason"], "ExperimentMaxTrialsReached");
    assert_eq!(experiment["status"]["trialsSucceeded"], 3);
    assert_eq!(http::get(&url, "/api/v1/experiments/nobody").status, 404);
    let metrics = http::get(&url, "/metrics").body;
    assert!(metrics.contains("katib_experiment_succeeded_total") || metrics.contains("cairn_"), "{metrics}");
    assert_eq!(http::get(&url, "/healthz").status, 200);
}

#[test]
fn a_stream_of_changes_goes_on_where_it_was_left() {
    let cairn = Cairn::new();
    let (mut server, url) = cairn.serve(&[]);
    assert_eq!(submit(&url, EXPERIMENT).status, 201);
    let id = |event: &String| {
        let line = event.lines().find_map(|line| line.strip_prefix("id:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    let path = "/api/v1/experiments/parabola/events";
    let first: Vec<u64> = http::events(&url, path, &[]).take(4).map(|event| id(&event)).collect();
    assert_eq!(first, [1, 2, 3, 4]);
    completed(&url);
    server.kill();
    let (_server, url) = cairn.serve(&[]);
    let last = first[3].to_string();
    let rest: Vec<u64> =
        http::events(&url, path, &[("Last-Event-ID", &last)]).take(3).map(|event| id(&event)).collect();
    assert_eq!(rest, [5, 6, 7]);
}

#[test]
fn what_the_document_promises_holds_for_any_input() {
    let cairn = Cairn::new();
    let (_server, url) = cairn.serve(&[]);
    assert_eq!(submit(&url, EXPERIMENT).status, 201);
    completed(&url);
    let python = e2e::python::with("peers");
    let mut run = Command::new(python.with_file_name("schemathesis"));
    run.arg("run").arg(format!("{url}/api/v1/openapi.json")).args(["--url", &url, "--no-color"]);
    run.args(["--seed", "1", "--max-examples", "20", "--request-timeout", "10"]);
    // What a schema allows may still be refused with a reason, such as a condition that makes no sense.
    run.args(["--exclude-checks", "positive_data_acceptance"]);
    // Streams of changes have no end.
    run.args(["--exclude-path", "/api/v1/experiments/{name}/events"]);
    let output = run.current_dir(cairn.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(http::get(&url, "/healthz").status, 200);
}

#[test]
fn a_stopped_experiment_goes_on_with_other_budgets() {
    let cairn = Cairn::new();
    let (_server, url) = cairn.serve(&[]);
    let held = EXPERIMENT.replace("  seed: 3\n", "  seed: 3\n  suspend: true\n");
    assert_eq!(submit(&url, &held).status, 201);
    let path = "/api/v1/experiments/parabola";
    let edit = json!({"maxTrialCount": 5}).to_string();
    let json = [("Content-Type", "application/json")];
    let edited = http::ask(&url, "PATCH", path, &json, &edit);
    assert!(edited.status < 300, "{edited:?}");
    assert_eq!(http::ask(&url, "POST", &format!("{path}/resume"), &json, "{}").status, 202);
    completed(&url);
    assert_eq!(http::get(&url, &format!("{path}/trials")).json()["total"], 5);
}
