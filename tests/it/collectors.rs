//! Every metrics collector, against what really writes metrics.

use std::path::Path;

use e2e::{Cairn, Output, python, until};
use serde_json::{Value, json};

/// What `cairn export --observations` says: metric, step, text.
type Rows = Vec<(String, i64, String)>;

/// An experiment of `n` trials, one after the other, that minimise the first of these metrics.
fn experiment(n: u32, metrics: &[&str], collector: &Value, argv: &[&str]) -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "story"},
        "spec": {
            "seed": 1,
            "objective": {
                "type": "minimize", "objectiveMetricName": metrics[0], "additionalMetricNames": metrics[1..],
            },
            "algorithm": {"algorithmName": "random"},
            "parameters": [
                {"name": "point", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}},
            ],
            "maxTrialCount": n, "parallelTrialCount": 1, "maxFailedTrialCount": n,
            "metricsCollectorSpec": collector,
            "trialTemplate": {
                "trialParameters": [{"name": "point", "reference": "point"}],
                "trialSpec": {
                    "apiVersion": "cairn.dev/v1", "kind": "Process", "command": argv,
                    "env": {"POINT": "${trialParameters.point}"},
                },
            },
        },
    })
}

fn stdout() -> Value {
    json!({"collector": {"kind": "StdOut"}})
}

fn file(path: &str, format: &str) -> Value {
    json!({
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": path, "kind": "File", "format": format}},
    })
}

fn event_files() -> Value {
    json!({
        "collector": {"kind": "TensorFlowEvent"},
        "source": {"fileSystemPath": {"path": "/var/log/katib/events", "kind": "Directory"}},
    })
}

fn write(cairn: &Cairn, experiment: &Value) {
    // JSON is YAML too.
    cairn.write("experiment.yaml", experiment.to_string());
}

fn run(cairn: &Cairn, experiment: &Value) -> Output {
    write(cairn, experiment);
    cairn.run(["run", "experiment.yaml"]).ok()
}

/// One trial of a shell's text, collected from what it prints.
fn printed(metrics: &[&str], text: &str) -> (Cairn, Rows) {
    let cairn = Cairn::new();
    run(&cairn, &experiment(1, metrics, &stdout(), &["sh", "-c", text]));
    let rows = rows(&cairn);
    (cairn, rows)
}

fn rows(cairn: &Cairn) -> Rows {
    seen(cairn).expect("there is such an experiment")
}

/// The rows so far; `None` if there is no experiment yet.
fn seen(cairn: &Cairn) -> Option<Rows> {
    let output = cairn.run(["export", "story", "--observations"]);
    let csv = (output.code == Some(0)).then_some(output.stdout)?;
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[2].to_owned(), cells[3].parse().unwrap(), cells[5].to_owned())
    };
    Some(csv.lines().skip(1).map(row).collect())
}

fn expected(rows: &[(&str, i64, &str)]) -> Rows {
    rows.iter().map(|(metric, step, text)| ((*metric).to_owned(), *step, (*text).to_owned())).collect()
}

/// A Python program of these stories, in the folder of the story.
fn program(cairn: &Cairn, name: &str) -> String {
    let source = e2e::workspace().join("tests/it/collectors").join(name);
    cairn.write(name, std::fs::read(source).unwrap());
    name.to_owned()
}

#[test]
fn standard_output_and_error_are_read_by_the_default_filter() {
    let (cairn, rows) = printed(
        &["loss", "val-acc"],
        "echo 2026-01-01T10:00:00Z loss=0.5 val-acc = 7e-1 other=3; echo loss = -4E-1 >&2; echo loss=; \
         echo epoch=7 loss=0.30; echo step=9 loss=.2; printf 'the last line has no end: loss=1'",
    );
    let wanted = [
        ("loss", 0, "0.5"),
        ("val-acc", 0, "7e-1"),
        ("loss", 1, "-4E-1"),
        ("loss", 7, "0.30"),
        ("loss", 9, ".2"),
        ("loss", 4, "1"),
    ];
    assert_eq!(rows, expected(&wanted));
    let trial = &cairn.trials("story")[0];
    assert_eq!(trial["value"], -0.4);
    // Texts stay as they were written. The newest is that of the greatest time.
    assert_eq!(trial["metrics"][0]["min"], "-4E-1");
    assert_eq!(trial["metrics"][0]["latest"], "0.5");
}

