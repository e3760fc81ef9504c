//! Metrics of trials in a real cluster by every collector, with real sidecars that report to `cairn serve` beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::OnceLock;

use e2e::{Running, python, until};
use serde_json::{Value, json};

use super::experiments::{Story, command};

/// The node's own address, at which a program beside the cluster is reached by pods.
pub(super) const NODE: &str = "192.0.2.129";
/// The image of the sidecar.
const IMAGE: &str = "local/cairn-sidecar:1";

/// A story whose trials have sidecars.
pub(super) struct Watched {
    pub(super) story: Story,
    /// Where pods find the server.
    pub(super) address: String,
}

impl Watched {
    /// `None`, which is said, where no cluster can run.
    pub(super) fn begin(namespace: &'static str, port: u16) -> Option<Self> {
        static MADE: OnceLock<()> = OnceLock::new();
        let story = Story::begin(namespace)?;
        let program = e2e::cairn::binary().with_file_name("cairn-sidecar");
        MADE.get_or_init(|| story.cluster.image_of(IMAGE, &program));
        let token = story.cairn.write("token", "0123456789abcdef");
        fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
        Some(Self { story, address: format!("{NODE}:{port}") })
    }

    pub(super) fn serve(&self) -> Running {
        self.serve_with(&[])
    }

    pub(super) fn serve_with(&self, more: &[&str]) -> Running {
        self.serve_as(more, &[])
    }

    /// Serves with further options and variables.
    pub(super) fn serve_as(&self, more: &[&str], env: &[(&str, String)]) -> Running {
        let (dir, url) = (self.story.cairn.path().display().to_string(), format!("http://{}", self.address));
        let token = self.story.cairn.at("token").display().to_string();
        let args = ["serve", "--kubernetes", "--watch-namespace", self.story.namespace, "--dir", &dir];
        let door = ["--listen", &self.address, "--token-file", &token];
        let pods = ["--sidecar-image", IMAGE, "--pod-server", &url];
        let mut serve = command(self.story.cluster, &[&args[..], &door, &pods, more].concat());
        serve.envs(env.iter().map(|(name, value)| (name, value)));
        let server = Running::start(serve);
        server.said("serving on ");
        server
    }

    pub(super) fn apply(&self, experiment: &Value) {
        self.story.apply(&experiment.to_string());
    }

    /// Metric, step and text of everything that an experiment's trials have reported, in order.
    pub(super) fn rows(&self, experiment: &str) -> Vec<(String, i64, String)> {
        let dir = self.story.cairn.path().display().to_string();
        let args = ["export", experiment, "-n", self.story.namespace, "--dir", &dir, "--observations"];
        // Nobody may have heard of it yet.
        let csv = self.story.cairn.run(args).stdout;
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[2].to_owned(), cells[3].parse().unwrap(), cells[5].to_owned())
        };
        csv.lines().skip(1).map(row).collect()
    }

    /// The names of the containers of pods.
    fn containers(&self) -> String {
        let path = "jsonpath={.items[*].spec['initContainers','containers'][*].name}";
        self.story.kubectl(&["get", "pods", "-o", path])
    }
}

/// An experiment of as many trials, one after the other, whose pods have a program in a shell.
pub(super) fn experiment(name: &str, trials: u32, collector: &Value, script: &str) -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "seed": 7,
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
            "parallelTrialCount": 1, "maxTrialCount": trials, "maxFailedTrialCount": 0,
            "metricsCollectorSpec": collector,
            "trialTemplate": {
                "primaryContainerName": "main",
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": {
                    "apiVersion": "batch/v1", "kind": "Job",
                    "spec": {"backoffLimit": 0, "template": {"spec": {
                        "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
                        "containers": [{
                            "name": "main", "image": "local/busybox:1", "command": ["sh", "-c", script],
                            "env": [{"name": "X", "value": "${trialParameters.x}"}],
                        }],
                    }}},
                },
            },
        },
    })
}

/// The program of a pod that an experiment's only trial template has.
pub(super) fn pod(experiment: &mut Value) -> &mut Value {
    &mut experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
}

pub(super) fn stdout() -> Value {
    json!({"collector": {"kind": "StdOut"}})
}

fn row(step: i64, text: &str) -> (String, i64, String) {
    ("loss".into(), step, text.into())
}

