//! The table of bad input: each ends in one clear message that names the thing and the way out, and nothing is lost.

mod doors;
mod files;
mod machine;
mod spec;
mod stops;
mod trials;

use e2e::{Cairn, Output};

const EXPERIMENT: &str = r#"apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: demo}
spec:
  seed: 1
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: random}
  parallelTrialCount: 2
  maxTrialCount: 4
  maxFailedTrialCount: 2
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: "0.1", max: "1"}}
  trialTemplate:
    trialParameters: [{name: lr, reference: lr}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c, "echo $CAIRN_TRIAL_NAME >> ran; echo loss=${trialParameters.lr}"]
"#;

/// A good Experiment with parts replaced.
fn experiment(replace: &[(&str, &str)]) -> String {
    replace.iter().fold(EXPERIMENT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not there");
        text.replace(from, to)
    })
}

/// A folder with `experiment.yaml`: a good one with parts replaced.
fn folder(replace: &[(&str, &str)]) -> Cairn {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", experiment(replace));
    cairn
}

/// The same with another command of its trials, for `sh`.
fn with_command(command: &str, replace: &[(&str, &str)]) -> Cairn {
    let text = experiment(replace);
    let (head, _) = text.split_once("      command: ").unwrap();
    let cairn = Cairn::new();
    let script: String = command.lines().map(|line| format!("          {line}\n")).collect();
    cairn.write(
        "experiment.yaml",
        format!("{head}      command: [sh, -c]\n      args:\n        - |\n{script}"),
    );
    cairn
}

fn run(cairn: &Cairn) -> Output {
    cairn.run(["run", "experiment.yaml"])
}

/// What is said where a file is not right: exit code 2, no data, and nothing is recorded.
fn refusal(cairn: &Cairn, file: &str) -> String {
    let output = cairn.run(["run", file]);
    assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{output}");
    let list = cairn.run(["list", "-o", "json"]).ok().json();
    assert_eq!(list["items"].as_array().map_or(0, Vec::len), 0, "{list}");
    output.stderr
}

/// How often each trial was run, as they have written it down themselves.
fn ran(cairn: &Cairn) -> Vec<String> {
    let mut names: Vec<String> = cairn.read("ran").unwrap_or_default().lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// All trials have succeeded, and each was run once.
fn all_ran_once(cairn: &Cairn, n: usize) {
    let trials = cairn.trials("demo");
    let mut names: Vec<&str> = trials.iter().map(|trial| trial["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!((ran(cairn), trials.len()), (names.iter().map(|name| (*name).to_owned()).collect(), n));
    assert!(trials.iter().all(|trial| trial["state"] == "Succeeded"), "{trials:?}");
}