#[test]
fn filters_of_ones_own_are_tried_on_every_line_in_their_order() {
    let cairn = Cairn::new();
    let mut collector = stdout();
    // `\w` is ASCII, as in Go.
    let formats = [r"(\w+): ([0-9.]+)%", r"\{(loss|acc) (-?\d+)\}"];
    collector["source"] = json!({"filter": {"metricsFormat": formats}});
    let text = "echo '{loss 3} acc: 50% loss: 2.5%'; echo loss=1; echo 'é_loss: 4%'; echo 'loss: ٣%'";
    run(&cairn, &experiment(1, &["loss", "acc"], &collector, &["sh", "-c", text]));
    assert_eq!(rows(&cairn), expected(&[("acc", 0, "50"), ("loss", 0, "2.5"), ("loss", 1, "3")]));
}

#[test]
fn numbers_that_cannot_be_compared_are_kept_and_never_the_best() {
    let cairn = Cairn::new();
    let text = "n=0; while ! mkdir ran-$n 2>/dev/null; do n=$((n+1)); done; \
        case $n in 0) echo loss=nan;; 1) echo loss=-inf;; 2) echo loss=0.5;; 3) echo acc=1;; esac";
    run(&cairn, &experiment(4, &["loss", "acc"], &stdout(), &["sh", "-c", text]));
    let trials = cairn.trials("story");
    let of = |idx: usize| (trials[idx]["state"].as_str().unwrap(), &trials[idx]["value"]);
    assert_eq!(of(0), ("Succeeded", &Value::Null));
    assert_eq!(of(1), ("Succeeded", &Value::Null));
    assert_eq!(of(2), ("Succeeded", &json!(0.5)));
    assert_eq!(of(3), ("MetricsUnavailable", &Value::Null));
    assert_eq!(trials[1]["metrics"][0]["latest"], "-inf");
    assert!(trials[0]["message"].as_str().unwrap().contains("no finite number"), "{}", trials[0]);
    assert!(trials[3]["message"].as_str().unwrap().contains("`loss` was never reported"), "{}", trials[3]);
    let best = cairn.run(["best", "story", "-o", "json"]).ok().json();
    assert_eq!((&best["idx"], &best["value"]), (&json!(2), &json!(0.5)));
}

#[test]
fn bytes_that_are_no_text_are_kept_escaped() {
    let cairn = Cairn::new();
    let mut collector = stdout();
    collector["source"] = json!({"filter": {"metricsFormat": [r"([\w-]+)=(.*)"]}});
    let text = r"printf 'genes=a\377\000b\n\000\377\376\n\303\251 genes=c'";
    run(&cairn, &experiment(1, &["genes"], &collector, &["sh", "-c", text]));
    assert_eq!(rows(&cairn), expected(&[("genes", 0, r"a\xff\x00b"), ("genes", 1, "c")]));
    assert_eq!(cairn.trials("story")[0]["state"], "Succeeded");
}

