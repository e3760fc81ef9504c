//! Ending the servers of a model, for a person.

use std::time::Duration;

use controller_core::ports::Lease;
use controller_core::promotion::{Deed, Promotion};
use tokio::time::Instant;

use super::PromoteError;
use super::servers::Servers;
use crate::world::World;

/// How long somebody else may be changing the model meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether the last request has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Ends the servers of a model once their last requests have ended; the champion stays on record. Whether it could:
/// somebody else may be changing the model.
pub(crate) async fn stop(
    world: &World,
    namespace: &str,
    model: &str,
    by: &str,
    reason: &str,
) -> Result<bool, PromoteError> {
    let of = Promotion {
        cluster: world.cluster.clone(),
        namespace: namespace.to_owned(),
        model: model.to_owned(),
        ..Promotion::default()
    };
    let give_up = Instant::now() + PATIENCE;
    let lease = loop {
        if let Some(lease) = world.store.acquire(of.lease(), &world.holder).await? {
            break lease;
        }
        if Instant::now() >= give_up {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let stopped = under(world, &lease, &of, by, reason).await;
    world.store.release(&lease).await?;
    stopped.map(|()| true)
}

async fn under(
    world: &World,
    lease: &Lease,
    of: &Promotion,
    by: &str,
    reason: &str,
) -> Result<(), PromoteError> {
    let Promotion { namespace, model, .. } = of;
    let Some(mut serving) = world.promotions.serving(namespace, model).await? else { return Ok(()) };
    let promotion = serving.main().map_or(0, |main| main.promotion);
    let now = world.clock.now();
    serving.stop(now, promotion);
    world.promotions.keep_serving(lease, &serving).await?;
    let deed = Deed {
        at: now,
        actor: by.to_owned(),
        namespace: namespace.clone(),
        model: model.clone(),
        promotion,
        deed: "stopped".into(),
        detail: reason.to_owned(),
    };
    world.promotions.note(&deed).await?;
    let mut servers = Servers::new(world);
    while !servers.tend(lease, namespace, model, None).await?.serving.deployments.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
