//! Loading a snapshot: what is active, counted and open; never the whole history.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller_core::experiment::{ExperimentId, ExperimentRecord};
use controller_core::plan::{KeptCheckpoints, KeptModels, Limits, Points, RunView, Snapshot};
use controller_core::ports::{Lease, TrialQuery};
use controller_core::spec::ArtifactsSpec;
use controller_core::trial::TrialState;
use study::{Study, TrialIdx};

use super::ask::Asker;
use super::{DriverError, prepare};
use crate::world::World;

/// Loads the experiment of a lease.
pub(super) async fn load(world: &World, lease: &Lease) -> Result<(Snapshot, Asker), DriverError> {
    let id = lease.experiment;
    let record = world.store.experiment_by_id(id).await?.ok_or(DriverError::NotFound(id))?;
    let mut status = world.store.status(id).await?;
    let study = prepare::study(&record)?;
    let query = TrialQuery {
        states: vec![TrialState::Pending, TrialState::Running, TrialState::Paused],
        ..TrialQuery::default()
    };
    let active: BTreeMap<TrialIdx, _> =
        world.store.trials(id, &query).await?.items.into_iter().map(|trial| (trial.idx, trial)).collect();
    let mut runs = BTreeMap::new();
    for trial in active.values() {
        let open = world.store.runs(id, Some(trial.idx)).await?;
        let unended = open.iter().any(|run| run.id.attempt == trial.attempt && run.end.is_none());
        runs.insert(trial.idx, if unended { RunView::Intended } else { RunView::Unborn });
    }
    let limits = Limits::of_spec(&record.spec);
    let points = points(world, id, &limits).await?;
    let models = models(world, &record, &limits).await?;
    let checkpoints = checkpoints(world, &record, &study).await?;
    let asks = world.store.asks(id, TrialIdx(status.counters.total())).await?;
    let asker = Asker::new(world, &record, &study);
    status.built_by(&suggest::build());
    let watch = suggest::registry::watch(&study);
    let snapshot = Snapshot {
        keeps_checkpoints: suggest::registry::keeps_checkpoints(&study),
        record,
        study,
        limits,
        status,
        active,
        runs,
        asks,
        points: Arc::new(points),
        models,
        removed: Vec::new(),
        checkpoints,
        let_go: Vec::new(),
        exhausted: false,
        decisions: Vec::new(),
        decided_at: watch.as_ref().map(|_| 0),
        watch,
        reports: BTreeMap::new(),
        parents: BTreeMap::new(),
        wishes: Vec::new(),
        repeats: BTreeMap::new(),
        finished: Vec::new(),
    };
    Ok((snapshot, asker))
}

/// Points with all their runs, where they are run again.
async fn points(world: &World, id: ExperimentId, limits: &Limits) -> Result<Points, DriverError> {
    if limits.repeats < 2 {
        return Ok(Points::new(limits.repeats));
    }
    let trials = world.store.trials(id, &TrialQuery::default()).await?.items;
    Ok(Points::of_trials(limits.repeats, &trials, |value| limits.direction.cost(value)))
}

/// The models that there are, where beaten ones go.
async fn models(
    world: &World,
    record: &ExperimentRecord,
    limits: &Limits,
) -> Result<KeptModels, DriverError> {
    let models = KeptModels::new(record.spec.artifacts.as_ref().and_then(ArtifactsSpec::best));
    if !models.are_limited() {
        return Ok(models);
    }
    let trials = world.store.trials(record.id, &TrialQuery::default()).await?.items;
    Ok(models.of_trials(&trials, |value| limits.direction.cost(value)))
}

/// The checkpoints that there are, where useless ones go: not where trials are retained as they are, nor where the keys of
/// the store are none of ours.
async fn checkpoints(
    world: &World,
    record: &ExperimentRecord,
    study: &Study,
) -> Result<KeptCheckpoints, DriverError> {
    let spec = &record.spec;
    let is_retained = spec.trial_template.as_ref().is_some_and(|template| template.retain);
    let has_other_keys = spec.artifacts.as_ref().and_then(ArtifactsSpec::secret).is_some();
    let goes = suggest::registry::keeps_checkpoints(study) && !is_retained && !has_other_keys;
    let checkpoints = KeptCheckpoints::new(goes.then(|| suggest::registry::copies(study)));
    if !checkpoints.are_limited() {
        return Ok(checkpoints);
    }
    let trials = world.store.trials(record.id, &TrialQuery::default()).await?.items;
    Ok(checkpoints.of_trials(&trials))
}
