//! Tidying: what deleted experiments have left, and the models and checkpoints of old runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentRecord};
use controller_core::ports::{PromotionQuery, TrialQuery};
use controller_core::run::Model;
use controller_core::time::Timestamp;
use serde_json::Value;

use super::error::{ApiError, Code};
use super::experiments::way_to_delete;
use super::left;
use crate::api::Api;
use crate::api::types::{Collected, Purged};
use crate::artifacts::size;
use crate::local::run_folder;

/// Removes folders of runs of deleted experiments, and of runs that their experiment does not know, once nobody has
/// touched them for `older_than`; then erases the deleted experiments, unless folders of theirs are left. Folders of
/// experiments that this store does not know may be another store's, and stay. With `dry_run` it only counts.
pub(crate) async fn gc(api: &Api, older_than: Duration, dry_run: bool) -> Result<Collected, ApiError> {
    let root = api.runs.clone();
    let mut sweep = Sweep { now: api.world.clock.now(), older_than, dry_run, ..Sweep::default() };
    for experiment in blocking(move || owners(&root)).await? {
        if api.world.store.experiment_by_id(experiment).await?.is_some() {
            sweep.known.insert(experiment);
        }
    }
    for living in api.world.store.experiments().await? {
        for run in api.world.store.runs(living.record.id, None).await? {
            sweep.kept.extend(api.world.executor.place(&run.id).map(PathBuf::from));
        }
    }
    let versions = of_versions(api).await?;
    sweep.kept.extend(versions.iter().filter_map(run_folder));
    sweep.digests.extend(versions.iter().map(|model| model.digest.clone()));
    let owners = api.world.executor.owners().await;
    let running = owners.map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?.len();
    let root = api.runs.clone();
    let fetched = api.world.artifacts.fetched().to_owned();
    let swept = blocking(move || Ok((sweep.below(&root)?, sweep.fetched(&fetched)?))).await?;
    let (mut swept, fetched) = swept;
    swept.bytes += fetched;
    let (folders, bytes, foreign) = (swept.folders, swept.bytes, swept.foreign);
    tracing::debug!(running, folders, bytes, foreign, "run folders were swept");
    let mut experiments = 0;
    if !dry_run && swept.left == 0 {
        for record in deleted(api).await? {
            match left::forget(api, &record, &versions).await {
                Ok(left) => left.iter().for_each(|left| tracing::warn!(experiment = record.name, "{left}")),
                Err(error) => {
                    tracing::warn!(experiment = record.name, %error, "what its trials left stays for now");
                    continue;
                }
            }
            experiments += u64::from(api.world.store.purge(record.id).await?);
        }
    }
    Ok(Collected { experiments, folders, bytes, foreign })
}

/// Erases the deleted experiments of a name, with the folders of their runs.
///
/// # Errors
/// If there are none; if the one of this name lives, or runs of one have not ended.
pub(crate) async fn purge(api: &Api, namespace: &str, name: &str) -> Result<Purged, ApiError> {
    let store = &api.world.store;
    let living = store.experiment(namespace, name).await?;
    let mut deleted = deleted(api).await?;
    deleted.retain(|record| record.namespace == namespace && record.name == name);
    if deleted.is_empty() {
        let Some(living) = living else {
            let message = format!("no deleted experiment `{name}` of namespace `{namespace}` is on record");
            return Err(ApiError::not_found(message));
        };
        let way = way_to_delete(&living);
        let message =
            format!("experiment `{name}` lives, and a living one is not erased; {way} deletes it first");
        return Err(ApiError::new(Code::Conflict, message));
    }
    let known: BTreeSet<ExperimentId> = deleted.iter().map(|record| record.id).collect();
    let versions = of_versions(api).await?;
    let kept: BTreeSet<PathBuf> = versions.iter().filter_map(run_folder).collect();
    let models = kept.iter().filter(|folder| owner(folder).is_some_and(|id| known.contains(&id))).count();
    let sweep = Sweep { now: api.world.clock.now(), known, kept, ..Sweep::default() };
    let root = api.runs.clone();
    let swept = blocking(move || sweep.below(&root)).await?;
    if swept.left > 0 {
        let message = format!(
            "{} runs of experiment `{name}` have not ended, and their folders are in use; try again when they have",
            swept.left
        );
        return Err(ApiError::new(Code::Conflict, message));
    }
    let mut purged = Purged { folders: swept.folders, bytes: swept.bytes, ..Purged::default() };
    for record in &deleted {
        let one = TrialQuery { limit: 1, ..TrialQuery::default() };
        let trials = store.trials(record.id, &one).await?.total;
        purged.left.extend(left::forget(api, record, &versions).await?);
        if store.purge(record.id).await? {
            purged.experiments += 1;
            purged.trials += trials;
        }
    }
    purged
        .left
        .extend((models > 0).then(|| format!("models that are versions, with their lineage: {models}")));
    purged.left.extend(living.map(|_| format!("the living experiment `{name}`, which is another")));
    Ok(purged)
}

