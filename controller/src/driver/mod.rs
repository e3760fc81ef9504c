//! The experiment controller: loads a snapshot, plans, writes intentions, acts, saves; again and again.
//!
//! One [`Driver`] an experiment, and one lease: whoever holds it is the only one to write the experiment's log. Events
//! from outside only say "look again"; what is found then decides. Every write is one transaction, and whatever a crash
//! leaves undone is found and done by the next turn.

mod act;
mod ask;
mod costs;
mod error;
mod gather;
mod load;
mod prepare;
mod telling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentStatus, Hold};
use controller_core::plan::{Snapshot, plan};
use controller_core::ports::{Batch, Lease, StoreError, Wish};
use controller_core::run::{RunId, RunStatus};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use study::TrialIdx;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::world::World;
use costs::{Costs, For};

pub(crate) use ask::refusal;
pub(crate) use error::DriverError;
pub(crate) use telling::telling;

/// How long a driver sleeps at most before it looks for wishes of other processes and at limits of time.
const TICK: Duration = Duration::from_millis(250);
/// How long a driver waits after a failure before it loads anew; doubled up to the maximum, until it went well for longer than that.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The longest such wait.
const MAX_BACK_OFF: Duration = Duration::from_secs(10);
/// How often everything a run could have missed to say is listed.
const RELIST: Duration = Duration::from_secs(5);

