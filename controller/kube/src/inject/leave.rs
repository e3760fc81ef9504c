//! The folders of what a program leaves and begins with, shared by the program, its sidecar, and whoever fetches a
//! checkpoint before it.

use controller_core::artifacts::{CHECKPOINT, MODEL, Scheme, StoreUri};
use controller_core::run::Run;
use controller_core::sidecar::{CLAIM_DIR, FETCH, Fetch, Keep, RANKS, TRIAL_DIR};
use controller_core::spec::ArtifactsSpec;
use serde_json::{Value, json};

use super::container::{base, escaped, security};
use super::edit::{add, list};
use super::pod::InjectError;
use super::settings::Settings;

/// The volume of these folders.
const VOLUME: &str = "cairn-trial";
/// The volume of a claim that artifacts are kept in.
const CLAIM: &str = "cairn-store";
/// The container that fetches a checkpoint.
const FETCHER: &str = "cairn-fetch";
/// Most bytes of a model, where nobody says.
const MAX_BYTES: u64 = 10 << 30;
/// Room beside model and checkpoint, each as large as a model may be.
const ROOM: u64 = 1 << 30;
/// The label with the number of a pod among those of one training job.
const REPLICA_LABEL: &str = "training.kubeflow.org/replica-index";

/// What is kept of a run's folders; `None` where there is no store for it.
pub(super) fn keep(run: &Run, settings: &Settings) -> Option<Keep> {
    let store = settings.store_of(&run.artifacts)?;
    Some(Keep {
        place: store.of_run(&run.namespace, &run.experiment, &run.trial, run.id).to_string(),
        max_bytes: run.artifacts.max_bytes().unwrap_or(MAX_BYTES),
        inherited: run.keep_checkpoint,
    })
}

/// Whether a run's folders are reason enough for a sidecar that would not be there otherwise.
pub(super) fn is_wanted(run: &Run) -> bool {
    let of_checkpoint = run.keep_checkpoint || run.checkpoint_path.is_some() || run.start.is_some();
    run.artifacts != ArtifactsSpec::default() || of_checkpoint
}

/// Gives the program, which is container number `at`, its folders and their variables, and has its checkpoint fetched.
pub(super) fn share(
    spec: &mut Value,
    at: usize,
    run: &Run,
    keep: &Keep,
    settings: &Settings,
) -> Result<(), InjectError> {
    let limit = keep.max_bytes.saturating_mul(2).saturating_add(ROOM);
    let volumes = list(spec, "volumes").ok_or(InjectError::NoPod)?;
    add(volumes, json!({"name": VOLUME, "emptyDir": {"sizeLimit": limit.to_string()}}));
    if let Some(store) = claim(keep) {
        add(volumes, json!({"name": CLAIM, "persistentVolumeClaim": {"claimName": store.host}}));
    }
    if let Some(start) = &run.start {
        let fetch = Fetch {
            run: run.id,
            namespace: run.namespace.clone(),
            trial: run.trial.clone(),
            checkpoint: start.clone(),
            authority: settings.authorities.get(),
        };
        let context = security(spec, &spec["containers"][at], false);
        let mut container = base(FETCHER, run, &context, settings);
        let task = escaped(&fetch);
        list(&mut container, "env").ok_or(InjectError::NoPod)?.push(json!({"name": FETCH, "value": task}));
        mount(&mut container, run, keep)?;
        // Why it could not be fetched is said in the pod's status.
        container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
        // Before any other: what follows may want to find it.
        let before = list(spec, "initContainers").ok_or(InjectError::NoPod)?;
        if before.iter().all(|other| other["name"] != FETCHER) {
            before.insert(0, container);
        }
    }
    let program = &mut spec["containers"][at];
    let mounts = list(program, "volumeMounts").ok_or(InjectError::NoPod)?;
    let below = |name: &str| format!("{TRIAL_DIR}/{name}");
    mounts.push(json!({"name": VOLUME, "mountPath": TRIAL_DIR}));
    for (path, folder) in [(below(MODEL), MODEL), (below(CHECKPOINT), CHECKPOINT)] {
        mounts.push(json!({"name": VOLUME, "mountPath": path, "subPath": folder}));
    }
    let taken = |path: &str| mounts.iter().any(|mount| mount["mountPath"] == path);
    if let Some(path) = run.checkpoint_path.as_ref().filter(|path| path.starts_with('/') && !taken(path)) {
        mounts.push(json!({"name": VOLUME, "mountPath": path, "subPath": CHECKPOINT}));
    }
    let env = list(program, "env").ok_or(InjectError::NoPod)?;
    for (name, value) in [
        ("CAIRN_TRIAL_DIR", TRIAL_DIR.to_owned()),
        ("CAIRN_MODEL_DIR", below(MODEL)),
        ("CAIRN_CHECKPOINT_DIR", below(CHECKPOINT)),
    ] {
        add(env, json!({"name": name, "value": value}));
    }
    Ok(())
}

/// Mounts the folders, and the store that is a volume, in one of our own containers, and gives it the keys of a bucket.
pub(super) fn mount(container: &mut Value, run: &Run, keep: &Keep) -> Result<(), InjectError> {
    let mounts = list(container, "volumeMounts").ok_or(InjectError::NoPod)?;
    mounts.push(json!({"name": VOLUME, "mountPath": TRIAL_DIR}));
    if claim(keep).is_some() {
        mounts.push(json!({"name": CLAIM, "mountPath": CLAIM_DIR}));
    }
    let env = list(container, "env").ok_or(InjectError::NoPod)?;
    // A label that a pod does not have is an empty text.
    let label = format!("metadata.labels['{REPLICA_LABEL}']");
    env.push(json!({"name": RANKS[1], "valueFrom": {"fieldRef": {"fieldPath": label}}}));
    if let Some(secret) = run.artifacts.secret() {
        container["envFrom"] = json!([{"secretRef": {"name": secret}}]);
    }
    Ok(())
}

/// The volume that artifacts are kept in, if it is one.
fn claim(keep: &Keep) -> Option<StoreUri> {
    StoreUri::parse(&keep.place).ok().filter(|place| place.scheme == Scheme::Claim)
}
