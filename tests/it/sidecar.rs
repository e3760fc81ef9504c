//! The sidecar's own program, beside a real program, reporting to a real server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Cairn, Running, until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What the trial runs here meanwhile.
const TRIAL: &str = "while ! test -e go; do sleep 0.05; done";

/// The program under test.
fn sidecar() -> Command {
    let mut command = Command::new(e2e::cairn::binary().with_file_name("cairn-sidecar"));
    for name in ["CAIRN_SIDECAR_TASK", "CAIRN_SERVER", "CAIRN_TOKEN_FILE"] {
        command.env_remove(name);
    }
    command.env("CAIRN_LOG", "info");
    command
}

/// A server with one trial that waits, and the folder that its program and its sidecar share.
struct Pod {
    cairn: Cairn,
    server: Option<Running>,
    url: String,
    task: Value,
}

impl Pod {
    /// A pod whose metrics are collected so.
    fn new(collector: &Value) -> Self {
        Self::with(collector, &[])
    }

    /// The same with more words for the server.
    fn with(collector: &Value, args: &[&str]) -> Self {
        let cairn = Cairn::new();
        write_token(&cairn.at("token"), TOKEN);
        let experiment = json!({
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Experiment",
            "metadata": {"name": "story"},
            "spec": {
                "seed": 1,
                "objective": {"type": "minimize", "objectiveMetricName": "loss"},
                "algorithm": {"algorithmName": "random"},
                "parameters": [
                    {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}},
                ],
                "maxTrialCount": 1, "parallelTrialCount": 1, "maxFailedTrialCount": 1,
                "metricsCollectorSpec": {"collector": {"kind": "Push"}},
                "trialTemplate": {
                    "trialParameters": [{"name": "x", "reference": "x"}],
                    "trialSpec": {
                        "apiVersion": "cairn.dev/v1", "kind": "Process", "command": ["sh", "-c", TRIAL],
                        "env": {"X": "${trialParameters.x}"},
                    },
                },
            },
        });
        cairn.write("experiment.yaml", experiment.to_string());
        let (server, url) = cairn.serve(args);
        let token = ["submit", "experiment.yaml", "--server", &url, "--token-file", "token"];
        cairn.run(token).ok();
        until("the trial runs", || (cairn.trials("story").first()?["state"] == "Running").then_some(()));
        let trial = cairn.trials("story")[0]["name"].as_str().unwrap().to_owned();
        let file = fs::read_to_string(run_file(cairn.path()).unwrap()).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        let shared = cairn.at("shared");
        fs::create_dir(&shared).unwrap();
        let task = json!({
            "run": file["run"]["id"], "namespace": "default", "trial": trial, "collector": collector,
            "metrics": ["loss"], "maximize": false, "path": shared.join("metrics.log"),
            "markers": shared, "end": "processes", "grace": 30,
        });
        Self { cairn, server: Some(server), url, task }
    }

    fn of_output() -> Self {
        Self::new(&json!({"collector": {"kind": "StdOut"}}))
    }

    /// The program, wrapped as the pod's webhook wraps it.
    fn program(&self, body: &str) -> Running {
        let folder = self.cairn.at("shared").display().to_string();
        let early = if self.task.get("rules").is_none() {
            String::new()
        } else {
            format!(
                "|| if test -f {folder}/$$.pid && [ $(head -n 1 {folder}/$$.pid) = early-stopped ]; then echo Training Container was Early Stopped; else echo Training Container was Failed; exit 1; fi "
            )
        };
        let text = format!("{body} 1>{folder}/metrics.log 2>&1 {early}&& echo completed > {folder}/$$.pid");
        let mut command = Command::new("sh");
        // By this variable a story finds what it leaves behind.
        command.args(["-c", &text]).current_dir(self.cairn.path()).env("CAIRN_TRIAL_DIR", self.cairn.path());
        Running::start(command)
    }

    fn sidecar(&self) -> Running {
        self.sidecar_by(sidecar())
    }

    /// The sidecar as this command starts it.
    fn sidecar_by(&self, mut command: Command) -> Running {
        command.env("CAIRN_SIDECAR_TASK", self.task.to_string()).env("CAIRN_SERVER", &self.url);
        Running::start(command)
    }

    /// The server is gone at once, and back on the same address.
    fn without_server(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.server.take().unwrap().kill();
        meanwhile(self);
        let address = self.url.trim_start_matches("http://").to_owned();
        let server = self.cairn.start(["serve", "--listen", &address]);
        server.said("serving on ");
        self.server = Some(server);
    }

    /// Texts of all rows, by their steps.
    fn rows(&self) -> Vec<(i64, String)> {
        let csv = self.cairn.run(["export", "story", "--observations"]).ok().stdout;
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[3].parse().unwrap(), cells[5].to_owned())
        };
        csv.lines().skip(1).map(row).collect()
    }

    fn sees(&self, n: usize) {
        until(&format!("{n} rows are there"), || (self.rows().len() == n).then_some(()));
    }
}

