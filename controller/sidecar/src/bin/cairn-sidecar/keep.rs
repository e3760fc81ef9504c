//! What the program has left, sealed and sent to its store; and what it is to begin with, fetched from there.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use artifacts::{Files, Folder};
use controller_core::artifacts::{CHECKPOINT, MODEL, Manifest, REPORTED, Scheme, StoreUri, reported};
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, Left};
use controller_core::run::{Model, Sealed};
use controller_core::sidecar::{CLAIM_DIR, Fetch, Keep, RANKS, TRIAL_DIR, Task};
use proto::cairn as wire;
use tracing::{info, warn};

use crate::door::{Door, hello};
use crate::program::Outcome;
use crate::remote::Remote;

/// How long a store may be away before the run has failed for it.
const PATIENCE: Duration = Duration::from_mins(15);

/// Whether this is the pod whose files count, among those of one job.
fn is_first() -> bool {
    RANKS.iter().all(|rank| std::env::var(rank).map_or(true, |rank| matches!(rank.as_str(), "" | "0")))
}

/// Keeps what counts of the program's folders: the model of a good end, and the checkpoint of another or of one that
/// others start from. How long that took goes with what a person should know, as a pod holds its GPU until then.
pub(crate) async fn keep(task: &Task, door: &Door, outcome: Outcome, notes: &mut Vec<String>) -> Left {
    let (mut left, begun) = (Left::default(), Instant::now());
    let Some(keep) = task.keep.as_ref().filter(|_| is_first()) else { return left };
    if matches!(outcome, Outcome::Good | Outcome::Unknown) {
        match model(task, keep, door, notes).await {
            Ok(model) => left.model = model,
            Err(why) => {
                warn!(why, "the model cannot be kept");
                left.refused = Some(why);
            }
        }
    }
    if outcome == Outcome::Bad || keep.inherited {
        match checkpoint(task, keep, door).await {
            Ok(checkpoint) => left.checkpoint = checkpoint,
            // The next attempt begins anew, and that is all.
            Err(why) => notes.push(why),
        }
    }
    let kept = [
        ("model", left.model.as_ref().filter(|model| !model.elsewhere).map(|model| model.bytes)),
        ("checkpoint", left.checkpoint.as_ref().map(|checkpoint| checkpoint.bytes)),
    ];
    let kept: Vec<_> =
        kept.iter().filter_map(|(what, bytes)| Some(format!("its {what} of {} bytes", (*bytes)?))).collect();
    if !kept.is_empty() {
        let seconds = begun.elapsed().as_secs_f64();
        let kept = kept.join(" and ");
        notes.push(format!("{kept} took {seconds:.1} s to keep, in which its pod held its place"));
    }
    left
}

async fn model(
    task: &Task,
    keep: &Keep,
    door: &Door,
    notes: &mut Vec<String>,
) -> Result<Option<Model>, String> {
    let folder = Path::new(TRIAL_DIR).join(MODEL);
    let Some(manifest) = seal(Folder::of_model(&folder, Some(keep.max_bytes)))? else {
        let text = fs::read_to_string(Path::new(TRIAL_DIR).join(REPORTED)).unwrap_or_default();
        let reported = reported(&text);
        notes.extend(reported.note);
        return Ok(reported.model);
    };
    let uri = send(task, keep, door, MODEL, &folder, &manifest).await?;
    let (digest, bytes) = (manifest.digest(), manifest.bytes());
    Ok(Some(Model { uri, digest, bytes, format: manifest.format, elsewhere: false, removed: None }))
}

async fn checkpoint(task: &Task, keep: &Keep, door: &Door) -> Result<Option<Sealed>, String> {
    let folder = Path::new(TRIAL_DIR).join(CHECKPOINT);
    let Some(manifest) = seal(Folder::of_checkpoint(&folder))? else { return Ok(None) };
    let uri = send(task, keep, door, CHECKPOINT, &folder, &manifest).await?;
    Ok(Some(Sealed { uri, digest: manifest.digest(), bytes: manifest.bytes() }))
}

fn seal(folder: Folder<'_>) -> Result<Option<Manifest>, String> {
    folder.seal().map_err(|error| {
        let is_hidden = matches!(&error, artifacts::SealError::Io { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied);
        let hint = "; give the program's container a `runAsUser`, which the sidecar then has too";
        format!("{error}{}", if is_hidden { hint } else { "" })
    })
}

async fn send(
    task: &Task,
    keep: &Keep,
    door: &Door,
    name: &str,
    folder: &Path,
    manifest: &Manifest,
) -> Result<String, String> {
    let place = StoreUri::parse(&keep.place)?;
    let hello = hello(task.run, &task.namespace, &task.trial);
    let told = |error: ArtifactError| format!("the {name} could not be kept: {error}");
    let store: Arc<dyn ArtifactSink> = match place.scheme {
        Scheme::Cairn => Arc::new(Remote::new(door.clone(), hello, place.clone())),
        Scheme::Claim => Arc::new(Files::new(Path::new(CLAIM_DIR).join(&place.path))),
        _ => artifacts::open(&place, None).map_err(told)?,
    };
    let sent = artifacts::patiently(PATIENCE, || artifacts::send(&*store, name, folder, manifest)).await;
    sent.map_err(told)?;
    let uri = place.join(name).to_string();
    info!(uri, bytes = manifest.bytes(), "kept");
    Ok(uri)
}

/// Puts the checkpoint that the program is to begin with into its folder.
pub(crate) async fn fetch(task: &Fetch, door: &Door) -> Result<(), ArtifactError> {
    let wrong = |why: String| ArtifactError::Refused(format!("{}: {why}", task.checkpoint.uri));
    let place = StoreUri::parse(&task.checkpoint.uri).map_err(wrong)?;
    let (place, name) = place.split().ok_or_else(|| wrong("it names no folder".into()))?;
    let hello = hello(task.run, &task.namespace, &task.trial);
    let store: Arc<dyn ArtifactSource> = match place.scheme {
        Scheme::Cairn => Arc::new(Remote::new(door.clone(), hello, place.clone())),
        Scheme::Claim => Arc::new(Files::new(Path::new(CLAIM_DIR).join(&place.path))),
        _ => artifacts::open(&place, None)?,
    };
    let to = Path::new(TRIAL_DIR).join(CHECKPOINT);
    // A container that begins again finds what it has fetched.
    if !Folder::of_checkpoint(&to).is_empty() {
        return Ok(());
    }
    let once = || async {
        let manifest = artifacts::manifest(&*store, name, Some(&task.checkpoint.digest)).await?;
        artifacts::fetch(&*store, name, &manifest, &to).await
    };
    artifacts::patiently(PATIENCE, once).await?;
    // The program may be another user.
    open_up(&to).map_err(|error| ArtifactError::Unavailable(format!("{}: {error}", to.display())))
}

/// Lets everybody write what is in a folder.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_up(&entry.path())?;
        } else if kind.is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o666))?;
        }
    }
    Ok(())
}

/// As the controller is told.
pub(crate) fn to_proto(model: &Model) -> wire::Model {
    wire::Model {
        uri: model.uri.clone(),
        digest: model.digest.clone(),
        bytes: model.bytes,
        format: model.format.clone(),
        elsewhere: model.elsewhere,
    }
}
