//! One pod, or the template of several.

use std::collections::BTreeMap;

use controller_core::run::Run;
use controller_core::sidecar::{End, OUTPUT};
use serde_json::{Value, json};
use thiserror::Error;

use super::container::{self, Sidecar};
use super::edit::{add, list, map, named, text};
use super::leave;
use super::settings::Settings;
use super::wrap::{Wrapping, wrap};
use crate::job::CONTAINER;
use crate::names;

/// Name of the volume that the program and its sidecar share.
pub(super) const VOLUME: &str = "metrics-volume";

/// What the annotation of a pod says that has a sidecar, and of one whose metrics are in its log.
pub(crate) const SIDECAR: &str = "sidecar";
const LOG: &str = "log";

/// Why a sidecar cannot be put in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InjectError {
    /// It has no pod spec.
    #[error("there is no pod with containers")]
    NoPod,
    /// Nothing of that name could be watched.
    #[error("the pod has no container `{0}`, which `primaryContainerName` names")]
    NoContainer(String),
    /// A volume cannot be mounted there.
    #[error("metrics cannot be kept in `{0}`; name a folder of their own")]
    Path(String),
    /// There is no sidecar to put in.
    #[error(
        "`{0}` needs a sidecar, and this server has none: start it with --sidecar-image, and \
         --observe-listen or --pod-server"
    )]
    NoSidecar(String),
    /// There is no command to wrap, and so nobody who keeps what it leaves.
    #[error(
        "container `{0}` has no `command` that a shell could run, and so no sidecar that keeps what its program leaves: \
         give it a `command`, or leave `artifacts` out"
    )]
    NoCommand(String),
    /// Its pods are made out of sight.
    #[error(
        "`{collector}` of a {kind} needs a sidecar that is put into its pods when they are made, which this server does \
         not do: start it with --webhook-listen, --sidecar-image and --observe-listen"
    )]
    NoWebhook {
        /// How metrics are to be collected.
        collector: String,
        /// Of what.
        kind: String,
    },
    /// The custom collector is none.
    #[error("the custom collector is no container")]
    NoCollector,
    /// The pods of one template differ by it.
    #[error("only some pods of a template have the label `{0}`; a pod's labels are known once it is made")]
    Undecided(String),
    /// The template has none with the labels.
    #[error("no pod has the labels that `primaryPodLabels` names")]
    NoPrimary,
    /// Its pods are made of something that is not in the object.
    #[error("where an object of kind `{0}` has its pods is not known")]
    UnknownKind(String),
}

/// Where a pod's metrics come from, now that everything is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Injected {
    /// It has none: other pods have, or its program reports them itself.
    Nothing,
    /// They are in what it prints, and that is in its log: its command is not known, or there is no shell to keep it.
    Log,
    /// A sidecar reads them.
    Sidecar,
}

