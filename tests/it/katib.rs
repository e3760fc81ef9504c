//! Cairn among Katib's: its controller's client against `cairn suggest`, its services behind `algorithm.endpoint`.

use std::collections::BTreeSet;
use std::process::Command;

use e2e::{Cairn, Running, python};
use serde_json::Value;

/// A program of `peers/`, with Katib's own stubs at hand.
fn peer(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python::with("katib"));
    command.arg(e2e::workspace().join("tests/it/peers").join(program)).args(args);
    command
}

#[test]
fn a_katib_controller_can_use_cairn_as_its_suggestion_service() {
    let cairn = Cairn::new();
    let server = cairn.start(["suggest", "--listen", "127.0.0.1:0"]);
    let address = server.said("serving suggestions on ");
    let algorithms = [
        "random",
        "grid",
        "sobol",
        "tpe",
        "multivariate-tpe",
        "bayesianoptimization",
        "cmaes",
        "hyperband",
        "asha",
        "auto",
    ];
    let output =
        Running::start(peer("katib_client.py", &[&[address.as_str()], &algorithms[..]].concat())).end();
    let found = output.ok().json();

    for algorithm in algorithms {
        let points = found["points"][algorithm].as_array().unwrap();
        let distinct: BTreeSet<String> = points.iter().map(Value::to_string).collect();
        assert_eq!((points.len(), distinct.len()), (12, 12), "{algorithm}: {points:?}");
        for point in points {
            let number = |name: &str| point[name].as_str().unwrap().parse::<f64>().unwrap();
            assert!((0.1..=0.9).contains(&number("lr")), "{algorithm}: {point}");
            assert!(!point["units"].as_str().unwrap().contains('.'), "{algorithm}: {point}");
            assert!((1.0..=9.0).contains(&number("units")), "{algorithm}: {point}");
            assert!(["16", "32"].contains(&point["batch"].as_str().unwrap()), "{algorithm}: {point}");
        }
    }
    let health = found["health"].as_object().unwrap();
    for (name, status) in health {
        let wanted = if name == "other" { "NOT_FOUND" } else { "SERVING" };
        assert_eq!(status, wanted, "{name}");
    }
    let services = found["services"].to_string();
    for service in ["api.v1.beta1.Suggestion", "api.v1.beta1.EarlyStopping", "cairn.v1.Search"] {
        assert!(services.contains(service), "{services}");
    }
    let refused = |what: &str| {
        let refusal = &found["refusals"][what];
        (refusal[0].as_str().unwrap(), refusal[1].as_str().unwrap())
    };
    assert_eq!(refused("gamma"), ("INVALID_ARGUMENT", "gamma should be in the range of (0, 1)"));
    assert_eq!(refused("unknown"), ("INVALID_ARGUMENT", "unknown algorithm name annealing"));
    assert_eq!(refused("pbt").0, "INVALID_ARGUMENT");
    assert_eq!(refused("rule"), ("INVALID_ARGUMENT", "start_step must be greater or equal than one (>=1)"));
    assert_eq!(refused("status").0, "UNIMPLEMENTED");
}

/// An experiment whose points come from an endpoint; `spec` is more of its spec, indented by two.
fn elsewhere(endpoint: &str, trial: &str, spec: &str) -> String {
    format!(
        r#"apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: elsewhere}}
spec:
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm:
    algorithmName: mine
    endpoint: {endpoint}
    algorithmSettings: [{{name: stride, value: "0.05"}}]
  parallelTrialCount: 2
  maxTrialCount: 8
{spec}
  parameters:
    - {{name: lr, parameterType: double, feasibleSpace: {{min: "0.01", max: "1"}}}}
    - {{name: opt, parameterType: categorical, feasibleSpace: {{list: [sgd, adam]}}}}
  trialTemplate:
    trialParameters:
      - {{name: lr, reference: lr}}
      - {{name: opt, reference: opt}}
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c]
      args: ["{trial}", "${{trialParameters.opt}}"]
"#
    )
}

