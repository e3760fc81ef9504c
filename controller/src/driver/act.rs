//! Doing what a snapshot says the world should do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use controller_core::plan::{Effect, RunView, effects};
use controller_core::ports::ExecutorError;
use controller_core::run::{Exit, RunEnd, RunId, RunPhase, RunStatus, STARTING};
use futures::FutureExt as _;
use study::TrialIdx;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, warn};

use super::models::Removed;
use super::{Driver, DriverError, prepare};

/// How long a run may take to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(10);
/// After how long a run that could not be begun is tried again: first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What has come of something that was done beside the driver.
pub(super) enum Done {
    /// Whether a run exists.
    Ensured(RunId, Result<(), ExecutorError>),
    /// Whether a run is forgotten.
    Forgotten(RunId, Result<(), ExecutorError>),
    /// Whether the model of a trial is gone.
    Removed(TrialIdx, Removed),
    /// Whether the checkpoint of a trial is gone.
    LetGo(TrialIdx, Removed),
    /// Something of which no more is to be heard.
    Tidied,
}

/// Why a run could not be begun so far.
pub(super) struct NotBegun {
    /// As it was last said.
    reason: String,
    /// When it is tried again.
    again: Instant,
    /// How long that was waited for.
    wait: Duration,
}

/// What is done beside the driver, so that nothing waits for the slowest: each run's own task, for one thing at a time.
#[derive(Default)]
pub(super) struct Deeds {
    tasks: JoinSet<Done>,
    ensuring: BTreeSet<RunId>,
    forgetting: BTreeSet<RunId>,
    /// Trials whose models or checkpoints are being removed, one thing of each at a time.
    pub(super) removing: BTreeSet<TrialIdx>,
}

impl Deeds {
    /// Begins one.
    pub(super) fn spawn(&mut self, deed: impl Future<Output = Done> + Send + 'static) {
        self.tasks.spawn(deed.in_current_span());
    }

    /// Waits for one to be done; for ever if there is none.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => return done,
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// One that is done already.
    fn at_hand(&mut self) -> Option<Done> {
        self.next().now_or_never()
    }

