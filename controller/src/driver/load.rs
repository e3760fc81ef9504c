//! Loading a snapshot: what is active, counted and open; never the whole history.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller_core::experiment::ExperimentId;
use controller_core::plan::{Limits, Points, RunView, Snapshot};
use controller_core::ports::{Lease, TrialQuery};
use controller_core::trial::TrialState;
use study::TrialIdx;

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
    let asks = world.store.asks(id, TrialIdx(status.counters.total())).await?;
    let asker = Asker::new(world, &record, &study);
    status.built_by(&suggest::build());
    let snapshot = Snapshot {
        record,
        study,
        limits,
        status,
        active,
        runs,
        asks,
        points: Arc::new(points),
        exhausted: false,
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
