//! A search that is run again by itself.

use std::time::Duration;

use e2e::{Cairn, Running, until};
use serde_json::Value;

/// Trials whose loss is their knob; they wait for the file `go` where one is asked for.
fn experiment(schedule: &str, waits: bool) -> String {
    let wait = if waits { "while ! test -e go; do sleep 0.05; done" } else { "true" };
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: again}}
spec:
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm: {{algorithmName: random}}
  parameters:
    - {{name: knob, parameterType: double, feasibleSpace: {{min: "0", max: "1"}}}}
  parallelTrialCount: 1
  maxTrialCount: 2
  schedule: {schedule}
  trialTemplate:
    trialParameters: [{{name: knob, reference: knob}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c, "{wait}; echo loss=${{trialParameters.knob}}"]
"#
    )
}

fn serve(cairn: &Cairn) -> Running {
    cairn.serve(&[]).0
}

/// A server with this schedule.
fn begin(schedule: &str, waits: bool) -> (Cairn, Running) {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", experiment(schedule, waits));
    cairn.run(["submit", "experiment.yaml"]).ok();
    let server = serve(&cairn);
    (cairn, server)
}

fn names(cairn: &Cairn) -> Vec<String> {
    let list = cairn.run(["list", "-o", "json"]).ok().json();
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = list["items"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

fn schedule(cairn: &Cairn) -> Value {
    cairn.run(["schedule", "list", "-o", "json"]).ok().json()["items"][0].clone()
}

/// The run of a number once it has succeeded: its trials.
fn succeeded(cairn: &Cairn, n: u64) -> Vec<Value> {
    let name = format!("again-{n}");
    until(&format!("{name} has succeeded"), || {
        let output = cairn.run(["get", &name, "-o", "json"]);
        let conditions = (output.code == Some(0)).then(|| output.json())?["status"]["conditions"].clone();
        let is_over = |c: &Value| c["type"] == "Succeeded" && c["status"] == "True";
        conditions.as_array()?.iter().any(is_over).then_some(())
    });
    cairn.trials(&name)
}

#[test]
fn the_second_run_begins_with_the_winner_of_the_first() {
    let (cairn, _server) = begin("{every: 2s}", false);
    succeeded(&cairn, 1);
    let best = cairn.run(["best", "again-1", "-o", "json"]).ok().json();
    let trials = succeeded(&cairn, 2);
    assert_eq!(trials[0]["parameters"], best["parameters"], "{trials:?}");
    assert_eq!(trials[0]["origin"], "enqueued", "{}", trials[0]);
    assert!(cairn.trials("again").is_empty(), "the template runs nothing itself");
}

#[test]
fn runs_do_not_overlap_and_old_ones_go() {
    let (cairn, _server) = begin("{every: 1s, history: {succeeded: 1}}", true);
    until("the first run goes on", || names(&cairn).contains(&"again-1".into()).then_some(()));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(names(&cairn), ["again", "again-1"], "forbid is what counts where nothing is said");
    cairn.write("go", "");
    assert_eq!(schedule(&cairn)["last"], "again-1");
    until("newer runs have taken its place", || {
        let names = names(&cairn);
        (names.len() > 1 && !names.contains(&"again-1".into())).then_some(())
    });
}

#[test]
fn a_suspended_schedule_makes_only_what_a_person_asks_for() {
    let (cairn, _server) = begin("{every: 1s, suspend: true}", false);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(names(&cairn), ["again"]);
    cairn.run(["schedule", "run-now", "again"]).ok();
    succeeded(&cairn, 1);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(names(&cairn), ["again", "again-1"]);
    let table = cairn.run(["schedule", "list"]).ok().stdout;
    assert!(table.contains("every 1s") && table.contains("suspended"), "{table}");
    cairn.run(["schedule", "resume", "again"]).ok();
    succeeded(&cairn, 2);
    cairn.run(["schedule", "suspend", "again"]).ok();
    assert_eq!(schedule(&cairn)["suspended"], true);
    let stop = cairn.run(["stop", "again"]);
    assert!(stop.code != Some(0) && stop.stderr.contains("is a schedule"), "{stop}");
    let no_schedule = cairn.run(["schedule", "run-now", "again-1"]);
    assert!(no_schedule.stderr.contains("has no schedule"), "{no_schedule}");
}

#[test]
fn a_server_that_is_killed_makes_no_run_twice_and_makes_up_for_one() {
    let (cairn, mut server) = begin("{every: 1s, concurrency: allow, history: {succeeded: 100}}", false);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(1300));
        server.kill();
        let before = schedule(&cairn)["runs"].as_u64().unwrap();
        std::thread::sleep(Duration::from_millis(2200));
        server = serve(&cairn);
        // However many times went by, one run makes up for them.
        until("a run makes up for them", || (schedule(&cairn)["runs"].as_u64()? > before).then_some(()));
    }
    cairn.run(["schedule", "suspend", "again"]).ok();
    until("what was decided is made", || (schedule(&cairn)["asked"] == false).then_some(()));
    let runs = schedule(&cairn)["runs"].as_u64().unwrap();
    let mut expected: Vec<String> = (1..=runs).map(|n| format!("again-{n}")).collect();
    expected.push("again".into());
    expected.sort();
    assert_eq!(names(&cairn), expected, "each number once, none left out");
}

#[test]
fn new_data_begins_a_run_and_drift_does_where_it_is_told_to() {
    let cairn = Cairn::new();
    cairn.write("data/a.csv", "1");
    cairn.write("experiment.yaml", experiment("{onNewData: {path: data, check: 500ms}}", false));
    cairn.run(["submit", "experiment.yaml"]).ok();
    let (_server, url) = cairn.serve(&[]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(names(&cairn), ["again"], "nothing has changed");
    cairn.write("data/b.csv", "2");
    succeeded(&cairn, 1);
    let drift = e2e::http::ask(&url, "POST", "/api/v1/schedules/again/run", &[], r#"{"cause": "drift"}"#);
    assert_eq!(drift.status, 409, "it is not told to heed drift");
}

#[test]
fn all_that_is_wrong_with_a_schedule_is_said_and_a_template_goes_with_its_runs() {
    let cairn = Cairn::new();
    cairn.example("digits");
    cairn.run(["validate", "digits/again.yaml"]).ok();
    cairn.write("experiment.yaml", experiment("{cron: often, timeZone: Here, concurrency: no}", false));
    let refused = cairn.run(["validate", "experiment.yaml"]);
    for word in ["spec.schedule.cron", "spec.schedule.timeZone", "spec.schedule.concurrency"] {
        assert!(refused.stderr.contains(word) || refused.stdout.contains(word), "{word}: {refused}");
    }
    cairn.write("experiment.yaml", experiment("{cron: \"0 3 * * 0\", timeZone: Europe/Berlin}", false));
    let run = cairn.run(["run", "experiment.yaml"]).ok();
    assert!(run.stderr.contains("`cairn serve` makes its runs"), "{run}");
    let _server = serve(&cairn);
    cairn.run(["schedule", "run-now", "again"]).ok();
    succeeded(&cairn, 1);
    cairn.run(["delete", "again"]).ok();
    until("its runs are gone too", || names(&cairn).is_empty().then_some(()));
}
