//! A cluster, a Cairn beside it, and what is read of both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::{Cairn, Cluster, Running, http};
use serde_json::{Value, json};

use super::report;

/// Where everything happens.
pub(crate) const NAMESPACE: &str = "bench";
/// How long nothing may end before it is a stall.
pub(crate) const STALLED: Duration = Duration::from_mins(2);
/// Who plays nodes lets nobody else's pods on them.
const TAINT: &str = "kwok.x-k8s.io/node";
/// Nodes that are played.
const NODES: u32 = 20;

/// A plain way to the API of a cluster.
#[derive(Clone)]
pub(crate) struct Way(String);

/// A control plane of its own.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    cairn: Cairn,
    _proxy: Running,
    way: Way,
}

/// A server that is measured.
pub(crate) struct Server {
    running: Running,
    pub(crate) url: String,
}

/// Where objects of a kind are.
fn path(plural: &str) -> String {
    let group = match plural {
        "jobs" => "batch/v1",
        "things" => "example.com/v1",
        _ => "kubeflow.org/v1beta1",
    };
    format!("/apis/{group}/namespaces/{NAMESPACE}/{plural}")
}

impl Way {
    /// Creates as programs do.
    fn create(&self, plural: &str, object: &Value) {
        let json = [("Content-Type", "application/json")];
        let answer = http::ask(&self.0, "POST", &path(plural), &json, &object.to_string());
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Says of a thing that it is done.
    pub(crate) fn done(&self, thing: &str) {
        let merge = [("Content-Type", "application/merge-patch+json")];
        let done = json!({"status": {"conditions": [{"type": "Done", "status": "True"}]}}).to_string();
        let path = format!("{}/{thing}", path("things"));
        let answer = http::ask(&self.0, "PATCH", &path, &merge, &done);
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    }
}

impl World {
    /// `None`, which is said, where none can be.
    pub(crate) fn begin(name: &str) -> Option<Self> {
        let cluster = Cluster::own_api_only(&format!("bench-{name}"))?;
        if !cluster.played(NODES) {
            return None;
        }
        let mut install = cluster.enter(e2e::cairn::binary());
        install.args(["install", "--crds"]);
        Running::start(install).end().ok();
        cluster.namespace(NAMESPACE);
        let mut proxy = cluster.enter("kubectl");
        proxy.args(["proxy", "--port=0"]);
        let proxy = Running::start(proxy);
        let api = e2e::until("the API is served", || {
            let said = proxy.stdout();
            Some(format!("http://{}", said.split_once("serve on ")?.1.split_once('\n')?.0))
        });
        Some(Self { cluster, cairn: Cairn::new(), _proxy: proxy, way: Way(api) })
    }

    /// Starts the server, and waits until it serves.
    pub(crate) fn serve(&self) -> Server {
        let dir = self.cairn.path().display().to_string();
        let mut serve = self.cluster.enter(e2e::cairn::binary());
        serve.args(["serve", "--kubernetes", "--dir", &dir, "--listen", "127.0.0.1:0"]);
        let running = Running::start(serve);
        let url = running.said("serving on ");
        running.said("this Cairn leads");
        Server { running, url }
    }

    /// Applies as people do.
    pub(crate) fn apply(&self, manifest: &Value) {
        self.cluster.apply_in(NAMESPACE, &manifest.to_string());
    }

    /// A way to its API, for whoever plays.
    pub(crate) fn way(&self) -> Way {
        self.way.clone()
    }

    /// Creates as programs do.
    pub(crate) fn create(&self, plural: &str, object: &Value) {
        self.way.create(plural, object);
    }

