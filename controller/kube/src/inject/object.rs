//! Objects that hold the templates of their pods.

use std::collections::BTreeMap;

use controller_core::run::Run;
use serde_json::{Value, json};

use super::edit::text;
use super::pod::{InjectError, Injected, primary, tag};
use super::settings::Settings;

/// Label by which the training operator tells whose end is the job's end.
const ROLE: &str = "training.kubeflow.org/job-role";
/// What pods of MPIJobs had in its place before there was one training operator, and are known by in Katib's own example.
const OLD_ROLE: &str = "mpi-job-role";

/// What the newer operator of MPI calls its jobs.
const MPI_OPERATOR: &str = "kubeflow.org/v2beta1";

/// Labels with the name of a pod's Job.
const JOB_NAME: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// A template, and what is known of its pods before they are made.
struct Template<'a> {
    pod: &'a mut Value,
    /// Labels that whoever makes the pods will add; `None` if they differ from pod to pod.
    labels: BTreeMap<String, Option<String>>,
    /// Whether containers are started again, as far as it is said outside of the template.
    restarts: Option<bool>,
}

/// Puts the sidecar into the templates of an object whose pods bear these labels, and says which of them it is in.
///
/// # Errors
/// If there is no such template, or it cannot be put in. The object is of no use then.
pub fn object(
    object: &mut Value,
    run: &Run,
    primary_pod_labels: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Injected, InjectError> {
    let mut all = Injected::Nothing;
    let mut any = false;
    for mut template in templates(object)? {
        tag(template.pod, run)?;
        if template.bears(primary_pod_labels)? {
            any = true;
            let restarts = template.restarts();
            all = all.max(primary(template.pod, run, restarts, settings)?);
        }
    }
    if any { Ok(all) } else { Err(InjectError::NoPrimary) }
}

impl Template<'_> {
    /// Whether its pods will have these labels.
    fn bears(&mut self, wanted: &BTreeMap<String, String>) -> Result<bool, InjectError> {
        let own = self.pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        let mut undecided = None;
        for (name, value) in wanted {
            match self.labels.get(name) {
                Some(None) => undecided = Some(name.clone()),
                Some(Some(added)) if added == value => {}
                // What is added wins over what the template has.
                None if own.get(name) == Some(&json!(value)) => {}
                _ => return Ok(false),
            }
        }
        undecided.map_or(Ok(true), |name| Err(InjectError::Undecided(name)))
    }

    fn restarts(&self) -> bool {
        let of_pod = || text(&self.pod["spec"], "restartPolicy") != "Never";
        self.restarts.unwrap_or_else(of_pod)
    }
}

fn templates(object: &mut Value) -> Result<Vec<Template<'_>>, InjectError> {
    let (kind, version) = (text(object, "kind").to_owned(), text(object, "apiVersion").to_owned());
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if kind == "Pod" {
        return Ok(vec![Template { pod: object, labels: BTreeMap::new(), restarts: None }]);
    }
    let spec = object.get_mut("spec").ok_or(InjectError::NoPod)?;
    match kind.as_str() {
        "Job" => Ok(vec![job(spec, &name, "NonIndexed").ok_or(InjectError::NoPod)?]),
        "JobSet" => Ok(job_set(spec, &name)),
        _ => {
            let word = replica_specs(&kind).ok_or_else(|| InjectError::UnknownKind(kind.clone()))?;
            Ok(replicas(spec, (&kind, &version), word, &name))
        }
    }
}

/// Where a job of the training operator, or of one like it, has its replicas.
fn replica_specs(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "PyTorchJob" => "pytorchReplicaSpecs",
        "TFJob" => "tfReplicaSpecs",
        "XGBoostJob" => "xgbReplicaSpecs",
        "MXJob" => "mxReplicaSpecs",
        "PaddleJob" => "paddleReplicaSpecs",
        "MPIJob" => "mpiReplicaSpecs",
        "JAXJob" => "jaxReplicaSpecs",
        _ => return None,
    })
}

/// Whether it is known where objects of a kind have the templates of their pods.
pub(super) fn knows(kind: &str) -> bool {
    matches!(kind, "Pod" | "Job" | "JobSet") || replica_specs(kind).is_some()
}

/// The label of one among several: known if there is one alone.
fn index(count: u64) -> Option<String> {
    (count == 1).then(|| "0".into())
}

