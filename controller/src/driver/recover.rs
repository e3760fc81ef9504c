//! Taking over what a cluster still shows of its experiments, under a lease as every write of a driver is.

use std::collections::BTreeMap;

use controller_core::experiment::ExperimentId;
use controller_core::plan::{Found, Recovered};
use controller_core::ports::{Batch, StoreError};
use study::TrialIdx;

use super::{DriverError, load};
use crate::world::World;

/// Brings an experiment's record to what was found of it. Runs that are still there go on as the attempts that they are.
pub(crate) async fn recover(
    world: &World,
    id: ExperimentId,
    mut found: Found,
) -> Result<Recovered, DriverError> {
    for (idx, attempt) in attempts(world, id).await? {
        if let Some(trial) = found.trials.get_mut(&idx) {
            trial.attempt = attempt;
        }
    }
    let Some(lease) = world.store.acquire(id, &world.holder).await? else {
        return Err(StoreError::LeaseLost(id).into());
    };
    let (mut snapshot, _) = load::load(world, &lease).await?;
    let mut batch = Batch::default();
    let recovered = snapshot.recover(world.clock.now(), &found, &mut batch);
    if batch != Batch::default() {
        world.store.commit(&lease, &batch).await?;
    }
    world.store.release(&lease).await?;
    Ok(recovered)
}

/// The newest attempt of each trial of which a run is there.
async fn attempts(world: &World, id: ExperimentId) -> Result<BTreeMap<TrialIdx, u32>, DriverError> {
    let mut attempts = BTreeMap::new();
    for status in world.executor.list(id).await? {
        let attempt: &mut u32 = attempts.entry(status.run.trial).or_default();
        *attempt = status.run.attempt.max(*attempt);
    }
    Ok(attempts)
}