#[test]
fn what_a_program_prints_is_read_beside_it_and_a_server_that_is_away_misses_nothing() {
    let Some(watched) = Watched::begin("sidecar-stdout", 7701) else { return };
    let mut server = watched.serve();
    let script = "(i=0; while [ $i -lt 12 ]; do echo loss=$i.5; i=$((i+1)); sleep 0.5; done)";
    watched.apply(&experiment("away", 1, &stdout(), script));
    until("the first rows are there", || (watched.rows("away").len() >= 3).then_some(()));
    assert!(watched.containers().contains("main metrics-logger-and-collector"), "{}", watched.containers());
    let printed = watched.story.kubectl(&[
        "logs",
        "-l",
        "katib.kubeflow.org/experiment!=x",
        "-c",
        "metrics-logger-and-collector",
    ]);
    assert!(printed.contains("loss=1.5"), "people find what is printed where Katib has it: {printed}");
    server.kill();
    std::thread::sleep(std::time::Duration::from_secs(7));
    server = watched.serve();
    watched.story.until_is("away", "Succeeded");
    let wanted: Vec<_> = (0..12).map(|step| row(step, &format!("{step}.5"))).collect();
    assert_eq!(watched.rows("away"), wanted, "{}", server.stderr());
}

#[test]
fn files_pages_and_containers_of_one_s_own_are_collected() {
    let Some(watched) = Watched::begin("sidecar-kinds", 7702) else { return };
    let server = watched.serve();
    let file = json!({
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": "/out/metrics.json", "kind": "File", "format": "JSON"}},
    });
    let script = r#"(for i in 1 2 3; do echo "{\"loss\": \"0.$i\"}" >> /out/metrics.json; sleep 0.3; done)"#;
    watched.apply(&experiment("file", 1, &file, script));

    let page = json!({
        "collector": {"kind": "PrometheusMetric"},
        "source": {"httpGet": {"path": "/metrics", "port": 8080}},
    });
    let script = "mkdir /www; echo loss 0.25 > /www/metrics; httpd -p 8080 -h /www; sleep 4";
    watched.apply(&experiment("page", 1, &page, script));

    let url = format!("http://{}/api/v1/trials/$TRIAL/observations", watched.address);
    let body = r#"{"source": "own", "items": [{"seq": 0, "metric": "loss", "value": "0.75"}]}"#;
    let post =
        format!("sleep 1; wget -q -O - --header 'content-type: application/json' --post-data '{body}' {url}");
    let own = json!({"collector": {"kind": "Custom", "customCollector": {
        "name": "own", "image": "local/busybox:1", "command": ["sh", "-c", post], "env": [
            {"name": "TRIAL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['katib.kubeflow.org/trial']"}}},
        ],
    }}});
    watched.apply(&experiment("own", 1, &own, "sleep 3"));

    let folder = json!({
        "collector": {"kind": "TensorFlowEvent"},
        "source": {"fileSystemPath": {"path": "/events", "kind": "Directory"}},
    });
    let made = watched.story.cairn.at("made");
    let writer = e2e::workspace().join("tests/it/collectors/events.py");
    assert!(Command::new(python::with("peers")).arg(writer).arg(&made).status().unwrap().success());
    let from = format!("--from-file={}", made.join("train").display());
    watched.story.kubectl(&["create", "configmap", "events", &from]);
    let mut events = experiment("events", 1, &folder, "cp /made/* /events; sleep 1");
    pod(&mut events)["volumes"] = json!([{"name": "made", "configMap": {"name": "events"}}]);
    pod(&mut events)["containers"][0]["volumeMounts"] = json!([{"name": "made", "mountPath": "/made"}]);
    watched.apply(&events);

    let texts = |name: &str| {
        watched.story.until_is(name, "Succeeded");
        let mut texts: Vec<_> = watched.rows(name).into_iter().map(|(_, _, text)| text).collect();
        texts.dedup();
        texts.join(" ")
    };
    assert_eq!(texts("file"), "0.1 0.2 0.3", "{}", server.stderr());
    assert_eq!(texts("page"), "0.25", "{}", server.stderr());
    assert_eq!(texts("own"), "0.75", "{}", server.stderr());
    assert_eq!(texts("events"), "1 0.75 0.5", "{}", server.stderr());
}