fn expected(n: i64) -> Vec<(i64, String)> {
    (0..n).map(|step| (step, format!("{step}.5"))).collect()
}

const TOKEN: &str = "0123456789abcdef";

fn write_token(path: &Path, token: &str) {
    fs::write(path, token).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Numbers of processes of their own, as the containers of a pod share them: whatever is started in them from outside has no parent.
struct Numbers {
    _first: Running,
    pid: String,
}

impl Numbers {
    /// None where that is not allowed.
    fn new() -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            "echo it begins >&2; exec sleep 1000",
        ]);
        let mut first = Running::start(command);
        let pid = until("the first has begun or cannot", || {
            if !first.is_alive() {
                return Some(None);
            }
            let pid = first.pid().as_raw_nonzero();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            first.stderr().contains("it begins").then(|| Some(children.trim().to_owned()))
        });
        if pid.is_none() {
            e2e::skipped("processes cannot have numbers of their own; run it as root");
        }
        Some(Self { _first: first, pid: pid? })
    }

    /// A command in them, in a folder.
    fn command(&self, folder: &Path, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let go = r#"cd "$0" && exec "$@""#;
        command.args(["-t", &self.pid, "-p", "-m", "sh", "-c", go]).arg(folder).arg(program);
        command
    }
}

/// Prints 100 losses, and the other 100 once it may.
const COUNTS: &str = "sh -c 'i=0; while [ $i -lt 200 ]; do \
    if [ $i = 100 ]; then while ! test -e more; do sleep 0.02; done; fi; echo loss=$i.5; i=$((i+1)); done'";

/// What the executor has written down of the only run.
fn run_file(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries.filter(|entry| !entry.file_type().is_ok_and(|kind| kind.is_symlink())).find_map(|entry| {
        let path = entry.path();
        if path.file_name().is_some_and(|name| name == "run.json") { Some(path) } else { run_file(&path) }
    })
}

#[test]
fn what_a_program_prints_is_reported_while_it_runs_and_shown() {
    let pod = Pod::of_output();
    let program = pod.program(COUNTS);
    let sidecar = pod.sidecar();
    pod.sees(100);
    pod.cairn.write("more", "");
    assert_eq!(program.end().code, Some(0));
    let output = sidecar.end();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.stdout.lines().count(), 200);
    assert_eq!(pod.rows(), expected(200));
}

#[test]
fn killed_and_begun_again_while_the_server_is_away_it_loses_and_doubles_nothing() {
    let mut pod = Pod::of_output();
    let program = pod.program(COUNTS);
    let mut first = pod.sidecar();
    pod.sees(100);
    let mut second = None;
    pod.without_server(|pod| {
        pod.cairn.write("more", "");
        let log = pod.cairn.at("shared/metrics.log");
        until("all is printed", || (fs::read_to_string(&log).ok()?.lines().count() == 200).then_some(()));
        first.kill();
        second = Some(pod.sidecar());
        second.as_ref().unwrap().said("the controller is away");
    });
    assert_eq!(program.end().code, Some(0));
    let output = second.unwrap().end();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(pod.rows(), expected(200));
}

#[test]
fn a_line_that_breaks_loses_nothing_and_stops_nobody() {
    let mut pod = Pod::of_output();
    let program = pod.program(COUNTS);
    let sidecar = pod.sidecar();
    pod.sees(100);
    pod.cairn.write("more", "");
    let mut program = Some(program);
    pod.without_server(|_| assert_eq!(program.take().unwrap().end().code, Some(0)));
    let output = sidecar.end();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(pod.rows(), expected(200));
}

#[test]
fn a_program_whose_rules_are_met_is_stopped_by_its_marker_and_ends_well() {
    let mut pod = Pod::of_output();
    pod.task["rules"] = json!([{"metric": "loss", "value": 8.0, "comparison": "greater", "startStep": 2}]);
    let program = pod.program("sh -c 'echo $$ > pid; echo loss=9; echo loss=8.5; sleep 1000'");
    let sidecar = pod.sidecar();
    let output = program.end();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.stdout, "Training Container was Early Stopped\n");
    let output = sidecar.end();
    assert_eq!(output.code, Some(0), "{output}");
    let inner = pod.cairn.read("pid").unwrap();
    assert!(!Path::new("/proc").join(inner.trim()).exists(), "its process is gone");
    assert_eq!(pod.rows().len(), 2);
    until("the trial is early stopped", || {
        (pod.cairn.trials("story")[0]["state"] == "EarlyStopped").then_some(())
    });
    assert_eq!(pod.cairn.trials("story")[0]["value"], 8.5);
}

#[test]
fn a_program_that_a_person_does_not_want_any_more_is_stopped() {
    let pod = Pod::of_output();
    let program = pod.program("sh -c 'echo loss=1; sleep 1000'");
    let sidecar = pod.sidecar();
    pod.sees(1);
    let trial = pod.task["trial"].as_str().unwrap();
    pod.cairn.run(["trial", "stop", "story", trial, "--server", &pod.url]).ok();
    assert_eq!(program.end().code, Some(143), "128 and the number of SIGTERM");
    assert_eq!(sidecar.end().code, Some(0));
}

