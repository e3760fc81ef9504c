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

/// A trial that pushes its curve to the API without a token: bad ones would go on for a minute.
const PUSHING: &str = r#"
import json, os, sys, time, urllib.request
bad = float(sys.argv[1]) > 0.5
url = f"{os.environ['CAIRN_SERVER']}/api/v1/trials/{os.environ['CAIRN_TRIAL_NAME']}/observations"
for step in range(200 if bad else 6):
    item = {"seq": step, "metric": "loss", "value": str(10 + step if bad else 1), "step": step}
    body = {"source": "main", "attempt": int(os.environ["CAIRN_ATTEMPT"]), "items": [item]}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for again in range(2):
        urllib.request.urlopen(request).read()
    time.sleep(0.3 if bad else 0.01)
"#;

#[test]
fn rules_look_at_values_that_programs_push_and_need_no_token_for() {
    let cairn = Cairn::new();
    cairn.write("push.py", PUSHING);
    let token = cairn.write("token", "0123456789abcdef0123456789abcdef");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).unwrap();
    let (_server, url) = cairn.serve(&["--token-file", "token"]);
    assert_eq!(http::get(&url, "/api/v1/experiments").status, 401);
    let command = format!("[python3, {}, \"${{trialParameters.lr}}\"]", cairn.at("push.py").display());
    let rule = "[{name: min_trials_required, value: \"1\"}]";
    let spec = format!(
        "  metricsCollectorSpec: {{collector: {{kind: Push}}}}\n  earlyStopping: {{algorithmName: medianstop, algorithmSettings: {rule}}}\n"
    );
    let text = EXPERIMENT
        .replace("[sh, -c, 'echo \"loss=${trialParameters.lr}\"']", &command)
        .replace("algorithmName: random", "algorithmName: grid")
        .replace(
            "parameterType: double, feasibleSpace: {min: \"0\", max: \"1\"}",
            "parameterType: discrete, feasibleSpace: {list: [\"0.1\", \"0.2\", \"0.9\"]}",
        )
        .replace("  seed: 3\n", &spec);
    let bearer = ("Authorization", "Bearer 0123456789abcdef0123456789abcdef");
    let answer = http::ask(&url, "POST", "/api/v1/experiments", &[bearer], &text);
    assert_eq!(answer.status, 201, "{answer:?}");
    let trials = until("all trials have ended", || {
        let answer = http::ask(&url, "GET", "/api/v1/experiments/parabola/trials", &[bearer], "");
        let items = answer.json()["items"].as_array()?.clone();
        let ended = |trial: &Value| trial["ended"].is_string();
        (items.len() == 3 && items.iter().all(ended)).then_some(items)
    });
    let states: Vec<&str> = trials.iter().map(|trial| trial["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["Succeeded", "Succeeded", "EarlyStopped"]);
    let path =
        format!("/api/v1/experiments/parabola/trials/{}/observations", trials[0]["name"].as_str().unwrap());
    let rows = http::ask(&url, "GET", &path, &[bearer], "").json();
    assert_eq!(rows["items"].as_array().unwrap().len(), 6, "values sent twice are kept once");
}