/// `mode` is the completion mode of a Job that names none.
fn job<'a>(spec: &'a mut Value, name: &str, mode: &str) -> Option<Template<'a>> {
    let mut labels: BTreeMap<_, _> =
        JOB_NAME.into_iter().map(|label| (label.to_owned(), Some(name.to_owned()))).collect();
    if spec["completionMode"].as_str().unwrap_or(mode) == "Indexed" {
        let completions = spec["completions"].as_u64().unwrap_or(1);
        labels.insert("batch.kubernetes.io/job-completion-index".into(), index(completions));
    }
    Some(Template { pod: spec.get_mut("template")?, labels, restarts: None })
}

fn job_set<'a>(spec: &'a mut Value, name: &str) -> Vec<Template<'a>> {
    let jobs = spec.get_mut("replicatedJobs").and_then(Value::as_array_mut);
    let template = |group: &'a mut Value| {
        let (word, count) = (text(group, "name").to_owned(), group["replicas"].as_u64().unwrap_or(1));
        let spec = group.get_mut("template")?.get_mut("spec")?;
        let mut template = job(spec, &format!("{name}-{word}-0"), "Indexed")?;
        let labels = &mut template.labels;
        if count != 1 {
            labels.extend(JOB_NAME.map(|label| (label.to_owned(), None)));
        }
        labels.insert("jobset.sigs.k8s.io/jobset-name".into(), Some(name.to_owned()));
        labels.insert("jobset.sigs.k8s.io/replicatedjob-name".into(), Some(word));
        labels.insert("jobset.sigs.k8s.io/job-index".into(), index(count));
        Some(template)
    };
    jobs.into_iter().flatten().filter_map(template).collect()
}

/// The replicas of a job of the training operator.
fn replicas<'a>(
    spec: &'a mut Value,
    (kind, version): (&str, &str),
    word: &str,
    name: &str,
) -> Vec<Template<'a>> {
    let Some(replicas) = spec.get_mut(word).and_then(Value::as_object_mut) else { return Vec::new() };
    let has = |role: &str| replicas.keys().any(|key| key.eq_ignore_ascii_case(role));
    let has_chief = has("Chief") || has("Master");
    let template = |(role, replica): (&String, &'a mut Value)| {
        let count = replica["replicas"].as_u64().unwrap_or(1);
        let of_group = |label: &str| format!("training.kubeflow.org/{label}");
        let mut labels = BTreeMap::from([
            (of_group("job-name"), Some(name.to_owned())),
            (of_group("replica-type"), Some(role.to_ascii_lowercase())),
            (of_group("replica-index"), index(count)),
        ]);
        let of_role = match master(kind, role, has_chief) {
            // The newer operator of MPI says what each is.
            _ if kind == "MPIJob" && version == MPI_OPERATOR => Some(Some(role.to_ascii_lowercase())),
            Master::All => Some(Some("master".into())),
            Master::First => Some(index(count).map(|_| "master".into())),
            Master::None => None,
        };
        labels.extend(of_role.map(|value| (ROLE.to_owned(), value)));
        let policy = replica["restartPolicy"].as_str().unwrap_or("Never");
        let restarts = Some(matches!(policy, "Always" | "OnFailure"));
        let pod = replica.get_mut("template")?;
        if kind == "MPIJob" && version != MPI_OPERATOR {
            let own = pod.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
            let own = own.as_object_mut()?.entry("labels").or_insert_with(|| json!({}));
            own.as_object_mut()?.entry(OLD_ROLE).or_insert_with(|| json!(role.to_ascii_lowercase()));
        }
        Some(Template { pod, labels, restarts })
    };
    replicas.iter_mut().filter_map(template).collect()
}

/// Which replicas of a role the training operator calls master.
enum Master {
    All,
    First,
    None,
}

fn master(kind: &str, role: &str, has_chief: bool) -> Master {
    let is = |name: &str| role.eq_ignore_ascii_case(name);
    let all = match kind {
        "MPIJob" => is("Launcher"),
        "MXJob" => is("Server"),
        "TFJob" => is("Chief") || is("Master"),
        _ => is("Master"),
    };
    match kind {
        _ if all => Master::All,
        "TFJob" | "PyTorchJob" if !has_chief && is("Worker") => Master::First,
        "JAXJob" => Master::First,
        _ => Master::None,
    }
}