#[test]
fn told_to_end_it_waits_for_the_program_and_reads_its_last_words() {
    let pod = Pod::of_output();
    let program = pod.program(COUNTS);
    let sidecar = pod.sidecar();
    pod.sees(100);
    sidecar.signal(Signal::TERM);
    sidecar.said("told to end");
    pod.cairn.write("more", "");
    assert_eq!(program.end().code, Some(0));
    assert_eq!(sidecar.end().code, Some(0));
    assert_eq!(pod.rows(), expected(200));
}

#[test]
fn one_that_comes_after_the_program_reads_everything() {
    // Also where the program would be started again if it had not ended well.
    for end in ["processes", "restarts"] {
        let mut pod = Pod::of_output();
        pod.task["end"] = json!(end);
        pod.cairn.write("more", "");
        assert_eq!(pod.program(COUNTS).end().code, Some(0));
        let output = pod.sidecar().end();
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(pod.rows(), expected(200));
    }
}

#[test]
fn json_lines_of_a_file_are_reported_too() {
    let collector = json!({
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": "/out/metrics.json", "kind": "File", "format": "JSON"}},
    });
    let mut pod = Pod::new(&collector);
    let file = pod.cairn.at("shared/metrics.json");
    pod.task["path"] = json!(file);
    let text =
        format!("for i in 1 2 3; do echo '{{\"loss\": '$i', \"step\": '$i'}}' >> {}; done;", file.display());
    let program = pod.program(&text);
    let sidecar = pod.sidecar();
    assert_eq!(program.end().code, Some(0));
    assert_eq!(sidecar.end().code, Some(0));
    let wanted: Vec<_> = (1..4).map(|step| (step, step.to_string())).collect();
    assert_eq!(pod.rows(), wanted);
}

#[test]
fn a_page_is_scraped_while_the_server_is_away_until_its_program_is_gone() {
    let Some(numbers) = Numbers::new() else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let collector = json!({
        "collector": {"kind": "PrometheusMetric"},
        "source": {"httpGet": {"path": "/metrics", "port": port}},
    });
    let mut pod = Pod::new(&collector);
    let task = pod.task.as_object_mut().unwrap();
    task.remove("markers");
    task.insert("path".into(), json!(""));
    let page = |pod: &Pod, loss: &str| pod.cairn.write("shared/metrics", format!("loss {loss}\n"));
    page(&pod, "3.0");
    let mut command = numbers.command(&pod.cairn.at("shared"), "python3");
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    let mut program = Running::start(command);
    let own = sidecar();
    let sidecar = pod.sidecar_by(numbers.command(pod.cairn.path(), own.get_program().to_str().unwrap()));
    let texts = |pod: &Pod| {
        let mut texts: Vec<String> = pod.rows().into_iter().map(|(_, text)| text).collect();
        texts.dedup();
        texts
    };
    until("it is scraped", || (texts(&pod) == ["3.0"]).then_some(()));
    pod.without_server(|pod| {
        page(pod, "2.0");
        std::thread::sleep(std::time::Duration::from_secs(3));
        page(pod, "1.0");
    });
    until("it is scraped again", || (texts(&pod) == ["3.0", "2.0", "1.0"]).then_some(()));
    // Only what `nsenter` has started has the numbers; it is gone when that is.
    let scraped =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.pid().as_raw_nonzero())).unwrap();
    let inner = rustix::process::Pid::from_raw(scraped.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(inner, Signal::TERM).unwrap();
    until("the program is gone", || (!program.is_alive()).then_some(()));
    let output = sidecar.end();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(!output.stderr.contains("no process"), "{output}");
}

#[test]
fn the_token_is_shown_and_read_again_when_it_was_no_good() {
    let pod = Pod::with(&json!({"collector": {"kind": "StdOut"}}), &["--token-file", "token"]);
    let token = pod.cairn.at("other-token");
    write_token(&token, "fedcba9876543210");
    let mut command = sidecar();
    command.env("CAIRN_TOKEN_FILE", &token);
    let sidecar = pod.sidecar_by(command);
    let program = pod.program("echo loss=0.5; echo loss=1.5");
    sidecar.said("Unauthenticated");
    assert!(pod.rows().is_empty());
    write_token(&token, TOKEN);
    assert_eq!(program.end().code, Some(0));
    let output = sidecar.end();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(pod.rows().last().unwrap().1, "1.5");
}

#[test]
fn what_it_is_not_told_is_said() {
    let run = |name: &str, value: &str| {
        let mut command = sidecar();
        command.env(name, value);
        Running::start(command).end()
    };
    let output = run("CAIRN_SERVER", "http://127.0.0.1:1");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("CAIRN_SIDECAR_TASK is not set"), "{output}");
    assert!(run("CAIRN_SIDECAR_TASK", "{}").stderr.contains("CAIRN_SIDECAR_TASK makes no sense"));
}