#[test]
fn a_path_that_trials_would_share_is_each_trial_s_own() {
    let cairn = Cairn::new();
    let shared = "/var/log/katib/story/metrics.log";
    let mut collector = file(shared, "TEXT");
    collector["source"]["filter"] = json!({"metricsFormat": [r"(\w+):(.*)"]});
    let text = format!(
        "echo loss:9 at first > {shared}; while ! test -e go; do sleep 0.02; done; \
         echo loss: $POINT > {shared}; cat {shared}"
    );
    let mut experiment = experiment(3, &["loss"], &collector, &["sh", "-c", &text]);
    experiment["spec"]["parallelTrialCount"] = json!(3);
    write(&cairn, &experiment);
    let controller = cairn.start(["run", "experiment.yaml"]);
    let first = ("loss".to_owned(), 0, "9 at first".to_owned());
    until("what was written first is there", || (seen(&cairn)? == vec![first.clone(); 3]).then_some(()));
    cairn.write("go", "");
    assert_eq!(controller.end().code, Some(0));
    assert!(!Path::new(shared).exists());
    for trial in cairn.trials("story") {
        assert_eq!(trial["metrics"][0]["latest"], trial["parameters"]["point"], "{trial}");
        // The file was cut and written anew, which loses nothing that was read before.
        assert_eq!(trial["metrics"][0]["max"], trial["parameters"]["point"]);
        let explained = cairn.run(["explain", "story", trial["name"].as_str().unwrap()]).ok().stdout;
        assert!(explained.contains("the file was cut or replaced"), "{explained}");
    }
}

#[test]
fn json_lines_are_read_as_python_writes_them() {
    let cairn = Cairn::new();
    let script = r#"
import json, sys
with open(sys.argv[1], "w") as file:
    for row in [
        {"loss": "0.50", "acc": 0.25, "timestamp": 1638422847.25},
        {"loss": float("nan"), "acc": 0.5, "epoch": 4},
        {"loss": 0.0625, "step": "6", "acc": None, "more": {"loss": 1}},
    ]:
        print(json.dumps(row), file=file)
    file.write("\nloss=3\n" + json.dumps({"acc": "1"}))
"#;
    let collector = file("/var/log/katib/story.json", "JSON");
    let argv = ["python3", "-c", script, "/var/log/katib/story.json"];
    run(&cairn, &experiment(1, &["loss", "acc"], &collector, &argv));
    let wanted = [
        ("loss", 0, "0.50"),
        ("acc", 0, "0.25"),
        ("loss", 4, "NaN"),
        ("acc", 4, "0.5"),
        ("loss", 6, "0.0625"),
        ("acc", 2, "1"),
    ];
    assert_eq!(rows(&cairn), expected(&wanted));
    assert_eq!(cairn.trials("story")[0]["value"], 0.0625);
    let explained = cairn.run(["explain", "story", "0"]).ok().stdout;
    assert!(explained.contains("was passed over: it is no JSON"), "{explained}");
}

#[test]
fn event_files_of_tensorboard_are_read_by_folder_and_tag() {
    let cairn = Cairn::new().with_python(&python::with("peers"));
    let argv = ["python3", &program(&cairn, "events.py"), "/var/log/katib/events"];
    run(&cairn, &experiment(1, &["loss", "test/accuracy"], &event_files(), &argv));
    let mut rows = rows(&cairn);
    rows.sort();
    let wanted = [
        ("loss", 0, "1"),
        ("loss", 1, "0.75"),
        ("loss", 2, "0.5"),
        ("test/accuracy", 0, "0"),
        ("test/accuracy", 1, "0.125"),
        ("test/accuracy", 2, "0.25"),
    ];
    assert_eq!(rows, expected(&wanted));
    let csv = cairn.run(["export", "story", "--observations"]).ok().stdout;
    assert!(csv.contains("loss,2,2023-11-14T22:13:22.250Z,0.5,0.5"), "{csv}");
}