/// Models that are versions, are served or are on their way; they stay, whatever becomes of their experiments.
async fn of_versions(api: &Api) -> Result<Vec<Model>, ApiError> {
    let mut models = Vec::new();
    for serving in api.world.promotions.all_serving().await? {
        models.extend(serving.deployments.into_iter().map(|one| one.artifact));
    }
    let open = PromotionQuery { open: true, ..PromotionQuery::default() };
    for promotion in api.world.promotions.promotions(&open).await? {
        models.push(promotion.candidate.artifact);
    }
    for model in api.world.promotions.models().await? {
        for version in api.world.promotions.versions(&model.namespace, &model.name).await? {
            models.push(version.candidate.artifact);
        }
    }
    Ok(models)
}

/// Deleted experiments of where trials are run; other clusters may share the store.
async fn deleted(api: &Api) -> Result<Vec<ExperimentRecord>, ApiError> {
    let mut deleted = api.world.store.deleted().await?;
    deleted.retain(|record| record.cluster == api.world.cluster);
    Ok(deleted)
}

/// Work on the folders, off the reactor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?
        .map_err(|error| ApiError::new(Code::Internal, format!("folders of runs cannot be tidied: {error}")))
}

/// Which folders go.
#[derive(Default)]
struct Sweep {
    /// Experiments whose runs these may be, living and deleted.
    known: BTreeSet<ExperimentId>,
    /// Folders of runs that living experiments know.
    kept: BTreeSet<PathBuf>,
    /// Digests of models that versions, promotions and servers are of.
    digests: BTreeSet<String>,
    now: Timestamp,
    older_than: Duration,
    dry_run: bool,
}

/// What a sweep came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Swept {
    folders: u64,
    bytes: u64,
    /// Folders that go later: they run, or were touched lately.
    left: u64,
    /// Folders of experiments that are not known.
    foreign: u64,
}

impl Sweep {
    /// Removes run folders below `root` that are known, not kept, ended and old.
    fn below(&self, root: &Path) -> std::io::Result<Swept> {
        let mut swept = Swept::default();
        for folder in run_folders(root)? {
            if self.kept.contains(&folder) {
                continue;
            }
            if !owner(&folder).is_some_and(|owner| self.known.contains(&owner)) {
                swept.foreign += 1;
                continue;
            }
            let touched = touched(&folder.join("run.json"))?;
            if !folder.join("exit.json").exists() || self.now.since(touched) < self.older_than {
                swept.left += 1;
                continue;
            }
            swept.bytes += size(&folder)?;
            swept.folders += 1;
            if !self.dry_run {
                fs::remove_dir_all(&folder)?;
                swept.bytes += remove_parents(root, &folder)?;
            }
        }
        Ok(swept)
    }