/// Drives one experiment until it is completed, deleted, or stopped with nothing running; waits while somebody else
/// drives it. Failures that may pass (a database gone, a suggestion service not answering) are waited for.
///
/// # Errors
/// If the experiment does not exist or its record cannot be understood.
pub(crate) async fn drive(world: &World, id: ExperimentId) -> Result<ExperimentStatus, DriverError> {
    let mut back_off = BACK_OFF;
    loop {
        let outcome = match acquire(world, id).await {
            Ok(Some(lease)) => {
                let begun = Instant::now();
                let result = lead(world, &lease).await;
                if let Err(error) = world.store.release(&lease).await {
                    warn!(%error, "the lease could not be given back");
                }
                if begun.elapsed() > MAX_BACK_OFF {
                    back_off = BACK_OFF;
                }
                result
            }
            Ok(None) => return Ok(world.store.status(id).await?),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(status) => return Ok(status),
            Err(error) if error.may_pass() => {
                warn!(%error, "the experiment waits and is loaded anew");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(MAX_BACK_OFF);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Drives all experiments that are not completed, and those that come, until `shutdown` turns true.
pub(crate) async fn drive_all(world: &World, mut shutdown: watch::Receiver<bool>) {
    let mut driven: BTreeSet<ExperimentId> = BTreeSet::new();
    let mut left = left_behind(world).await;
    let mut drivers: JoinSet<(ExperimentId, Result<ExperimentStatus, DriverError>)> = JoinSet::new();
    loop {
        match world.store.experiments().await {
            Ok(experiments) => {
                let ours = experiments.into_iter().filter(|(record, _)| record.cluster == world.cluster);
                for (record, status) in ours {
                    let needed = left.remove(&record.id) || needs_driver(world, record.id, &status).await;
                    if needed && driven.insert(record.id) {
                        let world = world.clone();
                        drivers.spawn(async move { (record.id, drive(&world, record.id).await) });
                    }
                }
            }
            Err(error) => warn!(%error, "experiments cannot be listed"),
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            Some(ended) = drivers.join_next(), if !drivers.is_empty() => match ended {
                Ok((id, Ok(_))) => { driven.remove(&id); }
                Ok((id, Err(error))) => warn!(%error, id = id.0, "an experiment cannot be driven"),
                Err(error) => warn!(%error, "a driver broke off"),
            },
            () = world.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    drivers.shutdown().await;
}

/// Experiments with runs that nobody has forgotten, such as of a driver that broke off right after its last word.
async fn left_behind(world: &World) -> BTreeSet<ExperimentId> {
    match world.executor.list().await {
        Ok(runs) => runs.into_iter().map(|status| status.run.experiment).collect(),
        Err(error) => {
            warn!(%error, "runs cannot be listed");
            BTreeSet::new()
        }
    }
}

/// Whether there is anything to do: it goes on, or somebody wishes something of it.
async fn needs_driver(world: &World, id: ExperimentId, status: &ExperimentStatus) -> bool {
    if !is_left(status) {
        return true;
    }
    world
        .store
        .open_wishes(id)
        .await
        .is_ok_and(|wishes| wishes.iter().any(|stored| calls(status, &stored.wish)))
}

/// Whether nothing happens to an experiment without a wish.
fn is_left(status: &ExperimentStatus) -> bool {
    let counters = &status.counters;
    if status.is_completed() {
        counters.active() == 0
    } else {
        status.hold != Hold::Free && counters.running == 0
    }
}

/// Whether a wish is taken though the experiment is left: the points of one that is held wait on.
fn calls(status: &ExperimentStatus, wish: &Wish) -> bool {
    status.is_completed() || status.hold == Hold::Deleting || !wish.is_point()
}

/// Takes the lease, waiting for whoever has it; `None` if the experiment is completed meanwhile.
async fn acquire(world: &World, id: ExperimentId) -> Result<Option<Lease>, DriverError> {
    let mut said = false;
    loop {
        if let Some(lease) = world.store.acquire(id, &world.holder).await? {
            return Ok(Some(lease));
        }
        if !said {
            let holder = world.store.holder(id).await?.unwrap_or_else(|| "somebody else".into());
            warn!(holder, "the experiment is driven by another process; waiting for it");
            said = true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if world.store.status(id).await?.is_completed() {
            return Ok(None);
        }
    }
}

/// What a driver holds while it leads an experiment.
struct Driver<'a> {
    world: &'a World,
    lease: &'a Lease,
    snapshot: Snapshot,
    asker: ask::Asker,
    /// What the executor last said of each run of this experiment.
    said: BTreeMap<RunId, RunStatus>,
    changes: BoxStream<'static, RunStatus>,
    /// Why runs could not be begun so far, as it was last said.
    not_begun: BTreeMap<TrialIdx, String>,
    /// Runs that no trial waits for any more.
    strays: Vec<RunId>,
    /// Runs that were told to stop.
    stopping: BTreeSet<RunId>,
    /// The stops under way: which run, and whether it is gone.
    stops: JoinSet<(RunId, bool)>,
    /// When wishes were last looked for.
    wishes_at: Option<Instant>,
    /// After a question that was not answered: when to ask again, and how long to wait after the next failure.
    ask_again: Option<(Instant, Duration)>,
    /// Where its time went.
    costs: Costs,
}

async fn lead(world: &World, lease: &Lease) -> Result<ExperimentStatus, DriverError> {
    let changes = world.executor.watch();
    let (snapshot, asker) = load::load(world, lease).await?;
    let mut driver = Driver {
        world,
        lease,
        snapshot,
        asker,
        said: BTreeMap::new(),
        changes,
        not_begun: BTreeMap::new(),
        strays: Vec::new(),
        stopping: BTreeSet::new(),
        stops: JoinSet::new(),
        wishes_at: None,
        ask_again: None,
        costs: Costs::default(),
    };
    driver.relist().await?;
    driver.run().await
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<ExperimentStatus, DriverError> {
        let mut relisted = Instant::now();
        loop {
            self.turn().await?;
            if self.is_at_rest() {
                self.costs.tell(&self.snapshot.record.name);
                return Ok(self.snapshot.status.clone());
            }
            if relisted.elapsed() > RELIST {
                self.relist().await?;
                relisted = Instant::now();
            }
            let begun = Instant::now();
            self.wait().await?;
            self.costs.add(For::Waiting, begun);
        }
    }

    /// One turn: gather, plan, write, act, ask; again until nothing comes of it. Answers are written together with what
    /// has happened meanwhile, so that a round is one write. Until then the snapshot is ahead of the store, and nothing
    /// is acted upon; a write that fails ends this driver, and the next one asks the same again.
    async fn turn(&mut self) -> Result<(), DriverError> {
        let mut batch = Batch::default();
        loop {
            let begun = Instant::now();
            self.gather().await?;
            self.costs.add(For::Gathering, begun);
            self.snapshot = self.planned(self.snapshot.clone(), &mut batch);
            let (written, deleted) = (self.commit(&batch).await?, batch.delete);
            if deleted {
                return Ok(());
            }
            let begun = Instant::now();
            let acted = self.act().await?;
            self.costs.add(For::Acting, begun);
            batch = Batch::default();
            let begun = Instant::now();
            self.snapshot = self.ask(&mut batch).await?;
            self.costs.add(For::Asking, begun);
            if !(written || acted) && batch == Batch::default() {
                return Ok(());
            }
        }
    }

    /// The snapshot after everything that is to be changed now, which goes into the batch.
    fn planned(&self, mut snapshot: Snapshot, batch: &mut Batch) -> Snapshot {
        let now = self.world.clock.now();
        while !batch.delete {
            let actions = plan(now, &snapshot);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                debug!(experiment = snapshot.record.name, ?action, "planned");
                snapshot.apply(now, action, batch);
            }
        }
        snapshot
    }

    /// Writes a batch, if there is anything in it; returns whether there was.
    async fn commit(&mut self, batch: &Batch) -> Result<bool, StoreError> {
        let changed = *batch != Batch::default();
        if changed {
            let begun = Instant::now();
            self.world.store.commit(self.lease, batch).await?;
            self.costs.add(For::Storing, begun);
            self.asker.heard(&batch.events);
            if batch.experiment.is_some() {
                // The study is another, by its budget: whoever answers does not know it.
                self.asker = ask::Asker::new(self.world, &self.snapshot.record, &self.snapshot.study);
            }
        }
        Ok(changed)
    }

    /// Whether nothing will happen without a wish.
    fn is_at_rest(&self) -> bool {
        let idle = !self.snapshot.runs.values().any(|view| *view != controller_core::plan::RunView::Unborn);
        let status = &self.snapshot.status;
        let over = status.is_completed() && self.snapshot.active.is_empty();
        let held = !status.is_completed() && status.hold != Hold::Free;
        let tidy = self.snapshot.finished.is_empty() && self.strays.is_empty() && self.stops.is_empty();
        idle && tidy && (over || held)
    }

    /// Waits until something may have changed.
    async fn wait(&mut self) -> Result<(), DriverError> {
        tokio::select! {
            change = self.changes.next() => {
                if let Some(status) = change {
                    self.hear(status);
                    self.hear_all_at_hand();
                } else {
                    self.changes = self.world.executor.watch();
                    self.relist().await?;
                }
            }
            () = self.world.wake.notified() => self.wishes_at = None,
            () = tokio::time::sleep(TICK) => {}
        }
        Ok(())
    }
}
