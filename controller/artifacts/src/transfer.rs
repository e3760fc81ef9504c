//! Sealed folders on their way to a store and back.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use controller_core::artifacts::{Entry, Manifest, hex, manifest_of};
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, ArtifactStore, Blob, Pieces};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::fs;
use tokio::time::Instant;
use tracing::warn;

use crate::files::{Files, at_hand, failed, pieces};

/// Largest manifest: a million files.
const MAX_MANIFEST: usize = 256 << 20;
/// Waits between tries: first and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Sends a sealed folder: its files, and last its manifest, so that nobody reads a part. Sent again after a failure it
/// goes on where it was.
///
/// # Errors
/// If the store does not take it. Nothing of it counts then.
pub async fn send(
    store: &dyn ArtifactSink,
    name: &str,
    folder: &Path,
    manifest: &Manifest,
) -> Result<(), ArtifactError> {
    let text = Bytes::from(manifest.text());
    let sha256 = manifest.digest();
    for file in manifest.files.iter().filter(|file| file.link.is_none()) {
        let path = folder.join(&file.path);
        let read = move |from| pieces(path.clone(), from);
        let blob = Blob { size: file.size, sha256: &file.sha256, read: &read };
        store.put(&format!("{name}/{}", file.path), &blob).await?;
    }
    let size = text.len() as u64;
    let read = move |from| at_hand(&text, from);
    store.put(&manifest_of(name), &Blob { size, sha256: &sha256, read: &read }).await
}

/// Does something with a store again and again while that is away, so that what took hours is not lost for its minutes.
///
/// # Errors
/// If the store refuses, or has been away for as long as that.
pub async fn patiently<T, F: Future<Output = Result<T, ArtifactError>>>(
    patience: Duration,
    mut once: impl FnMut() -> F,
) -> Result<T, ArtifactError> {
    let (mut away_since, mut wait) = (Instant::now(), BACK_OFF.0);
    loop {
        let tried = Instant::now();
        let outcome = once().await;
        // What took longer than a pause was under way: it is away since now.
        if tried.elapsed() > BACK_OFF.1 {
            (away_since, wait) = (Instant::now(), BACK_OFF.0);
        }
        match outcome {
            Err(ArtifactError::Unavailable(why)) if away_since.elapsed() + wait < patience => {
                warn!(why, "the store is away; it is tried again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(BACK_OFF.1);
            }
            other => return other,
        }
    }
}

/// The manifest of a sealed folder in a store, by its digest where that is known.
///
/// # Errors
/// If there is none, or it is another.
pub async fn manifest(
    store: &dyn ArtifactSource,
    name: &str,
    digest: Option<&str>,
) -> Result<Manifest, ArtifactError> {
    let mut text = Vec::new();
    let mut pieces = store.get(&manifest_of(name)).await?;
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece?);
        if text.len() > MAX_MANIFEST {
            return Err(ArtifactError::Damaged(format!("the manifest of {name} has no end")));
        }
    }
    Manifest::read(&text, digest).map_err(|error| ArtifactError::Damaged(format!("{name}: {error}")))
}

/// The bytes of a file of a sealed folder; what is not as its manifest says ends with an error.
///
/// # Errors
/// If it cannot be read.
pub async fn file(store: &dyn ArtifactSource, name: &str, entry: &Entry) -> Result<Pieces, ArtifactError> {
    let bytes = store.get(&format!("{name}/{}", entry.path)).await?;
    Ok(verified(bytes, entry.clone()))
}

/// Bytes that are looked at as they pass.
fn verified(bytes: Pieces, entry: Entry) -> Pieces {
    let start = (Some(bytes), Sha256::new(), 0_u64);
    futures::stream::unfold(start, move |(bytes, mut hasher, size)| {
        let entry = entry.clone();
        async move {
            let mut bytes = bytes?;
            match bytes.next().await {
                Some(Ok(piece)) => {
                    hasher.update(&piece);
                    let size = size + piece.len() as u64;
                    Some((Ok(piece), (Some(bytes), hasher, size)))
                }
                Some(Err(error)) => Some((Err(error), (None, hasher, size))),
                None => {
                    let found = hex(&hasher.clone().finalize());
                    let wrong = size != entry.size || found != entry.sha256;
                    wrong.then(|| {
                        let text = format!(
                            "`{}` has {size} bytes with SHA-256 {found}, and its manifest says {} with {}; it is damaged",
                            entry.path, entry.size, entry.sha256
                        );
                        (Err(ArtifactError::Damaged(text)), (None, hasher, size))
                    })
                }
            }
        }
    })
    .boxed()
}

/// Fetches a sealed folder, every file of it looked at, into one that is not there or empty. It appears whole or not at
/// all.
///
/// # Errors
/// If something of it is missing or damaged, or there is no room.
pub async fn fetch(
    store: &dyn ArtifactSource,
    name: &str,
    manifest: &Manifest,
    to: &Path,
) -> Result<(), ArtifactError> {
    let beside = beside(to);
    remove(&beside).await?;
    fs::create_dir_all(&beside).await.map_err(|error| failed(&beside, &error))?;
    for entry in &manifest.files {
        let path = beside.join(&entry.path);
        let folder = path.parent().unwrap_or(&beside);
        fs::create_dir_all(folder).await.map_err(|error| failed(folder, &error))?;
        if let Some(link) = &entry.link {
            fs::symlink(link, &path).await.map_err(|error| failed(&path, &error))?;
            continue;
        }
        let files = Files::new(&beside);
        let Some(mut incoming) = files.take_in(&entry.path, entry.size, &entry.sha256).await? else {
            continue;
        };
        let mut bytes = file(store, name, entry).await?;
        while let Some(piece) = bytes.next().await {
            incoming.write(&piece?).await?;
        }
        incoming.finish().await?;
    }
    place(&beside, to).await
}

/// Moves a whole folder to its place. One that is there, empty, may be a mount that cannot be replaced.
async fn place(beside: &Path, to: &Path) -> Result<(), ArtifactError> {
    match fs::rename(beside, to).await {
        Ok(()) => return Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
        }
        Err(error) => return Err(failed(to, &error)),
    }
    let told = |error: io::Error| failed(to, &error);
    let mut entries = fs::read_dir(beside).await.map_err(told)?;
    while let Some(entry) = entries.next_entry().await.map_err(told)? {
        fs::rename(entry.path(), to.join(entry.file_name())).await.map_err(told)?;
    }
    fs::remove_dir(beside).await.map_err(told)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.coming"))
}

async fn remove(path: &Path) -> Result<(), ArtifactError> {
    match fs::remove_dir_all(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

/// Removes a sealed folder: its manifest first, so that nobody takes what is left for a whole.
///
/// # Errors
/// If the store does not let it go; it may be done again.
pub async fn forget(store: &dyn ArtifactStore, name: &str) -> Result<(), ArtifactError> {
    store.remove(&[&manifest_of(name), name]).await
}