#[test]
fn prometheus_pages_are_scraped_and_what_was_missed_is_said() {
    let cairn = Cairn::new().with_python(&python::with("peers"));
    let collector = json!({
        "collector": {"kind": "PrometheusMetric"},
        "source": {"httpGet": {"path": "/metrics", "port": 0}},
    });
    let argv = ["python3", &program(&cairn, "exporter.py"), "go-"];
    let metrics = ["loss", "accuracy{phase=\"test\"}"];
    write(&cairn, &experiment(1, &metrics, &collector, &argv));
    let mut controller = cairn.start(["run", "experiment.yaml"]);
    let scraped = |loss: &str| {
        until(&format!("a loss of {loss} is scraped"), || {
            seen(&cairn)?.iter().any(|(metric, _, text)| metric == "loss" && text == loss).then_some(())
        });
    };
    scraped("3.0");
    controller.kill();
    // Longer than between any two scrapes.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let controller = cairn.start(["run", "experiment.yaml"]);
    cairn.write("go-2", "");
    scraped("2.0");
    cairn.write("go-1", "");
    scraped("1.0");
    cairn.write("go-0", "");
    assert_eq!(controller.end().code, Some(0));
    let trial = &cairn.trials("story")[0];
    assert_eq!(trial["metrics"][0]["max"], "3.0");
    assert_eq!(trial["metrics"][1]["latest"], "0.5");
    let explained = cairn.run(["explain", "story", "0"]).ok().stdout;
    assert!(explained.contains("was not scraped from"), "{explained}");
}

#[test]
fn a_custom_collector_is_refused_here_by_name() {
    let cairn = Cairn::new();
    let container = json!({"name": "collect", "image": "registry.example.com/collect:1"});
    let collector = json!({"collector": {"kind": "Custom", "customCollector": container}});
    write(&cairn, &experiment(1, &["loss"], &collector, &["true"]));
    let output = cairn.run(["run", "experiment.yaml"]);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("spec.metricsCollectorSpec.collector"), "{output}");
    assert!(output.stderr.contains("a Custom collector is a container"), "{output}");
    assert_eq!(cairn.run(["list", "-o", "json"]).ok().json()["items"], json!([]));
}

/// A folder with stubs of Katib's protocol, made from its text.
fn with_stubs() -> Cairn {
    let python = python::with("peers");
    let cairn = Cairn::new().with_python(&python);
    let protocol = e2e::workspace().join("proto/api/v1/beta1");
    let mut stubs = std::process::Command::new(&python);
    stubs.args(["-m", "grpc_tools.protoc", "--python_out=.", "--grpc_python_out=.", "-I"]).arg(&protocol);
    assert!(stubs.arg("api.proto").current_dir(cairn.path()).status().unwrap().success());
    program(&cairn, "manager.py");
    cairn
}

fn push() -> Value {
    json!({"collector": {"kind": "Push"}})
}

#[test]
fn programs_push_as_clients_of_katib_do() {
    let cairn = with_stubs();
    let argv = ["python3", &program(&cairn, "push.py")];
    run(&cairn, &experiment(1, &["loss", "acc"], &push(), &argv));
    let trial = &cairn.trials("story")[0];
    let metric = |at: usize, what: &str| trial["metrics"][at][what].as_str().unwrap().to_owned();
    assert_eq!([metric(0, "max"), metric(0, "latest"), metric(1, "latest")], ["0.5", "0.25", "0.75"]);
    let log = cairn.run(["logs", "story", "0"]).ok().stdout;
    let wanted = "refused: UNKNOWN\n\
        kept: 2026-01-01T10:00:01Z loss 0.5\n\
        kept: 2026-01-01T10:00:02.500Z loss 0.25\n\
        kept: 2026-01-01T10:00:03Z acc 0.75\n";
    assert_eq!(log, wanted);
}

