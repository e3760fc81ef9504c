//! What a job of Kubernetes with one container means on one machine.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Process, Reader, expand};
use crate::report::Problem;

impl Reader {
    pub(super) fn job(
        &mut self,
        manifest: &Value,
        kind: &str,
        primary: &str,
        collector: &str,
    ) -> Option<Process> {
        let (container, path) = match kind {
            "TrainJob" => self.trainer(manifest)?,
            _ => self.container(manifest, kind, primary)?,
        };
        let env = self.env(container.get("env"), &path);
        if container.get("envFrom").is_some() {
            self.refuse(format!("{path}envFrom"), "variables from config maps and secrets need a cluster");
        }
        let command = self.texts(container, "command", &path)?;
        let args = self.texts(container, "args", &path)?;
        if command.is_empty() {
            let message = match kind {
                "TrainJob" => "without a command that of the runtime would run, which lives in a cluster",
                _ => "without a command the image's entrypoint would run, and images are not pulled here",
            };
            self.problems.push(Problem::new(format!("{path}command"), message).hint("write the command out"));
            return None;
        }
        let variables: BTreeMap<&str, &str> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let argv: Vec<String> = command.iter().chain(&args).map(|text| expand(text, &variables)).collect();
        let shell = matches!(collector, "StdOut" | "File" | "TensorFlowEvent");
        let argv = if shell { under_shell(&argv) } else { argv };
        let working_dir = container.get("workingDir").and_then(Value::as_str).map(str::to_owned);
        // Jobs of the training operator keep it in their run policy.
        let deadline = ["/spec/activeDeadlineSeconds", "/spec/runPolicy/activeDeadlineSeconds"]
            .into_iter()
            .find_map(|place| manifest.pointer(place).and_then(Value::as_u64));
        let timeout = deadline.map(Duration::from_secs);
        let mut process = Process { argv, env, working_dir, timeout, ..Default::default() };
        let resources = if kind == "TrainJob" { "resourcesPerNode" } else { "resources" };
        self.resources(container.get(resources), &format!("{path}{resources}."), &mut process);
        Some(process)
    }

    /// The one container of a job, and the path before its fields.
    fn container<'a>(
        &mut self,
        manifest: &'a Value,
        kind: &str,
        primary: &str,
    ) -> Option<(&'a Value, String)> {
        let (pod, path) = self.pod(manifest, kind)?;
        let containers = pod.get("containers").and_then(Value::as_array);
        for field in ["initContainers", "volumes"] {
            if pod.get(field).and_then(Value::as_array).is_some_and(|items| !items.is_empty()) {
                self.refuse(format!("{path}.{field}"), format!("{field} need a cluster"));
            }
        }
        if containers.is_some_and(|containers| containers.len() > 1) {
            self.refuse(format!("{path}.containers[1]"), "a second container needs a cluster");
        }
        let Some(container) = containers.and_then(|containers| containers.first()) else {
            self.refuse(format!("{path}.containers"), "there is no container");
            return None;
        };
        let path = format!("{path}.containers[0].");
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        if !primary.is_empty() && name != primary {
            self.refuse(format!("{path}name"), format!("`{name}` is not the primary container `{primary}`"));
        }
        Some((container, path))
    }

    /// What a TrainJob says of its one node in place of its runtime, and the path before its fields.
    fn trainer<'a>(&mut self, manifest: &'a Value) -> Option<(&'a Value, String)> {
        let Some(trainer) = manifest.pointer("/spec/trainer").filter(|trainer| trainer.is_object()) else {
            self.refuse(
                "spec.trainer",
                "it is missing, and what the runtime would start instead lives in a cluster",
            );
            return None;
        };
        if trainer.get("numNodes").and_then(Value::as_u64).unwrap_or(1) > 1 {
            self.refuse("spec.trainer.numNodes", "more than one node needs a cluster");
        }
        // Whether 2 or `auto`, more than one process for each node is the runtime's work.
        if trainer.get("numProcPerNode").is_some_and(|n| n.as_str().unwrap_or(&n.to_string()) != "1") {
            self.refuse("spec.trainer.numProcPerNode", "more than one process of a node needs a cluster");
        }
        for field in ["initializer", "runtimePatches", "podTemplateOverrides", "podSpecOverrides"] {
            if manifest.pointer(&format!("/spec/{field}")).is_some_and(|value| !value.is_null()) {
                self.refuse(format!("spec.{field}"), "it changes pods, which need a cluster");
            }
        }
        Some((trainer, "spec.trainer.".to_owned()))
    }

    /// The pod spec of a job, and its path.
    fn pod<'a>(&mut self, manifest: &'a Value, kind: &str) -> Option<(&'a Value, String)> {
        let path = match kind {
            "Job" => "spec.template.spec".to_owned(),
            "PyTorchJob" => self.replica(manifest, "pytorchReplicaSpecs")?,
            "TFJob" => self.replica(manifest, "tfReplicaSpecs")?,
            _ => self.replica(manifest, "xgbReplicaSpecs")?,
        };
        let pod = path.split('.').try_fold(manifest, |value, step| value.get(step));
        if pod.is_none() {
            self.refuse(&path, "it is missing");
        }
        Some((pod?, path))
    }

    /// The path of the pod of a job's one replica.
    fn replica(&mut self, manifest: &Value, field: &str) -> Option<String> {
        let replicas = manifest.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_object);
        let Some((role, replica)) = replicas.and_then(|replicas| replicas.iter().next()) else {
            self.refuse(format!("spec.{field}"), "there is no replica");
            return None;
        };
        let count = replica.get("replicas").and_then(Value::as_u64).unwrap_or(1);
        if replicas.is_some_and(|replicas| replicas.len() > 1) || count > 1 {
            self.refuse(format!("spec.{field}"), "more than one replica needs a cluster");
        }
        Some(format!("spec.{field}.{role}.template.spec"))
    }
}

/// Katib's wrapping: `sh -c` over the arguments joined by spaces, unquoted; a leading `sh -c` or `bash -c` is kept.
pub fn under_shell(argv: &[String]) -> Vec<String> {
    let has_shell = argv.len() > 1 && matches!(argv[0].as_str(), "sh" | "bash") && argv[1] == "-c";
    let (shell, body) = if has_shell { (argv[0].as_str(), &argv[2..]) } else { ("sh", argv) };
    vec![shell.into(), "-c".into(), body.join(" ")]
}