    fn list(&self, plural: &str) -> Vec<Value> {
        let list = http::get(&self.way.0, &path(plural)).json();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    fn experiment(&self, name: &str) -> Value {
        http::get(&self.way.0, &format!("{}/{name}", path("experiments"))).json()
    }

    /// Waits until an experiment has succeeded; it.
    pub(crate) fn until_succeeded(&self, name: &str) -> Value {
        self.until(name, |experiment| last_condition(experiment) == "Succeeded").0
    }

    /// Waits until an experiment has so many trials; when that was.
    pub(crate) fn until_trials(&self, name: &str, n: u64) -> Instant {
        self.until(name, |experiment| experiment["status"]["trials"].as_u64().unwrap_or(0) >= n).1
    }

    /// Waits until anything is said of an experiment.
    pub(crate) fn until_taken_in(&self, name: &str) {
        self.until(name, |experiment| !last_condition(experiment).is_empty());
    }

    /// Waits for a state of an experiment as long as anything changes.
    fn until(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> (Value, Instant) {
        let (mut version, mut changed) = (Value::Null, Instant::now());
        loop {
            let experiment = self.experiment(name);
            if is_so(&experiment) {
                return (experiment, Instant::now());
            }
            if experiment["metadata"]["resourceVersion"] != version {
                (version, changed) = (experiment["metadata"]["resourceVersion"].clone(), Instant::now());
            }
            assert!(changed.elapsed() < STALLED, "stalled: {}", experiment["status"]);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Trials of all experiments that have ended, as their statuses count them.
    pub(crate) fn ended_trials(&self) -> u64 {
        let count = |experiment: &Value| {
            let ended = ["trialsSucceeded", "trialsFailed", "trialMetricsUnavailable"];
            ended.iter().filter_map(|word| experiment["status"][*word].as_u64()).sum::<u64>()
        };
        self.list("experiments").iter().map(count).sum()
    }

    /// Bytes of the largest object of each kind.
    pub(crate) fn largest(&self) -> BTreeMap<&'static str, usize> {
        let size =
            |plural| self.list(plural).iter().map(|object| object.to_string().len()).max().unwrap_or(0);
        ["experiments", "suggestions", "trials"].into_iter().map(|plural| (plural, size(plural))).collect()
    }

    /// Lets the cluster know things, which are played.
    pub(crate) fn define_things(&self) {
        let schema =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        self.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
            },
        }));
        let established = ["wait", "--for=condition=Established", "--timeout=30s", "crd/things.example.com"];
        self.cluster.kubectl(&established);
    }

    /// Objects that Cairn has written so far.
    pub(crate) fn writes(&self) -> usize {
        self.cluster.writes("cairn/", NAMESPACE).values().sum()
    }

    /// Says how often Cairn has written what.
    pub(crate) fn report_writes(&self, part: &str, trials: u64) {
        let each = |count: usize| count as f64 / trials as f64;
        report(&format!("  {part}: {:.2} writes a trial", each(self.writes())));
        for (what, count) in self.cluster.writes("cairn/", NAMESPACE) {
            report(&format!("    {:.2} {what}", each(count)));
        }
    }
}

impl Server {
    /// What it has said.
    pub(crate) fn stderr(&self) -> String {
        self.running.stderr()
    }

    /// Says what it has used of the machine.
    pub(crate) fn report_costs(&self, part: &str, trials: u64) {
        let pid = self.running.pid().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim().to_owned();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (_, stat) = stat.rsplit_once(')').unwrap_or_default();
        let ticks: f64 =
            stat.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        // A hundred ticks a second wherever Linux runs on anything usual.
        let each = ticks * 10.0 / trials as f64;
        report(&format!(
            "  {part}: at most {peak} of memory, {:.1} s of CPU, {each:.1} ms each",
            ticks / 100.0
        ));
    }
}

fn last_condition(experiment: &Value) -> String {
    let conditions = experiment["status"]["conditions"].as_array();
    let last = conditions.and_then(|conditions| conditions.last());
    last.and_then(|condition| condition["type"].as_str()).unwrap_or_default().to_owned()
}

/// A Job that does nothing, on a node that is played.
pub(crate) fn job() -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"backoffLimit": 0, "template": {"spec": {
        "restartPolicy": "Never",
        "tolerations": [{"key": TAINT, "operator": "Exists"}],
        "containers": [{"name": "main", "image": "none", "command": ["true"], "args": ["${trialParameters.x}"]}],
    }}}})
}

/// A thing.
pub(crate) fn thing() -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"x": "${trialParameters.x}"}})
}

/// An experiment of trials that report by themselves.
pub(crate) fn experiment(name: &str, trials: u64, parallel: u64, template: &Value) -> Value {
    let condition = |kind: &str| format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#");
    let success = if template["kind"] == "Job" { "Complete" } else { "Done" };
    json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": name},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
            "parallelTrialCount": parallel, "maxTrialCount": trials,
            "metricsCollectorSpec": {"collector": {"kind": "Push"}},
            "trialTemplate": {
                "primaryContainerName": "main",
                "successCondition": condition(success), "failureCondition": condition("Failed"),
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": template,
            },
        },
    })
}