    /// Removes old copies of models of buckets that no version is of, which can be fetched again. Their bytes.
    fn fetched(&self, root: &Path) -> std::io::Result<u64> {
        let mut bytes = 0;
        let entries = match fs::read_dir(root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        for entry in entries {
            let folder = entry?.path();
            let is_used =
                folder.file_name().is_some_and(|name| self.digests.contains(&*name.to_string_lossy()));
            if is_used || self.now.since(touched(&folder)?) < self.older_than {
                continue;
            }
            bytes += size(&folder)?;
            if !self.dry_run {
                fs::remove_dir_all(&folder)?;
            }
        }
        Ok(bytes)
    }
}

/// When a file or folder was last changed.
fn touched(path: &Path) -> std::io::Result<Timestamp> {
    let since = fs::metadata(path)?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// The experiment of a run folder; none if its `run.json` does not say.
fn owner(folder: &Path) -> Option<ExperimentId> {
    let text = fs::read(folder.join("run.json")).ok()?;
    let value: Value = serde_json::from_slice(&text).ok()?;
    value.pointer("/run/id/experiment")?.as_i64().map(ExperimentId)
}

/// All experiments that have run folders below the root.
fn owners(root: &Path) -> std::io::Result<BTreeSet<ExperimentId>> {
    Ok(run_folders(root)?.iter().filter_map(|folder| owner(folder)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(root: &Path, name: &str, experiment: i64, ended: bool) -> PathBuf {
        let folder = root.join("e").join(name).join("1");
        fs::create_dir_all(&folder).unwrap();
        let told = serde_json::json!({"run": {"id": {"experiment": experiment}}});
        fs::write(folder.join("run.json"), told.to_string()).unwrap();
        if ended {
            fs::write(folder.join("exit.json"), "{}").unwrap();
        }
        folder
    }

    #[test]
    fn only_old_ended_runs_of_known_experiments_that_these_forgot_go() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let kept = run(root, "kept", 1, true);
        let running = run(root, "running", 1, false);
        let gone = run(root, "gone", 1, true);
        let foreign = run(root, "foreign", 2, true);
        assert_eq!(owners(root).unwrap(), BTreeSet::from([ExperimentId(1), ExperimentId(2)]));
        let sweep = |now: i64, dry_run: bool| Sweep {
            known: BTreeSet::from([ExperimentId(1)]),
            kept: BTreeSet::from([kept.clone()]),
            digests: BTreeSet::new(),
            now: Timestamp(now),
            older_than: Duration::from_secs(1),
            dry_run,
        };
        let young = Swept { left: 2, foreign: 1, ..Swept::default() };
        assert_eq!(sweep(0, false).below(root).unwrap(), young);
        let checkpoint = gone.with_file_name("checkpoint");
        fs::create_dir(&checkpoint).unwrap();
        fs::write(checkpoint.join("step"), "41").unwrap();
        let old = sweep(i64::MAX, true).below(root).unwrap();
        let counted = sweep(i64::MAX, false).below(root).unwrap();
        assert_eq!((counted.folders, counted.left, counted.foreign), (1, 1, 1));
        assert_eq!(old.bytes + 2, counted.bytes, "with the checkpoint");
        assert!(kept.exists() && running.exists() && foreign.exists() && !gone.parent().unwrap().exists());
        fs::write(running.join("exit.json"), "{}").unwrap();
        let all = Sweep {
            known: BTreeSet::from([ExperimentId(1), ExperimentId(2)]),
            kept: BTreeSet::new(),
            ..sweep(i64::MAX, false)
        };
        assert_eq!(all.below(root).unwrap().folders, 3);
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
    }

    #[test]
    fn copies_of_models_that_a_version_is_of_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for digest in ["champion", "other"] {
            fs::create_dir(root.join(digest)).unwrap();
            fs::write(root.join(digest).join("weights"), "1").unwrap();
        }
        let digests = BTreeSet::from(["champion".to_owned()]);
        let sweep = Sweep { digests, now: Timestamp(i64::MAX), ..Sweep::default() };
        assert_eq!(sweep.fetched(root).unwrap(), 1);
        assert!(root.join("champion").exists() && !root.join("other").exists());
    }
}
