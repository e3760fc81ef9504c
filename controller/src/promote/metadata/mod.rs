//! Telling others what became champion: each target has a line of records, told in order, one at a time, until the target
//! has them. No promotion waits for that.
//!
//! One lease a line: whoever holds it is the only one to tell its target, so nothing is looked up by two at once. What a
//! crash leaves undone is looked up by its key and done by whoever comes next. A new kind of target is a file beside
//! [`mlflow`] and a line in [`target_of`].

mod fitted;
mod mlflow;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{Measured, ObservationQuery, RecordTarget, StoreError, TargetError};
use controller_core::promotion::metadata::{lease_of_line, pause};
use controller_core::promotion::{Candidate, Delivery, Record, Standing, Target};
use controller_core::time::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::world::World;
use mlflow::Mlflow;

/// How often lines are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Pauses as long as after so many failures, for a target that a person has to open.
const AS_IF_FAILED: u32 = 16;

/// Tells all targets what waits for them, and what comes to wait, until `shutdown` turns true.
pub(crate) async fn record_all(world: &World, mut shutdown: watch::Receiver<bool>) {
    let mut under_way: BTreeSet<String> = BTreeSet::new();
    let mut rests_until: BTreeMap<String, Instant> = BTreeMap::new();
    let mut tasks: HashMap<Id, String> = HashMap::new();
    let mut tellers: JoinSet<Result<Told, StoreError>> = JoinSet::new();
    loop {
        match world.outbox.lines().await {
            Ok(lines) => {
                rests_until.retain(|target, _| lines.contains(target));
                let due = |target: &String| rests_until.get(target).is_none_or(|end| *end <= Instant::now());
                for target in lines.into_iter().filter(due) {
                    if under_way.insert(target.clone()) {
                        let (world, line) = (world.clone(), target.clone());
                        let teller = tellers.spawn(async move { tell(&world, &line).await });
                        tasks.insert(teller.id(), target);
                    }
                }
            }
            Err(error) => warn!(%error, "what is to be recorded elsewhere cannot be read"),
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            Some(ended) = tellers.join_next_with_id(), if !tellers.is_empty() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                let Some(target) = tasks.remove(&id) else { continue };
                under_way.remove(&target);
                let rest = match ended {
                    Ok((_, Ok(told))) => told.rest,
                    Ok((_, Err(error))) => {
                        warn!(%error, target, "the store does not let records be told");
                        pause(1, None, &target)
                    }
                    Err(error) => {
                        warn!(%error, target, "telling a target broke off");
                        pause(AS_IF_FAILED, None, &target)
                    }
                };
                rests_until.insert(target, Instant::now() + rest);
            }
            () = tokio::time::sleep(TICK) => {}
        }
    }
    tellers.shutdown().await;
}

/// Tells all targets once what waits for them, for a command that ends afterwards. Returns who does not have everything
/// then, with why.
pub(crate) async fn record_now(world: &World, within: Duration) -> Result<Vec<(String, String)>, StoreError> {
    let mut tellers = JoinSet::new();
    for target in world.outbox.lines().await? {
        let world = world.clone();
        tellers.spawn(async move {
            let told = tokio::time::timeout(within, tell(&world, &target)).await;
            let late = |_| format!("it has not answered within {within:?}");
            (target, told.map_err(late))
        });
    }
    let mut left = Vec::new();
    while let Some(ended) = tellers.join_next().await {
        match ended {
            Ok((target, Ok(Ok(Told { left: Some(why), .. })) | Err(why))) => left.push((target, why)),
            Ok((_, Ok(Ok(_)))) => {}
            Ok((_, Ok(Err(error)))) => return Err(error),
            Err(error) => warn!(%error, "telling a target broke off"),
        }
    }
    left.sort();
    Ok(left)
}

/// How far a target was told.
#[derive(Debug, Default)]
struct Told {
    /// Why something still waits for it.
    left: Option<String>,
    /// How long it is left alone.
    rest: Duration,
}