/// Puts the sidecar into a pod that has all its labels, if they are those of primary pods.
///
/// # Errors
/// If it cannot be put in. Nothing is changed then but labels and annotations.
pub fn pod(
    pod: &mut Value,
    run: &Run,
    primary_pod_labels: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Injected, InjectError> {
    let labels = &pod["metadata"]["labels"];
    let is_primary = primary_pod_labels.iter().all(|(name, value)| labels[name] == **value);
    let restarts = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always") != "Never";
    tag(pod, run)?;
    if is_primary { primary(pod, run, restarts, settings) } else { Ok(Injected::Nothing) }
}

/// Gives a pod, or the template of one, what every pod of a run bears.
///
/// # Errors
/// If it is none.
pub(crate) fn tag(pod: &mut Value, run: &Run) -> Result<(), InjectError> {
    if !pod["spec"]["containers"].is_array() {
        return Err(InjectError::NoPod);
    }
    let metadata = pod.as_object_mut().map(|pod| pod.entry("metadata").or_insert_with(|| json!({})));
    let metadata = metadata.ok_or(InjectError::NoPod)?;
    let mut set = |below: &str, name: &str, value: &str| {
        if let Some(below) = map(metadata, below) {
            below.insert(name.into(), json!(value));
        }
    };
    set("labels", names::TRIAL_LABEL, &run.trial);
    set("annotations", names::RUN_ANNOTATION, &run.id.to_string());
    Ok(())
}

/// Puts everything into a primary pod. `restarts` says whether its containers are started again.
pub(super) fn primary(
    pod: &mut Value,
    run: &Run,
    restarts: bool,
    settings: &Settings,
) -> Result<Injected, InjectError> {
    let annotations = &pod["metadata"]["annotations"];
    match text(annotations, names::SIDECAR_ANNOTATION) {
        "" => {}
        LOG => return Ok(Injected::Log),
        _ => return Ok(Injected::Sidecar),
    }
    let has_shell = text(annotations, names::SHELL_ANNOTATION) != "none";
    let spec = &mut pod["spec"];
    let at = primary_container(spec, run)?;
    container::variables(&mut spec["containers"][at], run, settings)?;
    let kind = run.collector.kind();
    let is_pushed = kind == "Push";
    let keep = leave::keep(run, settings).filter(|_| kind != "Custom");
    if is_pushed && (keep.is_none() || !leave::is_wanted(run)) {
        return Ok(Injected::Nothing);
    }
    let is_custom = kind == "Custom";
    let is_bare = !is_custom && !settings.has_sidecar();
    if is_bare && kind != "StdOut" {
        return Err(InjectError::NoSidecar(kind.to_owned()));
    }
    // What pushes its metrics has no other folder to say its end in.
    let folder = if is_pushed { parent(OUTPUT) } else { folder(run)? };
    let mut markers = None;
    if let Some(folder) = folder.as_deref().filter(|_| has_shell && !is_custom && !is_bare) {
        let wrapping = Wrapping {
            folder,
            keeps_output: kind == "StdOut",
            has_rules: !run.rules.is_empty(),
            literal: is_process(run),
        };
        markers = wrap(&mut spec["containers"][at], &wrapping).then(|| folder.to_owned());
    }
    let injected = if kind == "StdOut" && markers.is_none() {
        if keep.is_some() && leave::is_wanted(run) {
            return Err(InjectError::NoCommand(text(&spec["containers"][at], "name").to_owned()));
        }
        Injected::Log
    } else {
        let mounted = folder.as_deref().map(|folder| mount(spec, at, folder)).transpose()?;
        if let Some(keep) = &keep {
            leave::share(spec, at, run, keep, settings)?;
        }
        let end = match () {
            () if settings.native => End::Signal,
            () if restarts && markers.is_some() => End::Restarts,
            () => End::Processes,
        };
        let sidecar = Sidecar { path: path(run), markers, end, mounted, keep, keeps_only: is_pushed };
        container::put(spec, at, run, sidecar, settings)?;
        Injected::Sidecar
    };
    let word = if injected == Injected::Log { LOG } else { SIDECAR };
    pod["metadata"]["annotations"][names::SIDECAR_ANNOTATION] = json!(word);
    Ok(injected)
}

/// Whether the run is of Cairn's own kind.
fn is_process(run: &Run) -> bool {
    text(&run.manifest, "kind") == "Process"
}

fn primary_container(spec: &Value, run: &Run) -> Result<usize, InjectError> {
    let name = if is_process(run) { CONTAINER } else { run.primary_container.as_str() };
    let containers = spec["containers"].as_array().ok_or(InjectError::NoPod)?;
    let at = containers.iter().position(|container| text(container, "name") == name);
    at.ok_or_else(|| InjectError::NoContainer(name.to_owned()))
}

/// The file or folder that metrics are read from; empty if there is none.
fn path(run: &Run) -> String {
    if run.collector.kind() == "StdOut" {
        return OUTPUT.into();
    }
    let path = run.collector.source.as_ref().and_then(|source| source.file_system_path.as_ref());
    let path = path.map(|path| path.path.trim_end_matches('/').to_owned());
    path.filter(|_| run.collector.kind() != "PrometheusMetric").unwrap_or_default()
}

/// The folder that program and sidecar share, if metrics are in files.
fn folder(run: &Run) -> Result<Option<String>, InjectError> {
    let path = path(run);
    if path.is_empty() {
        return Ok(None);
    }
    let source = run.collector.source.as_ref().and_then(|source| source.file_system_path.as_ref());
    let is_folder = run.collector.kind() == "TensorFlowEvent"
        || (run.collector.kind() == "Custom" && source.is_some_and(|path| path.kind == "Directory"));
    let folder = if is_folder { Some(path.clone()) } else { parent(&path) };
    match folder.filter(|folder| folder.starts_with('/')) {
        Some(folder) => Ok(Some(folder)),
        None => Err(InjectError::Path(path)),
    }
}

fn parent(path: &str) -> Option<String> {
    path.rsplit_once('/').map(|(folder, _)| folder.to_owned())
}

/// Mounts the shared folder in the program's container; the same mount for the sidecar. One that the template has there
/// already is shared as it is.
fn mount(spec: &mut Value, at: usize, folder: &str) -> Result<Value, InjectError> {
    let mounts = list(&mut spec["containers"][at], "volumeMounts").ok_or(InjectError::NoPod)?;
    let there = mounts.iter().find(|mount| text(mount, "mountPath").trim_end_matches('/') == folder);
    if let Some(there) = there {
        return Ok(there.clone());
    }
    let mount = json!({"name": VOLUME, "mountPath": folder});
    mounts.push(mount.clone());
    let volumes = list(spec, "volumes").ok_or(InjectError::NoPod)?;
    if named(volumes, VOLUME).is_none() {
        add(volumes, json!({"name": VOLUME, "emptyDir": {}}));
    }
    Ok(mount)
}