#[test]
fn a_log_of_200_megabytes_takes_little_memory() {
    let cairn = Cairn::new();
    let text = "echo loss=2; head -c 3000000 /dev/zero | tr '\\0' x; echo; \
        yes 'a line as logs are full of, without anything to be found' | head -c 200000000; echo; echo loss=1";
    write(&cairn, &experiment(1, &["loss"], &stdout(), &["sh", "-c", text]));
    let (server, url) = cairn.serve(&[]);
    cairn.run(["submit", "experiment.yaml", "--server", &url]).ok();
    until("the trial has ended", || (cairn.trials("story").first()?["state"] == "Succeeded").then_some(()));
    assert_eq!(rows(&cairn), expected(&[("loss", 0, "2"), ("loss", 1, "1")]));
    let explained = cairn.run(["explain", "story", "0"]).ok().stdout;
    assert!(explained.contains("is longer than 1048576 bytes and was passed over"), "{explained}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_nonzero())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 150_000, "the controller has taken {kilobytes} kB");
}

/// Four trials, of which the last is worse than all before it and would go on for ever with a child of its own.
fn the_last_is_stopped(cairn: &Cairn, collector: &Value, report: &str) {
    let text = format!(
        "report() {{ {report}; }}; n=0; while ! mkdir ran-$n 2>/dev/null; do n=$((n+1)); done; \
         if test $n = 3; then echo $$ > pid; report 9 8; sleep 1000; report 0; else report 0.2 0.1; fi"
    );
    let mut experiment = experiment(4, &["loss"], collector, &["sh", "-c", &text]);
    experiment["spec"]["earlyStopping"] = json!({
        "algorithmName": "medianstop", "algorithmSettings": [{"name": "start_step", "value": "2"}],
    });
    run(cairn, &experiment);
    let trials = cairn.trials("story");
    let states: Vec<&str> = trials.iter().map(|trial| trial["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["Succeeded", "Succeeded", "Succeeded", "EarlyStopped"]);
    assert_eq!(trials[3]["value"], 8.0);
    let pid = cairn.read("pid").unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "its process is gone");
}

#[test]
fn a_trial_that_falls_behind_is_stopped_while_it_runs() {
    let cairn = Cairn::new();
    the_last_is_stopped(&cairn, &stdout(), "for loss in \"$@\"; do echo loss=$loss; done");
    let explained = cairn.run(["explain", "story", "3"]).ok().stdout;
    assert!(explained.contains("was stopped by the rule: loss was greater than"), "{explained}");
}

#[test]
fn a_trial_that_pushes_and_falls_behind_is_stopped_too() {
    let cairn = with_stubs();
    the_last_is_stopped(&cairn, &push(), "python3 manager.py \"$@\"");
}

/// The controller is killed while a trial writes, in the middle of a row.
fn nothing_is_lost_or_doubled(kind: &str, path: &str, collector: &Value, text: impl Fn(i64) -> String) {
    let cairn = Cairn::new().with_python(&python::with("peers"));
    let argv = ["python3", &program(&cairn, "halting.py"), kind, path, "go"];
    write(&cairn, &experiment(1, &["loss"], collector, &argv));
    let mut controller = cairn.start(["run", "experiment.yaml"]);
    // What was written so far is seen while the trial runs.
    until("half of the rows are there", || (seen(&cairn)?.len() == 100).then_some(()));
    until("the trial is known to run", || (cairn.trials("story")[0]["state"] == "Running").then_some(()));
    controller.kill();
    cairn.write("go", "");
    let output = cairn.run(["run", "experiment.yaml"]);
    assert_eq!(output.code, Some(0), "{output}");
    let wanted: Rows = (0..200).map(|step| ("loss".to_owned(), step, text(step))).collect();
    assert_eq!(rows(&cairn), wanted);
    assert_eq!(cairn.trials("story")[0]["attempt"], 1, "it was not run again");
}

#[test]
fn a_crash_in_the_middle_of_a_line_loses_and_doubles_nothing() {
    nothing_is_lost_or_doubled("text", "", &stdout(), |step| format!("{step}.0"));
}

#[test]
fn a_crash_in_the_middle_of_json_loses_and_doubles_nothing() {
    let path = "/var/log/katib/story.json";
    nothing_is_lost_or_doubled("json", path, &file(path, "JSON"), |step| format!("{step}.0"));
}

#[test]
fn a_crash_in_the_middle_of_event_files_loses_and_doubles_nothing() {
    nothing_is_lost_or_doubled("events", "/var/log/katib/events", &event_files(), |step| step.to_string());
}
