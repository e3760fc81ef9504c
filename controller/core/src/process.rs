//! A rendered trial as a process of this machine: what a `Process` says, and what a Job of Kubernetes means here.

mod job;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::report::Problem;
use crate::spec::{ExperimentSpec, MetricsCollectorSpec};
use crate::{duration, quantity};

pub use job::under_shell;

/// What to start, with everything replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Program and arguments, not empty.
    pub argv: Vec<String>,
    /// Variables, in order; later ones win.
    pub env: Vec<(String, String)>,
    /// Where it starts; relative to the Experiment file's folder.
    pub working_dir: Option<String>,
    /// Whole CPUs wanted; 0: does not say.
    pub cpus: u32,
    /// Bytes of memory wanted; 0: does not say.
    pub memory: u64,
    /// GPUs wanted.
    pub gpus: u32,
    /// Longest time it may run.
    pub timeout: Option<Duration>,
}

/// The path that collectors of all trials would share on a cluster, and that each trial has for its own here.
pub fn shared_path(collector: &MetricsCollectorSpec) -> Option<&str> {
    match collector.kind() {
        "File" | "TensorFlowEvent" => {
            let path = collector.source.as_ref()?.file_system_path.as_ref()?.path.as_str();
            (!path.is_empty()).then_some(path)
        }
        _ => None,
    }
}

/// The process of a rendered object. `own_path` replaces the collector's shared path wherever it occurs.
///
/// # Errors
/// Everything that cannot be honoured on one machine, with its path in the object.
pub fn of_manifest(
    manifest: &Value,
    primary_container: &str,
    collector: &MetricsCollectorSpec,
    own_path: &str,
) -> Result<Process, Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new() };
    let kind = manifest.get("kind").and_then(Value::as_str).unwrap_or_default();
    let process = match kind {
        "Process" => reader.process(manifest),
        "Job" | "PyTorchJob" | "TFJob" | "XGBoostJob" | "TrainJob" => {
            reader.job(manifest, kind, primary_container, collector.kind())
        }
        other => {
            let problem = Problem::new("kind", format!("`{other}` does not run on one machine"));
            reader.problems.push(problem.hint("use kind Process, or run it on a cluster"));
            None
        }
    };
    let mut process = match process {
        Some(process) if reader.problems.is_empty() => process,
        _ => return Err(reader.problems),
    };
    if let Some(shared) = shared_path(collector)
        && !replace_path(&mut process, shared.trim_end_matches('/'), own_path)
        && kind != "Process"
    {
        let problem = Problem::new(
            "spec",
            format!("the collector's path `{shared}` occurs in no command, argument or variable"),
        );
        return Err(vec![problem.hint("all trials would write the same file: hand the path to the program")]);
    }
    Ok(process)
}

/// As one word of a shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The image that trials of a spec name, which stays unused on one machine.
pub fn unused_image(spec: &ExperimentSpec) -> Option<&str> {
    fn first(value: &Value) -> Option<&str> {
        match value {
            Value::Object(map) => {
                map.get("image").and_then(Value::as_str).or_else(|| map.values().find_map(first))
            }
            Value::Array(items) => items.iter().find_map(first),
            _ => None,
        }
    }
    first(spec.trial_template.as_ref()?.trial_spec.as_ref()?)
}

/// What of a spec cannot be honoured on one machine; empty if it runs here.
pub fn local_problems(spec: &ExperimentSpec) -> Vec<Problem> {
    let Some(template) = &spec.trial_template else {
        return Vec::new();
    };
    let Some(object) = &template.trial_spec else {
        return Vec::new();
    };
    let collector = spec.collector();
    let mut problems = match of_manifest(object, &template.primary_container_name, &collector, "own") {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    };
    for problem in &mut problems {
        problem.path = format!("spec.trialTemplate.trialSpec.{}", problem.path);
    }
    let port = collector
        .source
        .as_ref()
        .and_then(|source| source.http_get.as_ref())
        .and_then(|http| http.port.clone());
    let fixed_port = port.is_some_and(|port| port != 0 && port != "0");
    if collector.kind() == "PrometheusMetric" && fixed_port && spec.parallel_trial_count.unwrap_or(1) > 1 {
        let problem = Problem::new(
            "spec.metricsCollectorSpec.source.httpGet.port",
            "trials at once cannot share a port",
        );
        problems.push(
            problem.hint(
                "port 0 gives each trial a free one in CAIRN_METRICS_PORT, or set parallelTrialCount: 1",
            ),
        );
    }
    if collector.kind() == "Custom" {
        let problem =
            Problem::new("spec.metricsCollectorSpec.collector", "a Custom collector is a container");
        problems
            .push(problem.hint("on one machine use StdOut, File, TensorFlowEvent, PrometheusMetric or Push"));
    }
    problems
}