#[test]
fn a_rule_ends_a_program_in_its_pod_and_what_it_has_printed_counts() {
    let Some(watched) = Watched::begin("sidecar-rules", 7703) else { return };
    let server = watched.serve();
    let script = "(i=0; while [ $i -lt 60 ]; do echo loss=$X; i=$((i+1)); sleep 0.1; done)";
    let mut story = experiment("rules", 2, &stdout(), script);
    story["spec"]["algorithm"]["algorithmName"] = json!("grid");
    story["spec"]["parameters"][0] =
        json!({"name": "x", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}});
    story["spec"]["earlyStopping"] = json!({"algorithmName": "medianstop", "algorithmSettings": [
        {"name": "min_trials_required", "value": "1"}, {"name": "start_step", "value": "2"},
    ]});
    watched.apply(&story);
    let done = watched.story.until_is("rules", "Succeeded");
    assert_eq!(done["status"]["trialsEarlyStopped"], 1, "{done} {}", server.stderr());
    for trial in watched.story.items("trials") {
        let metrics = &trial["status"]["observation"]["metrics"][0];
        assert_eq!(metrics["latest"], trial["spec"]["parameterAssignments"][0]["value"], "{trial}");
    }
}

#[test]
fn a_sidecar_that_is_killed_costs_an_attempt_and_no_trial() {
    let Some(watched) = Watched::begin("sidecar-killed", 7704) else { return };
    let server = watched.serve();
    let script = "(echo loss=$X; [ $CAIRN_ATTEMPT = 1 ] && sleep 1 && killall -KILL cairn-sidecar; sleep 1)";
    watched.apply(&experiment("killed", 1, &stdout(), script));
    let done = watched.story.until_is("killed", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 1, "{}", server.stderr());
    let trial = &watched.story.items("trials")[0];
    assert_eq!(
        trial["status"]["observation"]["metrics"][0]["latest"],
        trial["spec"]["parameterAssignments"][0]["value"]
    );
    let made = watched.story.kubectl(&[
        "get",
        "events",
        "--field-selector",
        "reason=SuccessfulCreate",
        "-o",
        "name",
    ]);
    assert_eq!(made.lines().count(), 2, "another pod was made, once: {made} {}", server.stderr());
}