/// Tells a target what waits for it, in order, until nothing does or it takes no more.
async fn tell(world: &World, target: &str) -> Result<Told, StoreError> {
    let Some(lease) = world.store.acquire(lease_of_line(target), &world.holder).await? else {
        return Ok(Told { left: Some("another Cairn tells it".into()), rest: TICK });
    };
    let told = async {
        while let Some(queued) = world.outbox.first(target).await? {
            let version = &queued.record.version;
            let measured = measured(world, &version.namespace, &version.candidate).await?;
            let outcome = target_of(world, &queued.record.target).deliver(&queued.record, &measured).await;
            let now = world.clock.now();
            let (delivery, stops) =
                judged(queued.delivery.tries, outcome, now, &format!("{} {target}", world.holder));
            say(target, &queued.record, &delivery);
            world.outbox.delivered(&lease, target, queued.seq, &delivery).await?;
            if let Some(rest) = stops {
                return Ok(Told { left: Some(delivery.error), rest });
            }
        }
        Ok(Told::default())
    }
    .await;
    if let Err(error) = world.store.release(&lease).await {
        warn!(%error, "the lease could not be given back");
    }
    told
}

/// What has come of a record with this outcome after so many tries, and how long its line rests, if it does.
fn judged(
    tries: u32,
    outcome: Result<(), TargetError>,
    at: Timestamp,
    whose: &str,
) -> (Delivery, Option<Duration>) {
    let Err(error) = outcome else {
        return (Delivery { standing: Standing::Delivered, tries, error: String::new(), at }, None);
    };
    let tries = tries.saturating_add(1);
    let (standing, rest) = match &error {
        TargetError::Away { after, .. } => (Standing::Queued, Some(pause(tries, *after, whose))),
        TargetError::Closed(_) => (Standing::Queued, Some(pause(AS_IF_FAILED, None, whose))),
        TargetError::Refused(_) => (Standing::Refused, None),
    };
    (Delivery { standing, tries, error: error.to_string(), at }, rest)
}

fn say(target: &str, record: &Record, delivery: &Delivery) {
    let (model, version) = (&record.version.model, record.version.number);
    match delivery.standing {
        Standing::Delivered => info!(target, model, version, "recorded"),
        Standing::Queued => {
            warn!(
                target,
                model,
                version,
                reason = delivery.error,
                tries = delivery.tries,
                "not recorded yet"
            );
        }
        Standing::Refused => {
            warn!(target, model, version, reason = delivery.error, "refused, and not told again");
        }
    }
}

/// Who stands behind a target.
fn target_of(world: &World, target: &Target) -> Box<dyn RecordTarget> {
    match target {
        Target::Mlflow { uri, registry } => Box::new(Mlflow::new(uri, *registry, world.clock.clone())),
    }
}

/// What the store knows of the trial behind a version; nothing once its experiment is erased.
async fn measured(world: &World, namespace: &str, candidate: &Candidate) -> Result<Measured, StoreError> {
    let is_it = |record: &ExperimentRecord| record.uid == candidate.experiment_uid;
    let record = match world.store.experiment(namespace, &candidate.experiment).await?.filter(is_it) {
        Some(record) => Some(record),
        None => world.store.deleted().await?.into_iter().find(is_it),
    };
    let Some(record) = record else { return Ok(Measured::default()) };
    let Some(trial) = world.store.trial(record.id, candidate.trial).await? else {
        return Ok(Measured::default());
    };
    let query = ObservationQuery { trial: Some(candidate.trial), ..ObservationQuery::default() };
    let mut values = world.store.observations(record.id, &query).await?;
    // Attempts that were lost count no more than they did for the search.
    values.retain(|value| value.attempt == trial.attempt || trial.waited.contains(&value.attempt));
    Ok(Measured { started: trial.started, ended: trial.ended, values })
}
