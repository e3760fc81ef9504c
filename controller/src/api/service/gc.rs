//! Tidying: what deleted experiments have left, and the models and checkpoints of old runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::time::Timestamp;

use super::error::{ApiError, Code};
use crate::api::Api;
use crate::api::types::Collected;

/// Erases deleted experiments from the store, and removes folders of runs that no living experiment knows and that
/// nobody has touched for `older_than`. With `dry_run` it only counts.
pub(crate) async fn gc(api: &Api, older_than: Duration, dry_run: bool) -> Result<Collected, ApiError> {
    let mut kept = BTreeSet::new();
    for (record, _) in api.world.store.experiments().await? {
        for run in api.world.store.runs(record.id, None).await? {
            kept.extend(api.world.executor.place(&run.id).map(PathBuf::from));
        }
    }
    let listed = api.world.executor.list().await;
    let living = listed.map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?.len();
    let (root, now) = (api.runs.clone(), api.world.clock.now());
    let sweep = move || sweep(&root, &kept, now, older_than, dry_run);
    let swept = tokio::task::spawn_blocking(sweep).await;
    let (folders, bytes) =
        swept.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?.map_err(|error| {
            ApiError::new(Code::Internal, format!("folders of runs cannot be removed: {error}"))
        })?;
    tracing::debug!(living, folders, bytes, "run folders were swept");
    let experiments = if dry_run { 0 } else { api.world.store.purge_deleted().await? };
    Ok(Collected { experiments, folders, bytes })
}

/// Removes run folders below `root` that are not kept and old; how many and their bytes.
fn sweep(
    root: &Path,
    kept: &BTreeSet<PathBuf>,
    now: Timestamp,
    older_than: Duration,
    dry_run: bool,
) -> std::io::Result<(u64, u64)> {
    let (mut folders, mut bytes) = (0, 0);
    for folder in run_folders(root)? {
        let modified = fs::metadata(folder.join("run.json"))?.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let touched = Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let ended = folder.join("exit.json").exists();
        if !ended || kept.contains(&folder) || now.since(touched) < older_than {
            continue;
        }
        bytes += size(&folder)?;
        folders += 1;
        if !dry_run {
            fs::remove_dir_all(&folder)?;
            bytes += remove_parents(root, &folder)?;
        }
    }
    Ok((folders, bytes))
}

/// Removes what a removed run leaves above it: the checkpoint of its trial, once no other run of the trial is there,
/// and folders that are empty then. The bytes of the checkpoint.
fn remove_parents(root: &Path, run: &Path) -> std::io::Result<u64> {
    let Some(trial) = run.parent().filter(|trial| *trial != root) else { return Ok(0) };
    let left: Vec<_> = fs::read_dir(trial)?.collect::<Result<_, _>>()?;
    if left.iter().any(|entry| entry.file_name() != "checkpoint") {
        return Ok(0);
    }
    let bytes = size(trial)?;
    fs::remove_dir_all(trial)?;
    for empty in trial.ancestors().skip(1).take_while(|folder| *folder != root) {
        if fs::remove_dir(empty).is_err() {
            break;
        }
    }
    Ok(bytes)
}

/// Folders with a `run.json`, at most four levels below the root; links are not followed.
fn run_folders(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut found, mut level) = (Vec::new(), vec![root.to_owned()]);
    for _ in 0..5 {
        let mut next = Vec::new();
        for folder in level {
            if folder.join("run.json").exists() {
                found.push(folder);
                continue;
            }
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    next.push(entry.path());
                }
            }
        }
        level = next;
    }
    Ok(found)
}

fn size(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += size(&entry.path())?;
        } else if kind.is_file() {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_ended_unknown_runs_go() {
        let root = tempfile::tempdir().unwrap();
        let run = |name: &str, ended: bool| {
            let folder = root.path().join("e").join(name).join("1");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("run.json"), "{}").unwrap();
            if ended {
                fs::write(folder.join("exit.json"), "{}").unwrap();
            }
            folder
        };
        let (kept, running, gone) = (run("kept", true), run("running", false), run("gone", true));
        let now = Timestamp(i64::MAX);
        let keep = BTreeSet::from([kept.clone()]);
        assert_eq!(sweep(root.path(), &keep, Timestamp(0), Duration::from_secs(1), false).unwrap().0, 0);
        let checkpoint = gone.with_file_name("checkpoint");
        fs::create_dir(&checkpoint).unwrap();
        fs::write(checkpoint.join("step"), "41").unwrap();
        assert_eq!(sweep(root.path(), &keep, now, Duration::ZERO, true).unwrap(), (1, 4));
        assert_eq!(sweep(root.path(), &keep, now, Duration::ZERO, false).unwrap(), (1, 6));
        assert!(kept.exists() && running.exists() && !gone.parent().unwrap().exists());
        let none = BTreeSet::new();
        fs::write(running.join("exit.json"), "{}").unwrap();
        assert_eq!(sweep(root.path(), &none, now, Duration::ZERO, false).unwrap().0, 2);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