/// Puts a path of a run's own in the place of one that all runs share. Whether that occurred.
pub fn replace_path(process: &mut Process, shared: &str, own: &str) -> bool {
    let mut found = false;
    let texts = process.argv.iter_mut().chain(process.env.iter_mut().map(|(_, value)| value));
    for text in texts {
        if text.contains(shared) {
            *text = text.replace(shared, own);
            found = true;
        }
    }
    found
}

struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// Fields stand under `spec`, as in every object of Kubernetes; at the top level they are understood too.
    fn process(&mut self, manifest: &Value) -> Option<Process> {
        let (body, path) = match manifest.get("spec") {
            Some(spec) => (spec, "spec."),
            None => (manifest, ""),
        };
        let known = ["command", "args", "env", "workingDir", "resources", "timeout", "retries", "image"];
        let top = ["apiVersion", "kind", "metadata"];
        for key in body.as_object().into_iter().flat_map(|map| map.keys()) {
            if !(known.contains(&key.as_str()) || path.is_empty() && top.contains(&key.as_str())) {
                self.refuse(
                    format!("{path}{key}"),
                    format!("a Process has no `{key}`; it has {}", known.join(", ")),
                );
            }
        }
        let env = self.env(body.get("env"), path);
        let mut argv = self.texts(body, "command", path)?;
        argv.extend(self.texts(body, "args", path)?);
        if argv.is_empty() {
            self.refuse(format!("{path}command"), "there is no command to run");
        }
        if let Some(count) = body.get("retries")
            && count.as_u64().is_none_or(|count| u32::try_from(count).is_err())
        {
            self.refuse(format!("{path}retries"), format!("`{count}` is no whole number from 0 on"));
        }
        let timeout = match body.get("timeout") {
            None => None,
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let timeout = duration::parse(&text);
                if timeout.is_none() {
                    self.refuse(
                        format!("{path}timeout"),
                        format!("`{text}` is no duration such as 90s or 2h"),
                    );
                }
                timeout
            }
        };
        let working_dir = body.get("workingDir").and_then(Value::as_str).map(str::to_owned);
        let mut process = Process { argv, env, working_dir, timeout, ..Default::default() };
        self.resources(body.get("resources"), &format!("{path}resources."), &mut process);
        Some(process)
    }

    fn texts(&mut self, body: &Value, field: &str, path: &str) -> Option<Vec<String>> {
        let items = match body.get(field) {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.problems.push(
                    Problem::new(format!("{path}{field}"), "it must be a list of texts")
                        .hint(format!("for example {field}: [python, train.py]")),
                );
                return None;
            }
        };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            // An unquoted placeholder became a number or a truth value; its text is meant.
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        let texts: Option<Vec<String>> = items.iter().map(text).collect();
        if texts.is_none() {
            self.refuse(format!("{path}{field}"), "it must be a list of texts");
        }
        texts
    }

    /// A list of `{name, value}`, or a map. `$(NAME)` refers to variables before it.
    fn env(&mut self, env: Option<&Value>, path: &str) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match env {
            Some(Value::Object(map)) => {
                variables.extend(map.iter().map(|(name, value)| (name.clone(), text(value))));
            }
            Some(Value::Array(items)) => {
                for (i, item) in items.iter().enumerate() {
                    let name = item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                    if let Some(from) = item.get("valueFrom") {
                        let kind = from.as_object().and_then(|map| map.keys().next());
                        let message = format!(
                            "`{name}` comes from a {}, which lives in a cluster",
                            kind.map_or("source", String::as_str)
                        );
                        let problem = Problem::new(format!("{path}env[{i}].valueFrom"), message);
                        self.problems.push(problem.hint("give it a `value`"));
                    }
                    let known: BTreeMap<&str, &str> =
                        variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                    let value = expand(&item.get("value").map(text).unwrap_or_default(), &known);
                    variables.push((name, value));
                }
            }
            _ => {}
        }
        variables
    }

    fn resources(&mut self, resources: Option<&Value>, path: &str, process: &mut Process) {
        let Some(resources) = resources.and_then(Value::as_object) else {
            return;
        };
        let mut wanted: BTreeMap<&str, &Value> = BTreeMap::new();
        // Limits say most; a flat map is understood too.
        for group in ["requests", "limits"] {
            let group = resources.get(group).and_then(Value::as_object);
            wanted.extend(group.into_iter().flatten().map(|(name, value)| (name.as_str(), value)));
        }
        let flat =
            resources.iter().filter(|(name, _)| !matches!(name.as_str(), "requests" | "limits" | "claims"));
        wanted.extend(flat.map(|(name, value)| (name.as_str(), value)));
        for (name, value) in wanted {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let Some(amount) = quantity::parse(&text) else {
                self.refuse(format!("{path}{name}"), format!("`{text}` is no quantity"));
                continue;
            };
            match name {
                "cpu" => process.cpus = amount.ceil() as u32,
                "memory" => process.memory = amount as u64,
                "nvidia.com/gpu" if amount.fract() > 0.0 => {
                    self.refuse(format!("{path}{name}"), format!("`{text}`: only whole GPUs are handed out"));
                }
                "nvidia.com/gpu" => process.gpus = amount as u32,
                "ephemeral-storage" => {}
                other => {
                    self.refuse(format!("{path}{other}"), format!("`{other}` is not known on one machine"));
                }
            }
        }
    }
}

