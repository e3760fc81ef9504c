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
mod log;
mod models;
mod prepare;
mod recover;
mod reports;
mod telling;
#[cfg(test)]
mod tests;
mod wished;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentStatus, Hold, Living};
use controller_core::plan::{Snapshot, plan};
use controller_core::ports::{Batch, Lease, StoreError, Wish};
use controller_core::run::{RunId, RunStatus};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span, warn};

use crate::fault::caught;
use crate::world::World;
use costs::{Costs, For};

pub(crate) use ask::refusal;
pub(crate) use error::DriverError;
pub(crate) use recover::recover;
pub(crate) use telling::telling;
pub(crate) use wished::Wished;

/// How long a driver sleeps at most before it looks for wishes of other processes and at limits of time.
const TICK: Duration = Duration::from_millis(250);
/// How long a driver waits after a failure before it loads anew; doubled up to the maximum, until it went well for longer than that.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The longest such wait.
const MAX_BACK_OFF: Duration = Duration::from_secs(10);
/// How often in a row a driver may break off through a fault of its own.
const MAX_FAULTS: u32 = 5;
/// How often everything a run could have missed to say is listed.
const RELIST: Duration = Duration::from_secs(5);

/// Drives one experiment until it is completed, deleted, or stopped with nothing running; waits while somebody else
/// drives it. Failures that may pass (a database gone, a suggestion service not answering) are waited for.
///
/// # Errors
/// If the experiment does not exist or its record cannot be understood.
pub(crate) async fn drive(world: &World, id: ExperimentId) -> Result<ExperimentStatus, DriverError> {
    // A store that does not answer now is waited for below.
    let record = world.store.experiment_by_id(id).await.ok().flatten();
    let (experiment, namespace) = record.map(|record| (record.name, record.namespace)).unzip();
    let span = info_span!("experiment", experiment, namespace);
    persist(world, id).instrument(span).await
}