/// Questions that the service has been asked, one a line of its output.
fn questions(service: &Running) -> Vec<Value> {
    // The last line may not be whole yet.
    service.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn somebody_elses_suggestion_service_proposes_the_points() {
    let cairn = Cairn::new();
    let service = Running::start(peer("katib_suggestion.py", &[]));
    let endpoint = service.said("listening on ");
    let trial = "test -e go || sleep 0.2; echo loss=${trialParameters.lr}";
    cairn.write("experiment.yaml", elsewhere(&endpoint, trial, ""));
    // A controller dies in the middle, and another takes over: the service's settings must not be lost with it.
    let mut first = cairn.start(["run", "experiment.yaml"]);
    e2e::until("three questions were answered", || (questions(&service).len() >= 3).then_some(()));
    first.kill();
    let best = cairn.run(["run", "experiment.yaml", "-o", "json"]).ok().json();
    assert_eq!(best["value"], 0.05, "{best}");

    let trials = cairn.trials("elsewhere");
    let lr = |trial: &Value| trial["parameters"]["lr"].as_str().unwrap().parse::<f64>().unwrap();
    let points: Vec<u64> = trials.iter().map(|trial| (lr(trial) * 20.0).round() as u64).collect();
    assert_eq!(points, [1, 2, 3, 4, 5, 6, 7, 8]);
    let asked = questions(&service);
    // It was asked for two and gave one.
    assert_eq!((asked[0]["wanted"].as_u64(), asked[1]["wanted"].as_u64()), (Some(2), Some(1)));
    let last = asked.last().unwrap();
    for (step, trial) in last["trials"].as_array().unwrap().iter().enumerate() {
        assert_eq!(trial["name"], format!("mine-{step}"), "{last}");
        assert_eq!(trial["labels"]["step"], step.to_string(), "{last}");
        if trial["condition"] == "SUCCEEDED" {
            assert_eq!(trial["metrics"]["loss"], trial["point"]["lr"], "{last}");
        }
    }
    let replayed = cairn.run(["replay", "elsewhere"]);
    assert!(replayed.stderr.contains("somebody else's service"), "{replayed}");
}

#[test]
fn what_an_endpoint_refuses_or_cannot_be_told_is_said() {
    let cairn = Cairn::new();
    let service = Running::start(peer("katib_suggestion.py", &[]));
    let endpoint = service.said("listening on ");
    let refused = elsewhere(&endpoint, "echo loss=${trialParameters.lr}", "").replace("\"0.05\"", "\"-1\"");
    cairn.write("refused.yaml", &refused);
    let output = cairn.run(["run", "refused.yaml"]);
    assert!(output.code != Some(0) && output.stderr.contains("stride must be above zero"), "{output}");
    let constrained = elsewhere(&endpoint, "true", "  parameterConstraints: [\"lr < 0.5\"]");
    cairn.write("constrained.yaml", constrained);
    let output = cairn.run(["validate", "constrained.yaml"]);
    assert!(output.code != Some(0) && output.to_string().contains("cannot carry constraints"), "{output}");

    // Nobody is there yet: the experiment waits. Once the service comes and refuses, it fails in its words.
    let port = endpoint.rsplit_once(':').unwrap().1.to_owned();
    drop(service);
    cairn.write("waits.yaml", refused);
    let waiting = cairn.start(["run", "waits.yaml"]);
    e2e::until("it waits for the service", || {
        let said = cairn.run(["explain", "elsewhere"]);
        said.stdout.contains("the suggestion service did not answer").then_some(())
    });
    let _service = Running::start(peer("katib_suggestion.py", &[&port]));
    let output = waiting.end();
    assert!(output.code == Some(3) && output.to_string().contains("stride must be above zero"), "{output}");
}

#[test]
fn a_katib_sidecar_can_say_that_a_rule_has_stopped_a_trial() {
    let cairn = Cairn::new();
    let (_server, url) = cairn.serve(&[]);
    let address = url.strip_prefix("http://").unwrap();
    let trial = "for loss in 9 8 7; do echo loss=$loss; done; sleep 600";
    let own = elsewhere("", trial, "")
        .replace("algorithmName: mine\n    endpoint: \n", "algorithmName: random\n")
        .replace("    algorithmSettings: [{name: stride, value: \"0.05\"}]\n", "")
        .replace("parallelTrialCount: 2", "parallelTrialCount: 1")
        .replace("maxTrialCount: 8", "maxTrialCount: 1")
        .replace("[sh, -c]", "[sh, -c]\n      env: [{name: LR, value: \"${trialParameters.lr}\"}]");
    cairn.write("experiment.yaml", own);
    assert_eq!(cairn.run(["submit", "experiment.yaml", "--server", &url]).code, Some(0));
    let trials = || cairn.run(["trials", "elsewhere", "-o", "json", "--server", &url]).ok().json();
    let name = e2e::until("its trial has reported", || {
        let name = trials()["items"][0]["name"].as_str().map(str::to_owned)?;
        let logs = cairn.run(["logs", "elsewhere", &name, "--server", &url]);
        logs.stdout.contains("loss=7").then_some(name)
    });
    let said = e2e::until("its observations are stored", || {
        let said = Running::start(peer("katib_stop.py", &[address, &name])).end();
        (said.code == Some(0)).then(|| said.json())
    });
    assert_eq!(said["refused"], "NOT_FOUND");
    assert_eq!(said["rules"], serde_json::json!([["loss", "8.0", "GREATER", 4]]));
    e2e::until("the trial has ended", || {
        let trial = trials()["items"][0].clone();
        (trial["state"] == "EarlyStopped" && trial["value"] == 7.0).then_some(())
    });
}
