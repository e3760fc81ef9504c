//! The sidecar's container, and the variables of the program's.

use controller_core::run::Run;
use controller_core::sidecar::{End, Keep, POD, SERVER, TASK, TOKEN_FILE, Task};
use serde::Serialize;
use serde_json::{Value, json};

use super::edit::{add, list};
use super::leave;
use super::pod::InjectError;
use super::settings::Settings;
use crate::names;

/// Names of our containers, as Katib has them: of those that read lines, the first of which prints what it reads from the
/// program's output, and of others.
pub(crate) const CONTAINERS: [&str; 2] = ["metrics-logger-and-collector", "metrics-collector"];

/// Variable with the name of the trial, as Katib has it.
pub(crate) const TRIAL_NAME: &str = "KATIB_TRIAL_NAME";
/// Name of the volume with the token for the controller.
const TOKEN_VOLUME: &str = "cairn-token";
/// Where it is mounted.
const TOKEN_FOLDER: &str = "/var/run/secrets/cairn.dev";
/// Whom the token is for.
pub(crate) const AUDIENCE: &str = "cairn.dev";
/// Seconds for which a token is good; the cluster writes a new one in time.
const TOKEN_SECONDS: u32 = 3600;
/// Seconds that a pod has to end, where it does not say.
const GRACE: u64 = 30;
/// The user of the image.
const USER: u64 = 65_532;

/// A sidecar of one pod.
pub(super) struct Sidecar {
    /// What it reads.
    pub(super) path: String,
    /// The folder of markers, if the program is wrapped.
    pub(super) markers: Option<String>,
    /// How it knows the program's end.
    pub(super) end: End,
    /// The mount that it shares with the program.
    pub(super) mounted: Option<Value>,
    /// What it keeps of the program's folders.
    pub(super) keep: Option<Keep>,
    /// Whether it is there for that alone.
    pub(super) keeps_only: bool,
}

/// Gives the program its variables, except those that it has from its template.
pub(super) fn variables(container: &mut Value, run: &Run, settings: &Settings) -> Result<(), InjectError> {
    let env = list(container, "env").ok_or(InjectError::NoPod)?;
    let label = format!("metadata.labels['{}']", names::TRIAL_LABEL);
    add(env, json!({"name": TRIAL_NAME, "valueFrom": {"fieldRef": {"fieldPath": label}}}));
    let attempt = run.id.attempt.to_string();
    for (name, value) in [
        ("CAIRN_EXPERIMENT", &run.experiment),
        ("CAIRN_NAMESPACE", &run.namespace),
        ("CAIRN_TRIAL_NAME", &run.trial),
        ("CAIRN_ATTEMPT", &attempt),
    ] {
        add(env, json!({"name": name, "value": value}));
    }
    if let Some(server) = &settings.server {
        add(env, json!({"name": SERVER, "value": server}));
    }
    Ok(())
}

/// Puts the sidecar beside the program, which is container number `at`.
pub(super) fn put(
    spec: &mut Value,
    at: usize,
    run: &Run,
    sidecar: Sidecar,
    settings: &Settings,
) -> Result<(), InjectError> {
    let is_custom = run.collector.kind() == "Custom";
    // Whoever only waits to be ended, and ends nobody, need not see others.
    if is_custom || sidecar.end != End::Signal || !run.rules.is_empty() {
        spec["shareProcessNamespace"] = json!(true);
    }
    let mut container = if is_custom {
        let container =
            run.collector.collector.as_ref().and_then(|collector| collector.custom_collector.as_ref());
        container.filter(|container| container.is_object()).cloned().ok_or(InjectError::NoCollector)?
    } else {
        own(spec, at, run, &sidecar, settings)
    };
    let mounts = list(&mut container, "volumeMounts").ok_or(InjectError::NoCollector)?;
    let is_new = |mount: &Value| mounts.iter().all(|other| other["mountPath"] != mount["mountPath"]);
    let mounted = sidecar.mounted.filter(is_new);
    mounts.splice(0..0, mounted);
    if let Some(keep) = sidecar.keep.as_ref().filter(|_| !is_custom) {
        leave::mount(&mut container, run, keep)?;
    }
    if !is_custom {
        let token = json!({"serviceAccountToken": {
            "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token",
        }});
        let volumes = list(spec, "volumes").ok_or(InjectError::NoPod)?;
        add(volumes, json!({"name": TOKEN_VOLUME, "projected": {"sources": [token]}}));
    }
    let native = settings.native && !is_custom;
    if native {
        container["restartPolicy"] = json!("Always");
    }
    let containers = list(spec, if native { "initContainers" } else { "containers" });
    add(containers.ok_or(InjectError::NoPod)?, container);
    Ok(())
}