/// Kills the sidecar of a trial as a node without memory would.
fn kill_sidecar(trial: &str) {
    let told = format!("\"trial\":\"{trial}\"");
    let is_it = |folder: &std::path::Path| {
        let read = |file: &str| {
            String::from_utf8_lossy(&fs::read(folder.join(file)).unwrap_or_default()).into_owned()
        };
        read("cmdline").starts_with("cairn-sidecar") && read("environ").contains(&told)
    };
    let folders = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let sidecar = folders.filter(|folder| is_it(folder)).find_map(|folder| {
        let pid = folder.file_name()?.to_str()?.parse().ok()?;
        rustix::process::Pid::from_raw(pid)
    });
    let sidecar = sidecar.expect("it runs");
    rustix::process::kill_process(sidecar, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn what_a_sidecar_could_not_report_before_its_end_is_read_from_its_log() {
    let Some(watched) = Watched::begin("sidecar-ended", 7709) else { return };
    let script = "(i=0; while [ $i -lt 6 ]; do echo loss=$i.5; i=$((i+1)); sleep 0.4; done)";
    let wanted: Vec<_> = (0..6).map(|step| row(step, &format!("{step}.5"))).collect();
    let ended =
        r#"jsonpath={.items[0].status.containerStatuses[?(@.name=="main")].state.terminated.exitCode}"#;
    // The cluster ends a native sidecar after its program; an ordinary one goes on, until a node has no room for it.
    let native: &[&str] = &["--native-sidecars", "--sidecar-resources", "{limits: {memory: 64Mi}}"];
    for (name, options) in [("native", native), ("ordinary", &[])] {
        let mut server = watched.serve_with(options);
        watched.apply(&experiment(name, 1, &stdout(), script));
        until("its first row is there", || (!watched.rows(name).is_empty()).then_some(()));
        server.kill();
        let of_it = format!("katib.kubeflow.org/experiment={name}");
        let trials: Value =
            serde_json::from_str(&watched.story.kubectl(&["get", "trials", "-l", &of_it, "-o", "json"]))
                .unwrap();
        let trial = trials["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        let pods = format!("katib.kubeflow.org/trial={trial}");
        until("its program has ended", || {
            let code = watched.story.kubectl(&["get", "pods", "-l", &pods, "-o", ended]);
            (code == "0").then_some(())
        });
        let job = format!("job/{trial}");
        let (condition, pod) = if name == "native" {
            ("--for=condition=Complete", "initContainers")
        } else {
            std::thread::sleep(std::time::Duration::from_secs(4));
            kill_sidecar(&trial);
            ("--for=condition=Failed", "containers")
        };
        watched.story.kubectl(&["wait", condition, "--timeout=60s", &job]);
        let pods: Value =
            serde_json::from_str(&watched.story.kubectl(&["get", "pods", "-l", &pods, "-o", "json"]))
                .unwrap();
        let sidecar = pods["items"][0]["spec"][pod].as_array().unwrap().last().unwrap();
        let limit = if name == "native" { "64Mi" } else { "100Mi" };
        assert_eq!(sidecar["resources"]["limits"]["memory"], limit, "{sidecar}");
        assert!(watched.rows(name).len() < wanted.len(), "nobody was there to be told of all");

        let server = watched.serve_with(options);
        let done = watched.story.until_is(name, "Succeeded");
        assert_eq!(watched.rows(name), wanted, "{}", server.stderr());
        assert_eq!(done["status"]["trialsSucceeded"], 1, "{done} {}", server.stderr());
        let made = ["get", "events", "--field-selector"];
        let reason = format!("reason=SuccessfulCreate,involvedObject.name={trial}");
        let made = watched.story.kubectl(&[&made[..], &[&reason, "-o", "name"]].concat());
        assert_eq!(made.lines().count(), 1, "it ran once: {made}");
    }
}

#[test]
fn a_sidecar_waits_for_all_containers_where_that_is_wished() {
    let Some(watched) = Watched::begin("sidecar-all", 7710) else { return };
    let server = watched.serve_with(&["--sidecars-wait-for-all"]);
    // Another container writes what counts, after the program's end.
    let file = json!({
        "collector": {"kind": "File"},
        "source": {"fileSystemPath": {"path": "/out/metrics.log", "kind": "File"}},
    });
    let mut late = experiment("late", 1, &file, "echo loss=2 > /out/metrics.log");
    pod(&mut late)["volumes"] = json!([{"name": "out", "emptyDir": {}}]);
    let mount = json!([{"name": "out", "mountPath": "/out"}]);
    let containers = &mut pod(&mut late)["containers"];
    containers[0]["volumeMounts"] = mount.clone();
    containers.as_array_mut().unwrap().push(json!({
        "name": "other", "image": "local/busybox:1", "volumeMounts": mount,
        "command": ["sh", "-c", "sleep 4; echo loss=1 >> /out/metrics.log"],
    }));
    watched.apply(&late);
    watched.story.until_is("late", "Succeeded");
    assert_eq!(watched.rows("late"), [row(0, "2"), row(1, "1")], "{}", server.stderr());
}

#[test]
fn a_pod_may_not_report_for_another() {
    let Some(watched) = Watched::begin("sidecar-foreign", 7705) else { return };
    let _server = watched.serve();
    watched.apply(&experiment("mine", 1, &stdout(), "(echo loss=1; sleep 30)"));
    until("its row is there", || (!watched.rows("mine").is_empty()).then_some(()));
    let pods = watched.story.items("pods");
    // The very sidecar of the trial, in a pod that somebody else has made.
    let mut sidecar = pods[0]["spec"]["containers"][1].clone();
    sidecar["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["name"].as_str().unwrap().starts_with("kube-api-access"));
    let token = pods[0]["spec"]["volumes"].as_array().unwrap().iter();
    let token = token.clone().find(|volume| volume["name"] == "cairn-token").unwrap();
    let forged = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "forged"},
        "spec": {
            "restartPolicy": "Never", "containers": [sidecar],
            "volumes": [token, {"name": "metrics-volume", "emptyDir": {}}],
        },
    });
    watched.story.apply(&forged.to_string());
    let refusal = until("it is refused", || {
        let log =
            watched.story.cluster.enter("kubectl").args(["logs", "forged", "-n", "sidecar-foreign"]).output();
        let log = String::from_utf8_lossy(&log.unwrap().stdout).into_owned();
        log.contains("PermissionDenied").then_some(log)
    });
    assert!(refusal.contains("pod `sidecar-foreign/forged` is none of attempt 1 of trial"), "{refusal}");
    assert_eq!(watched.rows("mine"), [row(0, "1")]);
}