/// `$(NAME)` becomes the variable's value if there is one, `$$` becomes `$`, as in containers.
fn expand(text: &str, variables: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(end) = rest.strip_prefix('(').and_then(|inner| inner.find(')')) {
            let name = &rest[1..=end];
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = &rest[end + 2..];
        } else {
            out.push('$');
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn collector(kind: &str) -> MetricsCollectorSpec {
        serde_json::from_value(json!({"collector": {"kind": kind}})).unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
    fn job(container: Value) -> Value {
        json!({"kind": "Job", "spec": {"template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("--lr=0.1"), "--lr=0.1");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_process_runs_as_written() {
        let manifest = json!({"kind": "Process", "spec": {
            "command": ["python", "train.py"], "args": ["--lr", 0.5], "env": {"A": "1"}, "workingDir": "src",
            "resources": {"cpu": "500m", "memory": "2Gi", "nvidia.com/gpu": 1}, "timeout": "90s", "retries": 2}});
        let process = of_manifest(&manifest, "", &collector("StdOut"), "own").unwrap();
        assert_eq!(process.argv, ["python", "train.py", "--lr", "0.5"]);
        assert_eq!((process.cpus, process.memory, process.gpus), (1, 2 << 30, 1));
        assert_eq!(process.timeout, Some(Duration::from_secs(90)));
    }

    #[test]
    fn counts_that_are_none_are_refused() {
        let with = |field: &str, value: Value| {
            let manifest = json!({"kind": "Process", "command": ["a"], field: value});
            of_manifest(&manifest, "", &collector("StdOut"), "own")
                .map_err(|problems| problems[0].path.clone())
        };
        assert!(with("retries", json!(0)).is_ok());
        for count in [json!(-3), json!("2"), json!(1.5)] {
            assert_eq!(with("retries", count), Err("retries".into()));
        }
        assert_eq!(with("resources", json!({"nvidia.com/gpu": 0.5})), Err("resources.nvidia.com/gpu".into()));
    }

    #[test]
    fn a_job_s_command_is_joined_under_a_shell_without_quoting() {
        let manifest = job(
            json!({"name": "main", "command": ["python", "t.py"], "args": ["--a=\"x y\"", "$$HOME", "$(B)$(C)"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}]}),
        );
        let process = of_manifest(&manifest, "main", &collector("StdOut"), "own").unwrap();
        assert_eq!(process.argv, ["sh", "-c", "python t.py --a=\"x y\" $HOME 12$(C)"]);
        let exec = of_manifest(&manifest, "main", &collector("Push"), "own").unwrap();
        assert_eq!(exec.argv[0], "python");
        let shell = job(json!({"name": "main", "command": ["bash", "-c"], "args": ["a; b"]}));
        let process = of_manifest(&shell, "main", &collector("StdOut"), "own").unwrap();
        assert_eq!(process.argv, ["bash", "-c", "a; b"]);
    }

    #[test]
    fn an_image_is_found_wherever_the_job_has_it() {
        let named = |object: Value| {
            let spec = json!({"trialTemplate": {"trialSpec": object}});
            let spec: ExperimentSpec = serde_json::from_value(spec).unwrap();
            unused_image(&spec).map(str::to_owned)
        };
        assert_eq!(named(job(json!({"name": "a", "image": "b:1"}))).as_deref(), Some("b:1"));
        assert_eq!(named(json!({"kind": "Process", "image": "c"})).as_deref(), Some("c"));
        assert_eq!(named(json!({"kind": "Process", "command": ["image"]})), None);
    }

    #[test]
    fn a_train_job_runs_what_its_trainer_says() {
        let with = |field: &str, value: Value| {
            let mut manifest = json!({"kind": "TrainJob", "spec": {
                "runtimeRef": {"name": "torch-distributed"},
                "trainer": {"numNodes": 1, "command": ["bash", "-c"], "args": ["echo $(A)"],
                    "env": [{"name": "A", "value": "1"}],
                    "resourcesPerNode": {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": 1}}},
                "activeDeadlineSeconds": 60}});
            manifest["spec"][field] = value;
            of_manifest(&manifest, "node", &collector("StdOut"), "own")
                .map_err(|problems| problems[0].path.clone())
        };
        let process = with("suspend", json!(false)).unwrap();
        assert_eq!(process.argv, ["bash", "-c", "echo 1"]);
        assert_eq!((process.cpus, process.gpus, process.timeout), (2, 1, Some(Duration::from_mins(1))));
        let trainer = |more: Value| with("trainer", more).unwrap_err();
        assert_eq!(trainer(json!(null)), "spec.trainer");
        assert_eq!(trainer(json!({"args": ["a"]})), "spec.trainer.command");
        assert_eq!(trainer(json!({"command": ["a"], "numNodes": 2})), "spec.trainer.numNodes");
        assert_eq!(
            trainer(json!({"command": ["a"], "numProcPerNode": "auto"})),
            "spec.trainer.numProcPerNode"
        );
        let amd = json!({"command": ["a"], "resourcesPerNode": {"limits": {"amd.com/gpu": 1}}});
        assert_eq!(trainer(amd), "spec.trainer.resourcesPerNode.amd.com/gpu");
        assert_eq!(with("initializer", json!({"model": {}})).unwrap_err(), "spec.initializer");
    }

    #[test]
    fn a_run_policy_s_deadline_counts() {
        let manifest = json!({"kind": "PyTorchJob", "spec": {
            "runPolicy": {"activeDeadlineSeconds": 30},
            "pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": {"spec": {
                "containers": [{"name": "pytorch", "command": ["python", "t.py"]}]}}}}}});
        let process = of_manifest(&manifest, "pytorch", &collector("StdOut"), "own").unwrap();
        assert_eq!(process.timeout, Some(Duration::from_secs(30)));
        assert_eq!(process.argv, ["sh", "-c", "python t.py"]);
    }

    #[test]
    fn a_shared_metrics_path_becomes_the_trial_s_own() {
        let mut file = collector("File");
        file.source = serde_json::from_value(
            json!({"fileSystemPath": {"path": "/var/log/katib/m.log", "kind": "File"}}),
        )
        .unwrap();
        let manifest = job(json!({"name": "m", "command": ["t", "--log=/var/log/katib/m.log"]}));
        let process = of_manifest(&manifest, "m", &file, "/own/m.log").unwrap();
        assert_eq!(process.argv[2], "t --log=/own/m.log");
        let without = job(json!({"name": "m", "command": ["t"]}));
        assert!(of_manifest(&without, "m", &file, "/own/m.log").is_err());
    }

    #[test]
    fn what_needs_a_cluster_is_refused_by_name() {
        for (container, wanted) in [
            (json!({"name": "main"}), "entrypoint"),
            (json!({"name": "main", "command": ["t"], "env": [{"name": "A", "valueFrom": {}}]}), "`A`"),
            (json!({"name": "other", "command": ["t"]}), "`main`"),
            (
                json!({"name": "main", "command": ["t"], "resources": {"limits": {"amd.com/gpu": 1}}}),
                "amd.com/gpu",
            ),
        ] {
            let problems = of_manifest(&job(container), "main", &collector("StdOut"), "own").unwrap_err();
            assert!(problems[0].message.contains(wanted), "{problems:?}");
        }
        let workflow = json!({"kind": "Workflow"});
        assert!(of_manifest(&workflow, "", &collector("StdOut"), "own").is_err());
    }
}