/// Cairn's own sidecar, without what it mounts.
fn own(spec: &Value, at: usize, run: &Run, sidecar: &Sidecar, settings: &Settings) -> Value {
    let task = Task {
        run: run.id,
        namespace: run.namespace.clone(),
        trial: run.trial.clone(),
        collector: run.collector.clone(),
        metrics: run.metrics.clone(),
        maximize: run.maximize,
        rules: run.rules.clone(),
        path: sidecar.path.clone(),
        markers: sidecar.markers.clone(),
        end: sidecar.end,
        waits_for_all: settings.waits_for_all,
        grace: spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE),
        authority: settings.authorities.get(),
        keep: sidecar.keep.clone(),
        keeps_only: sidecar.keeps_only,
    };
    let [of_lines, of_others] = CONTAINERS;
    let name = if matches!(run.collector.kind(), "StdOut" | "File") { of_lines } else { of_others };
    let context = security(spec, &spec["containers"][at], !run.rules.is_empty());
    let mut container = base(name, run, &context, settings);
    if let Some(env) = list(&mut container, "env") {
        env.push(json!({"name": TASK, "value": escaped(&task)}));
    }
    container
}

/// A container of Cairn's own, which knows the controller and is known to it.
pub(super) fn base(name: &str, run: &Run, context: &Value, settings: &Settings) -> Value {
    let (pull_policy, resources) = settings.of_kind(run.collector.kind());
    json!({
        "name": name,
        "image": settings.image,
        "imagePullPolicy": pull_policy,
        "env": [
            {"name": SERVER, "value": settings.reports_to()},
            {"name": POD, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": TOKEN_FILE, "value": format!("{TOKEN_FOLDER}/token")},
        ],
        "resources": resources,
        "securityContext": context,
        "volumeMounts": [{"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true}],
    })
}

/// A task as the value of a variable: a `$` in it has to be doubled, or Kubernetes may take it for a reference.
pub(super) fn escaped(task: &impl Serialize) -> String {
    serde_json::to_string(task).unwrap_or_default().replace('$', "$$")
}

/// What the profile `restricted` of PodSecurity asks for, as the program's own user where that is known, so that its
/// files can be read and it can be told to end. A program whose rules may stop it and whose user nobody knows can only
/// be told by root with the right to signal, which `baseline` allows; `restricted` asks it to say that it is not root,
/// and then its sidecar is not either.
pub(super) fn security(spec: &Value, program: &Value, has_rules: bool) -> Value {
    let contexts = [program.get("securityContext"), spec.get("securityContext")];
    let said = |word: &str| contexts.iter().flatten().find_map(|context| context.get(word)).cloned();
    let user = said("runAsUser").and_then(|user| user.as_u64());
    let is_never_root = said("runAsNonRoot") == Some(json!(true));
    let signals = user.is_none() && has_rules && !is_never_root;
    let user = user.unwrap_or(if signals { 0 } else { USER });
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": user != 0,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if signals {
        context["capabilities"]["add"] = json!(["KILL"]);
    }
    if let Some(group) = said("runAsGroup") {
        context["runAsGroup"] = group;
    }
    context
}
