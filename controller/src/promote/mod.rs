//! Carrying out promotions: look at the world, ask the planner what comes next, do it, write it down; again and again.
//!
//! One lease a model: whoever holds it is the only one to move its champion. Every write is one transaction, and
//! whatever a crash leaves undone is found and done by whoever comes next.

mod ask;
mod data;
mod line;
mod measure;
mod metadata;
mod propose;
mod servers;
mod stop;
mod telemetry;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use controller_core::ports::PromotionQuery;
use controller_core::promotion::{Promotion, PromotionId, Serving, WaitsFor};
use tokio::sync::watch::Receiver;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::warn;

use crate::world::World;
use servers::Servers;

pub(crate) use line::{PromoteError, carry_on};
pub(crate) use metadata::{record_all, record_now};
pub(crate) use propose::{by_hand, of_completed, rollback};
pub(crate) use stop::stop;
pub(crate) use watch::{Taken, WatchError, counted, feedback, known, look, watch_all};

/// How often new promotions and wishes are looked for.
const TICK: Duration = Duration::from_millis(250);

/// How often servers of models that nobody promotes are looked after.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Carries out all promotions that are open, and those that come, until `shutdown` turns true.
pub(crate) async fn promote_all(world: &World, mut shutdown: Receiver<bool>) {
    let mut known = BTreeSet::new();
    let mut under_way: BTreeSet<PromotionId> = BTreeSet::new();
    let mut tasks: HashMap<Id, PromotionId> = HashMap::new();
    let mut lines: JoinSet<(PromotionId, Result<Promotion, PromoteError>)> = JoinSet::new();
    let mut tend_at = Instant::now();
    loop {
        if Instant::now() >= tend_at {
            if let Err(error) = tend_all(world).await {
                warn!(%error, "servers of models cannot be looked after");
            }
            tend_at = Instant::now() + TEND_EVERY;
        }
        if let Err(error) = propose::all_completed(world, &mut known).await {
            warn!(%error, "winners cannot be looked for");
        }
        match needed(world).await {
            Ok(needed) => {
                for id in needed {
                    if under_way.insert(id) {
                        let world = world.clone();
                        let line = lines.spawn(async move { (id, carry_on(&world, id).await) });
                        tasks.insert(line.id(), id);
                    }
                }
            }
            Err(error) => warn!(%error, "promotions cannot be listed"),
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            Some(ended) = lines.join_next_with_id(), if !lines.is_empty() => match ended {
                Ok((task, (id, result))) => {
                    tasks.remove(&task);
                    under_way.remove(&id);
                    if let Err(error) = result {
                        warn!(%error, id = id.0, "a promotion waits and is tried again");
                        tokio::time::sleep(TICK).await;
                    }
                }
                Err(error) => {
                    warn!(%error, "a promotion broke off");
                    if let Some(id) = tasks.remove(&error.id()) {
                        under_way.remove(&id);
                    }
                }
            },
            () = world.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    lines.shutdown().await;
}

/// Looks after the servers of all models whose lease nobody has; whoever has it looks after them too. What fails of one
/// model is said, and keeps nobody from the others.
async fn tend_all(world: &World) -> Result<(), PromoteError> {
    for serving in world.promotions.all_serving().await? {
        if serving.cluster == world.cluster
            && let Err(error) = tend_one(world, &serving).await
        {
            warn!(%error, model = serving.model, "servers of a model cannot be looked after");
        }
    }
    Ok(())
}

async fn tend_one(world: &World, serving: &Serving) -> Result<(), PromoteError> {
    let Serving { cluster, namespace, model, .. } = serving;
    let mut servers = Servers::new(world);
    if !servers.is_needed(serving).await? {
        return Ok(());
    }
    let of = Promotion {
        cluster: cluster.clone(),
        namespace: namespace.clone(),
        model: model.clone(),
        ..Promotion::default()
    };
    if let Some(lease) = world.store.acquire(of.lease(), &world.holder).await? {
        let tended = servers.tend(&lease, namespace, model, None).await;
        world.store.release(&lease).await?;
        tended?;
    }
    Ok(())
}

/// Open promotions for which there is something to do: one that waits for a person or its turn is left until there is a
/// wish, a newer one, its turn, or its time is over.
async fn needed(world: &World) -> Result<Vec<PromotionId>, PromoteError> {
    let open = world.promotions.promotions(&PromotionQuery { open: true, ..Default::default() }).await?;
    let mut needed = Vec::new();
    for promotion in open.iter().filter(|promotion| promotion.cluster == world.cluster) {
        let waits_for = promotion.waits_for();
        if waits_for.is_none_or(|what| what == WaitsFor::Bake)
            || (waits_for == Some(WaitsFor::Turn) && line::serving_older(&open, promotion).is_none())
            || line::newer(&open, promotion).is_some()
            || promotion.approval_ends().is_some_and(|end| end <= world.clock.now())
            || !world.promotions.wishes_of_promotion(promotion.id).await?.is_empty()
        {
            needed.push(promotion.id);
        }
    }
    Ok(needed)
}
