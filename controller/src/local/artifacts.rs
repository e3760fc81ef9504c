//! What a run leaves behind: sealed where it lies, or sent to the store that its experiment names.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use artifacts::{Folder, SealError};
use controller_core::artifacts::{MODEL, Manifest, Scheme, StoreUri, reported};
use controller_core::ports::ArtifactError;
use controller_core::run::{Model, Run};

use super::files::{RunFolder, write_new};

/// How long a store may be away before the run has failed for it.
const PATIENCE: Duration = Duration::from_mins(15);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) model: Option<Model>,
    /// What a person should know.
    pub(super) note: Option<String>,
}

/// Why what a run has left cannot be kept, in one line.
#[derive(Debug)]
pub(super) enum Unkept {
    /// There is no room for it, through no fault of the run.
    NoRoom(String),
    /// It is not fit to be kept, or cannot be reached.
    Unfit(String),
}

impl Unkept {
    /// With words before it.
    fn after(self, words: &str) -> Self {
        match self {
            Self::NoRoom(why) => Self::NoRoom(format!("{words}: {why}")),
            Self::Unfit(why) => Self::Unfit(format!("{words}: {why}")),
        }
    }

    /// What the system says of a file; `why` names it.
    pub(super) fn of_io(error: &io::Error, why: String) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoRoom(format!("{why}; make room on that disk"))
            }
            _ => Self::Unfit(why),
        }
    }
}

impl From<SealError> for Unkept {
    fn from(error: SealError) -> Self {
        let why = error.to_string();
        match &error {
            SealError::Io { source, .. } => Self::of_io(source, why),
            _ => Self::Unfit(why),
        }
    }
}

impl From<ArtifactError> for Unkept {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Full(_) => Self::NoRoom(error.to_string()),
            _ => Self::Unfit(error.to_string()),
        }
    }
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoRoom(why) | Self::Unfit(why)) = self;
        f.write_str(why)
    }
}

/// Whether a run has left nothing at all.
pub(super) fn are_none(folder: &RunFolder) -> bool {
    let model = folder.model();
    Folder::of_model(&model, None).is_empty()
        && !folder.model_manifest().exists()
        && !folder.artifacts().exists()
}

/// The folder of the run that left a model, as far as it is one of this machine.
pub(crate) fn run_folder(model: &Model) -> Option<PathBuf> {
    let place = StoreUri::parse(&model.uri).ok().filter(|place| place.scheme == Scheme::File)?;
    let (run, _) = place.split()?;
    Some(Path::new("/").join(run.path)).filter(|run| run.exists())
}

/// Keeps the model of a run that has ended well. May be repeated: a model that is kept stays as it is.
///
/// # Errors
/// Why it cannot be kept.
pub(super) async fn keep(run: &Run, folder: &RunFolder) -> Result<Kept, Unkept> {
    let (own, max_bytes) = (folder.clone(), run.artifacts.max_bytes());
    let sealed = move || seal(Folder::of_model(&own.model(), max_bytes), &own.model_manifest());
    let sealed = tokio::task::spawn_blocking(sealed).await;
    let sealed = sealed
        .unwrap_or_else(|error| Err(Unkept::Unfit(format!("the model could not be sealed: {error}"))))?;
    let Some(manifest) = sealed else {
        let reported = reported(&fs::read_to_string(folder.artifacts()).unwrap_or_default());
        return Ok(Kept { model: reported.model, note: reported.note });
    };
    let store = run.artifacts.store().filter(|store| store.scheme != Scheme::Cairn);
    let place = match store {
        None => StoreUri::of_folder(&folder.path().display().to_string()),
        Some(store) => {
            let place = store.of_run(&run.namespace, &run.experiment, &run.trial, run.id);
            let sent = send(&place, &folder.model(), &manifest).await;
            sent.map_err(|error| Unkept::from(error).after("the model could not be kept"))?;
            place
        }
    };
    let model = Model {
        uri: place.join(MODEL).to_string(),
        digest: manifest.digest(),
        bytes: manifest.bytes(),
        format: manifest.format,
        elsewhere: false,
        removed: None,
    };
    Ok(Kept { model: Some(model), note: None })
}

/// Sends a model to a store; what lies here goes then.
async fn send(place: &StoreUri, model: &Path, manifest: &Manifest) -> Result<(), ArtifactError> {
    let store = artifacts::open(place, None)?;
    // After a restart it may be there, and here no more.
    let digest = manifest.digest();
    let there = || artifacts::manifest(&*store, MODEL, Some(&digest));
    match artifacts::patiently(PATIENCE, there).await {
        Err(ArtifactError::NotFound(_) | ArtifactError::Damaged(_)) => {
            artifacts::patiently(PATIENCE, || artifacts::send(&*store, MODEL, model, manifest)).await?;
        }
        found => drop(found?),
    }
    match tokio::fs::remove_dir_all(model).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, model = %model.display(), "a model that is in its store cannot be removed here");
        }
        _ => {}
    }
    Ok(())
}

/// The manifest of a folder, on disk; `None` if there is nothing in it. What is sealed already stays as it is.
///
/// # Errors
/// Why it cannot be sealed.
pub(super) fn seal(folder: Folder<'_>, path: &Path) -> Result<Option<Manifest>, Unkept> {
    let before = fs::read(path).ok().and_then(|text| Manifest::read(&text, None).ok());
    if before.is_some() {
        return Ok(before);
    }
    let sealed = folder.seal()?;
    if let Some(manifest) = &sealed {
        write_safely(path, &manifest.text()).map_err(|error| {
            Unkept::of_io(&error, format!("{} cannot be written: {error}", path.display()))
        })?;
    }
    Ok(sealed)
}

fn write_safely(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("json.tmp");
    let written = write_new(&temporary, text, 0o644).and_then(|()| File::open(&temporary)?.sync_all());
    written.inspect_err(|_| {
        // Half of it would only keep a full disk full.
        fs::remove_file(&temporary).ok();
    })?;
    fs::rename(&temporary, path)?;
    let dir: PathBuf = path.parent().unwrap_or(path).to_owned();
    File::open(dir)?.sync_all()
}