    /// Waits for those under way, of which nobody hears any more.
    pub(super) async fn settle(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Driver<'_> {
    /// Whether a run is to be ended, or taken away, that so far is not.
    pub(super) fn ends_runs(&self) -> bool {
        let is_end = |effect: &Effect| match effect {
            Effect::Stop(run) => !self.stopping.contains(run),
            Effect::Forget(run) => !self.deeds.forgetting.contains(run),
            _ => false,
        };
        !self.strays.is_empty() || effects(&self.snapshot).iter().any(is_end)
    }

    /// Begins to carry out all effects but questions.
    pub(super) fn act(&mut self) {
        self.hear_stopped();
        for run in std::mem::take(&mut self.strays) {
            self.stop(run);
        }
        for effect in effects(&self.snapshot) {
            match effect {
                Effect::Ensure(trial) => self.ensure(trial),
                Effect::Stop(run) => self.stop(run),
                Effect::Forget(run) => self.forget(run),
                Effect::RemoveModel(trial) => self.remove_model(trial),
                Effect::RemoveCheckpoint(trial) => self.remove_checkpoint(trial),
                Effect::Ask(_) => {}
            }
        }
    }

    /// Takes in what has been done meanwhile.
    ///
    /// # Errors
    /// If a run could not be forgotten.
    pub(super) fn hear_done(&mut self) -> Result<(), DriverError> {
        while let Some(done) = self.deeds.at_hand() {
            self.take_in(done)?;
        }
        Ok(())
    }

    /// Takes in that something has been done.
    ///
    /// # Errors
    /// If it is a run that could not be forgotten.
    pub(super) fn take_in(&mut self, done: Done) -> Result<(), DriverError> {
        match done {
            Done::Ensured(run, ensured) => {
                self.deeds.ensuring.remove(&run);
                self.ensured(run, ensured);
            }
            Done::Forgotten(run, forgotten) => {
                self.deeds.forgetting.remove(&run);
                forgotten?;
                self.snapshot.finished.retain(|finished| *finished != run);
                self.said.remove(&run);
                self.not_begun.remove(&run);
                self.read.forget(&run);
                self.stopping.remove(&run);
                self.forget_checkpoints(run);
            }
            Done::Removed(idx, removed) => self.removed(idx, removed),
            Done::LetGo(idx, removed) => self.let_go(idx, removed),
            Done::Tidied => {}
        }
        Ok(())
    }

    /// Begins to see to it that the newest run of a trial exists, unless that is under way or as many are as may be.
    fn ensure(&mut self, idx: TrialIdx) {
        let Some(trial) = self.snapshot.active.get(&idx) else { return };
        let id = self.snapshot.run_id(trial);
        let waits = self.not_begun.get(&id).is_some_and(|it| it.again > Instant::now());
        let full = self.deeds.ensuring.len() >= self.world.executor.at_once();
        if waits || full || !self.deeds.ensuring.insert(id) {
            return;
        }
        let executor = Arc::clone(&self.world.executor);
        let run = prepare::run(&self.snapshot, trial);
        let ensured = async move {
            match run {
                Ok(run) => Done::Ensured(id, executor.ensure(&run).await),
                Err(problem) => Done::Ensured(id, Err(ExecutorError::Refused(problem))),
            }
        };
        self.deeds.spawn(ensured);
    }

    /// Takes in whether a run exists.
    fn ensured(&mut self, id: RunId, ensured: Result<(), ExecutorError>) {
        let idx = id.trial;
        let Some(trial) = self.snapshot.active.get(&idx) else { return };
        // It may have been seen already, and ended.
        let awaited = self.snapshot.runs.get(&idx) == Some(&RunView::Intended);
        if !awaited || self.snapshot.run_id(trial) != id {
            return;
        }
        match ensured {
            Ok(()) => {
                self.not_begun.remove(&id);
                self.snapshot.runs.insert(idx, RunView::Waiting { reason: STARTING.into() });
                // What it said before it was known to exist counts now.
                if let Some(said) = self.said.get(&id).cloned() {
                    self.hear(said);
                }
            }
            Err(ExecutorError::Refused(reason)) => {
                let end = RunEnd {
                    exit: Exit::NotStarted { reason },
                    started: None,
                    ended: self.world.clock.now(),
                    slots: Vec::new(),
                    stopped_by: None,
                    message: String::new(),
                    model: None,
                    checkpoint: None,
                };
                self.snapshot.runs.insert(idx, RunView::Waiting { reason: "refused".into() });
                self.hear(RunStatus { run: id, phase: RunPhase::Ended(end) });
            }
            Err(ExecutorError::Unavailable(reason)) => {
                let wait = self.not_begun.get(&id).map_or(AGAIN.0, |it| (it.wait * 2).min(AGAIN.1));
                let again = Instant::now() + wait;
                let before = self.not_begun.insert(id, NotBegun { reason: reason.clone(), again, wait });
                if before.is_none_or(|before| before.reason != reason) {
                    warn!(trial = trial.name, reason, "a run cannot be started yet; it is tried again");
                }
            }
        }
    }

    /// Begins to stop a run, unless that is under way.
    fn stop(&mut self, run: RunId) {
        if !self.stopping.insert(run) {
            return;
        }
        let executor = Arc::clone(&self.world.executor);
        self.stops.spawn(async move {
            let stopped = executor.stop(&run, GRACE).await;
            if let Err(error) = &stopped {
                warn!(%run, %error, "a run could not be stopped");
            }
            (run, stopped.is_ok())
        });
    }

    /// Takes in which runs are stopped. Of those that a trial waits for the end is heard; others may be forgotten.
    fn hear_stopped(&mut self) {
        while let Some(done) = self.stops.try_join_next() {
            let Ok((run, stopped)) = done else { continue };
            self.stopping.remove(&run);
            let awaited = self.snapshot.active.get(&run.trial).is_some_and(|t| t.attempt == run.attempt);
            if stopped && !awaited && !self.snapshot.finished.contains(&run) {
                self.snapshot.finished.push(run);
            }
        }
    }

    /// Begins to let the executor forget a run, unless that is under way or as many are as may be.
    fn forget(&mut self, run: RunId) {
        let full = self.deeds.forgetting.len() >= self.world.executor.at_once();
        if full || !self.deeds.forgetting.insert(run) {
            return;
        }
        let executor = Arc::clone(&self.world.executor);
        let forgotten = async move { Done::Forgotten(run, executor.forget(&run).await) };
        self.deeds.spawn(forgotten);
    }
}
