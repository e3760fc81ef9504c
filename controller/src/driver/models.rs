//! Removing beaten models, and checkpoints that nobody goes on from.

use std::time::Duration;

use controller_core::experiment::ExperimentId;
use controller_core::ports::{PromotionQuery, StoreError};
use controller_core::run::{Model, RunId};
use controller_core::spec::ArtifactsSpec;
use controller_core::trial::TrialRecord;
use study::TrialIdx;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Driver;
use super::act::Done;
use crate::world::World;

/// How long the removal of a model may take, and when one that could not be removed is looked at again.
const REMOVAL: Duration = Duration::from_mins(1);
const REMOVE_AGAIN: Duration = Duration::from_secs(30);

/// What has come of removing a beaten model, or a useless checkpoint.
pub(super) enum Removed {
    /// It is gone; its trial, as it is now.
    Gone(Box<TrialRecord>),
    /// There is none.
    Nothing,
    /// It stays for now: something refers to it, or its store is away.
    Stays,
}

impl Driver<'_> {
    /// Begins to remove the files of a beaten model, unless that is under way. One that stays is looked at again later,
    /// at the latest when the experiment is next driven.
    pub(super) fn remove_model(&mut self, idx: TrialIdx) {
        let waits = self.removed_at.get(&idx).is_some_and(|at| at.elapsed() < REMOVE_AGAIN);
        if waits || !self.deeds.removing.insert(idx) {
            return;
        }
        let (world, experiment) = (self.world.clone(), self.lease.experiment);
        let namespace = self.snapshot.record.namespace.clone();
        self.deeds.spawn(async move {
            let removed = remove(&world, &namespace, experiment, idx).await.unwrap_or_else(|error| {
                warn!(trial = idx.0, %error, "a beaten model cannot be looked at");
                Removed::Stays
            });
            Done::Removed(idx, removed)
        });
    }

    /// Takes in what has come of that. What is gone is written down with the next plan.
    pub(super) fn removed(&mut self, idx: TrialIdx, removed: Removed) {
        self.deeds.removing.remove(&idx);
        match removed {
            Removed::Gone(trial) => self.snapshot.removed.push(*trial),
            Removed::Nothing => self.snapshot.models.removed(idx),
            Removed::Stays => {
                self.removed_at.insert(idx, Instant::now());
            }
        }
    }

    /// Begins to remove the checkpoint of an ended trial that nobody can go on from, unless something of that trial is being
    /// removed. One that stays is looked at again as a model is.
    pub(super) fn remove_checkpoint(&mut self, idx: TrialIdx) {
        let waits = self.kept_at.get(&idx).is_some_and(|at| at.elapsed() < REMOVE_AGAIN);
        if waits || !self.deeds.removing.insert(idx) {
            return;
        }
        let (world, experiment) = (self.world.clone(), self.lease.experiment);
        self.deeds.spawn(async move {
            let removed = let_go(&world, experiment, idx).await.unwrap_or_else(|error| {
                warn!(trial = idx.0, %error, "a checkpoint cannot be looked at");
                Removed::Stays
            });
            Done::LetGo(idx, removed)
        });
    }

    /// Takes in what has come of that. What is gone is written down with the next plan.
    pub(super) fn let_go(&mut self, idx: TrialIdx, removed: Removed) {
        self.deeds.removing.remove(&idx);
        match removed {
            Removed::Gone(trial) => self.snapshot.let_go.push(*trial),
            Removed::Nothing => self.snapshot.checkpoints.removed(idx),
            Removed::Stays => {
                self.kept_at.insert(idx, Instant::now());
            }
        }
    }

    /// Begins to remove the checkpoints of a trial whose last run is over, unless others may start from them. What cannot
    /// be removed goes once the experiment is purged. Sidecars alone send checkpoints to stores.
    pub(super) fn forget_checkpoints(&mut self, last: RunId) {
        let is_active = self.snapshot.active.contains_key(&last.trial);
        let artifacts = self.snapshot.record.spec.artifacts.as_ref();
        let has_other_keys = artifacts.and_then(ArtifactsSpec::secret).is_some();
        let stays = is_active || self.snapshot.keeps_checkpoints || has_other_keys;
        if stays || self.world.cluster.is_empty() {
            return;
        }
        let world = self.world.clone();
        self.deeds.spawn(async move {
            for attempt in 1..=last.attempt {
                forget_checkpoint(&world, RunId { attempt, ..last }).await;
            }
            Done::Tidied
        });
    }
}

