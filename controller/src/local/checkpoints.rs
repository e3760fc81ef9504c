//! Checkpoints that outlive their runs.
//!
//! All attempts of a trial share one folder, `checkpoint/` in that of the trial, which is theirs to write. When a run ends
//! whose checkpoint is to be kept, the folder moves into that of the run, and `checkpoint.json` beside it names every file
//! with its size and SHA-256. Whoever starts from it gets a copy, which is compared with that.

use std::fs;
use std::io;
use std::path::Path;

use ::artifacts::Folder;
use controller_core::artifacts::Manifest;
use controller_core::ports::ExecutorError;
use controller_core::run::{Checkpoint, RunId};

use super::artifacts::{self, Unkept};
use super::files::RunFolder;

/// Seals the checkpoint of a run of which no process is left; `None` if there is none. May be repeated: a sealed checkpoint
/// stays as it is.
///
/// # Errors
/// Why it cannot be kept.
pub(super) fn seal(run: RunId, folder: &RunFolder) -> Result<Option<Checkpoint>, Unkept> {
    let (open, kept) = (folder.checkpoint(), folder.kept_checkpoint());
    if !kept.exists() {
        if is_empty(&open) {
            return Ok(None);
        }
        fs::rename(&open, &kept)
            .map_err(|error| Unkept::of_io(&error, format!("{} cannot be moved: {error}", open.display())))?;
    }
    let sealed = artifacts::seal(Folder::of_checkpoint(&kept), &folder.checkpoint_manifest());
    let sealed = sealed.inspect_err(|_| {
        // The next attempt finds it where this one has left it; if not even that can be, it begins anew.
        fs::rename(&kept, &open).ok();
    })?;
    if sealed.is_some() {
        remove_older(run.attempt, folder);
    }
    Ok(sealed.map(|sealed| Checkpoint { run, digest: sealed.digest(), bytes: sealed.bytes() }))
}

/// Of one trial only the newest is ever started from.
fn remove_older(attempt: u32, folder: &RunFolder) {
    let Some(trial) = folder.path().parent() else { return };
    for older in (1..attempt).map(|older| RunFolder::new(trial.join(older.to_string()))) {
        // What cannot be removed stays until its experiment goes.
        remove(&older).ok();
    }
}

/// Removes a sealed checkpoint, what says that it is one first. May be repeated, after a crash on the way too.
///
/// # Errors
/// If something of it cannot be removed.
pub(super) fn remove(folder: &RunFolder) -> io::Result<()> {
    for removed in
        [fs::remove_file(folder.checkpoint_manifest()), fs::remove_dir_all(folder.kept_checkpoint())]
    {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Puts a copy of a sealed checkpoint where a run finds it, unless an earlier attempt of its trial has got farther.
///
/// # Errors
/// If it is not what was sealed, or there is no room for it.
pub(super) fn fetch(checkpoint: &Checkpoint, from: &RunFolder, to: &RunFolder) -> Result<(), ExecutorError> {
    let to = to.checkpoint();
    if !is_empty(&to) {
        return Ok(());
    }
    let unavailable = |error: io::Error| {
        let run = checkpoint.run;
        ExecutorError::Unavailable(format!("the checkpoint of run {run} cannot be copied: {error}"))
    };
    if !from.kept_checkpoint().exists() {
        return Err(gone(checkpoint));
    }
    // Copied beside and moved into place, so that half a checkpoint is never taken for a whole one.
    let beside = to.with_extension("copy");
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(unavailable)?;
    }
    copy_folder(&from.kept_checkpoint(), &beside).map_err(|error| {
        // Half a copy would only keep a full disk full.
        fs::remove_dir_all(&beside).ok();
        unavailable(error)
    })?;
    let text = match fs::read(from.checkpoint_manifest()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(error)),
        text => text.unwrap_or_default(),
    };
    let sealed = Manifest::read(&text, Some(&checkpoint.digest));
    let sealed = sealed.map_err(|error| format!("cannot be used: {error}"));
    match sealed.and_then(|sealed| Folder::of_checkpoint(&beside).compare(&sealed)) {
        Ok(()) => fs::rename(&beside, &to).map_err(unavailable),
        Err(why) => {
            fs::remove_dir_all(&beside).ok();
            Err(ExecutorError::Refused(format!("the checkpoint of run {} {why}", checkpoint.run)))
        }
    }
}

/// Whoever was to start from it never can.
pub(super) fn gone(checkpoint: &Checkpoint) -> ExecutorError {
    ExecutorError::Refused(format!("the checkpoint of run {} is gone", checkpoint.run))
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