/// Leads it again and again, as long as what ends a lead may pass.
async fn persist(world: &World, id: ExperimentId) -> Result<ExperimentStatus, DriverError> {
    let (mut back_off, mut faults) = (BACK_OFF, 0);
    loop {
        let outcome = match acquire(world, id).await {
            Ok(Some(lease)) => {
                let begun = Instant::now();
                let result = caught(lead(world, &lease)).await;
                if let Err(error) = world.store.release(&lease).await {
                    warn!(%error, "the lease could not be given back");
                }
                if begun.elapsed() > MAX_BACK_OFF {
                    (back_off, faults) = (BACK_OFF, 0);
                }
                faults += u32::from(matches!(result, Err(DriverError::Fault(_))));
                result
            }
            Ok(None) => return Ok(world.store.status(id).await?),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(status) => return Ok(status),
            Err(error) if error.may_pass() && faults < MAX_FAULTS => {
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
    // Experiments that go on do not wait for it.
    let mut looks_back = pin!(left_behind(world).fuse());
    let mut left = BTreeSet::new();
    let mut drivers: JoinSet<(ExperimentId, Result<ExperimentStatus, DriverError>)> = JoinSet::new();
    loop {
        match tokio::try_join!(world.store.experiments(), world.store.wished()) {
            Ok((experiments, wished)) => {
                let ours = experiments.iter().filter(|living| living.record.cluster == world.cluster);
                for Living { record, status } in ours.map(AsRef::as_ref) {
                    let id = record.id;
                    let needed = left.remove(&id) || needs_driver(world, id, status, &wished).await;
                    if needed && driven.insert(id) {
                        let world = world.clone();
                        drivers.spawn(async move { (id, drive(&world, id).await) });
                    }
                }
            }
            Err(error) => warn!(%error, "experiments cannot be listed"),
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            owners = &mut looks_back => left = owners,
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
    let owners = world.executor.owners().await;
    owners.inspect_err(|error| warn!(%error, "runs cannot be listed")).unwrap_or_default()
}

/// Whether there is anything to do: it goes on, or somebody wishes something of it; who has wishes is in `wished`.
async fn needs_driver(
    world: &World,
    id: ExperimentId,
    status: &ExperimentStatus,
    wished: &BTreeSet<ExperimentId>,
) -> bool {
    if !is_left(status) || !wished.contains(&id) {
        return !is_left(status);
    }
    let open = world.store.open_wishes(id).await;
    open.is_ok_and(|open| open.iter().any(|stored| calls(status, &stored.wish)))
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
    /// Runs that could not be begun so far.
    not_begun: BTreeMap<RunId, act::NotBegun>,
    /// What is done beside it.
    deeds: act::Deeds,
    /// Runs that no trial waits for any more.
    strays: Vec<RunId>,
    /// Runs that were told to stop.
    stopping: BTreeSet<RunId>,
    /// The stops under way: which run, and whether it is gone.
    stops: JoinSet<(RunId, bool)>,
    /// How far reports have been read.
    read: reports::Read,
    /// When wishes were last looked for.
    wishes_at: Option<Instant>,
    /// After a question that was not answered: when to ask again, and how long to wait after the next failure.
    ask_again: Option<(Instant, Duration)>,
    /// When a beaten model could last not be removed.
    removed_at: BTreeMap<study::TrialIdx, Instant>,
    /// When a useless checkpoint could last not be removed.
    kept_at: BTreeMap<study::TrialIdx, Instant>,
    /// Where its time went.
    costs: Costs,
}

async fn lead(world: &World, lease: &Lease) -> Result<ExperimentStatus, DriverError> {
    let changes = world.executor.watch(lease.experiment);
    let (snapshot, asker) = load::load(world, lease).await?;
    let mut driver = Driver {
        world,
        lease,
        snapshot,
        asker,
        said: BTreeMap::new(),
        changes,
        not_begun: BTreeMap::new(),
        deeds: act::Deeds::default(),
        strays: Vec::new(),
        stopping: BTreeSet::new(),
        stops: JoinSet::new(),
        read: reports::Read::default(),
        wishes_at: None,
        ask_again: None,
        removed_at: BTreeMap::new(),
        kept_at: BTreeMap::new(),
        costs: Costs::default(),
    };
    let led = driver.run().await;
    driver.deeds.settle().await;
    led
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<ExperimentStatus, DriverError> {
        self.relist().await?;
        let mut relisted = Instant::now();
        loop {
            let begun = Instant::now();
            self.turn().await?;
            self.world.meters.turns.add(begun.elapsed());
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
            self.plan(&mut batch);
            let (written, deleted) = (self.commit(&batch).await?, batch.delete);
            if deleted {
                return Ok(());
            }
            if !written && self.ends_runs() {
                // Runs that are not known here may be those of whoever leads since this process slept.
                self.world.store.commit(self.lease, &Batch::default()).await?;
            }
            let begun = Instant::now();
            self.act();
            self.costs.add(For::Acting, begun);
            batch = Batch::default();
            let begun = Instant::now();
            let decided_at = self.snapshot.decided_at;
            if let Some(answered) = self.ask(&mut batch).await? {
                self.snapshot = answered;
            }
            let decided = self.snapshot.decided_at != decided_at;
            self.costs.add(For::Asking, begun);
            if !(written || decided) && batch == Batch::default() {
                return Ok(());
            }
        }
    }

    /// Changes in the snapshot everything that is to be changed now, which goes into the batch.
    fn plan(&mut self, batch: &mut Batch) {
        let now = self.world.clock.now();
        while !batch.delete {
            let actions = plan(now, &self.snapshot);
            if actions.is_empty() {
                break;
            }
            for action in actions {
                debug!(?action, "planned");
                self.snapshot.apply(now, action, batch);
            }
        }
    }

    /// Writes a batch, if there is anything in it; returns whether there was.
    async fn commit(&mut self, batch: &Batch) -> Result<bool, StoreError> {
        let changed = *batch != Batch::default();
        if changed {
            let begun = Instant::now();
            self.world.store.commit(self.lease, batch).await?;
            self.costs.add(For::Storing, begun);
            log::tell(&self.snapshot, batch);
            self.asker.heard(&batch.events);
            if batch.experiment.is_some() {
                // The study is another, by its budget: whoever answers does not know it.
                self.asker = ask::Asker::new(self.world, &self.snapshot.record, &self.snapshot.study);
                self.snapshot.decided_at = self.snapshot.decided_at.map(|_| 0);
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
        let tidy = self.snapshot.finished.is_empty()
            && self.strays.is_empty()
            && self.stops.is_empty()
            && self.deeds.removing.is_empty();
        idle && tidy && (over || held)
    }

    /// Waits until something may have changed.
    async fn wait(&mut self) -> Result<(), DriverError> {
        let mut tick = pin!(tokio::time::sleep(TICK));
        loop {
            tokio::select! {
                change = self.changes.next() => {
                    if let Some(status) = change {
                        self.hear(status);
                        self.hear_all_at_hand();
                    } else {
                        self.changes = self.world.executor.watch(self.lease.experiment);
                        self.relist().await?;
                    }
                }
                done = self.deeds.next() => self.take_in(done)?,
                () = self.world.wake.notified() => {
                    let (store, id) = (&*self.world.store, self.lease.experiment);
                    let is_wished = self.world.wished.of(store, id, Duration::ZERO).await?;
                    // It may be about another experiment.
                    if !is_wished && self.snapshot.watch.is_none() {
                        continue;
                    }
                    self.wishes_at = None;
                }
                () = &mut tick => {}
            }
            return Ok(());
        }
    }
}