async fn remove(
    world: &World,
    namespace: &str,
    experiment: ExperimentId,
    idx: TrialIdx,
) -> Result<Removed, StoreError> {
    let Some(mut trial) = world.store.trial(experiment, idx).await? else { return Ok(Removed::Nothing) };
    let Some(model) = &mut trial.model else { return Ok(Removed::Nothing) };
    if is_promoted(world, namespace, model).await? {
        return Ok(Removed::Stays);
    }
    let gone = tokio::time::timeout(REMOVAL, world.artifacts.forget(model)).await;
    let gone = gone.map_err(|_| "its store does not answer".to_owned());
    if let Err(why) = gone.and_then(|gone| gone.map_err(|error| error.to_string())) {
        warn!(trial = trial.name, why, "a beaten model cannot be removed yet");
        return Ok(Removed::Stays);
    }
    model.removed = Some(world.clock.now());
    Ok(Removed::Gone(Box::new(trial)))
}

/// Removes the checkpoint of an ended trial: files first, then the record, so that a crash between leaves work and no lie.
async fn let_go(world: &World, experiment: ExperimentId, idx: TrialIdx) -> Result<Removed, StoreError> {
    let Some(mut trial) = world.store.trial(experiment, idx).await? else { return Ok(Removed::Nothing) };
    let Some(checkpoint) = trial.checkpoint.take() else { return Ok(Removed::Nothing) };
    if world.cluster.is_empty() {
        if let Err(error) = world.executor.forget_checkpoint(&checkpoint.run).await {
            debug!(trial = trial.name, %error, "a checkpoint cannot be removed yet");
            return Ok(Removed::Stays);
        }
    } else {
        for attempt in 1..=trial.attempt {
            if !forget_checkpoint(world, RunId { attempt, ..checkpoint.run }).await {
                return Ok(Removed::Stays);
            }
        }
    }
    Ok(Removed::Gone(Box::new(trial)))
}

/// Removes a checkpoint that a sidecar has sent; whether there is none any more.
async fn forget_checkpoint(world: &World, run: RunId) -> bool {
    let left = match world.store.collected(run).await {
        Ok(collected) => collected.and_then(|collected| collected.left.checkpoint),
        Err(error) => {
            debug!(%run, %error, "what a run has left cannot be looked at");
            return false;
        }
    };
    let Some(checkpoint) = left else { return true };
    match tokio::time::timeout(REMOVAL, world.artifacts.forget_at(&checkpoint.uri)).await {
        Ok(Ok(())) => {
            debug!(%run, uri = checkpoint.uri, "a checkpoint is no longer needed");
            return true;
        }
        Ok(Err(error)) => debug!(%run, %error, "a checkpoint stays for now"),
        Err(_) => debug!(%run, "a checkpoint stays: its store does not answer"),
    }
    false
}

/// Whether a version is made of a model, it is served, or a promotion of it is on its way.
async fn is_promoted(world: &World, namespace: &str, model: &Model) -> Result<bool, StoreError> {
    let promotions = &world.promotions;
    let query = PromotionQuery { namespace: Some(namespace.to_owned()), model: None, open: true };
    let open = promotions.promotions(&query).await?;
    if open.iter().any(|promotion| promotion.candidate.artifact.uri == model.uri) {
        return Ok(true);
    }
    let served = promotions.all_serving().await?;
    if served.iter().flat_map(|serving| &serving.deployments).any(|one| one.artifact.uri == model.uri) {
        return Ok(true);
    }
    for named in promotions.models().await?.iter().filter(|named| named.namespace == namespace) {
        let versions = promotions.versions(namespace, &named.name).await?;
        if versions.iter().any(|version| version.candidate.artifact.uri == model.uri) {
            return Ok(true);
        }
    }
    Ok(false)
}
