//! Doing what a snapshot says the world should do.

use std::time::Duration;

use controller_core::plan::{Effect, RunView, effects};
use controller_core::ports::ExecutorError;
use controller_core::run::{Exit, RunEnd, RunId, RunPhase, RunStatus, STARTING};
use study::TrialIdx;
use tracing::warn;

use super::{Driver, DriverError, prepare};

/// How long a run may take to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(10);

impl Driver<'_> {
    /// Carries out all effects but questions; returns whether that changed what the next plan sees.
    pub(super) async fn act(&mut self) -> Result<bool, DriverError> {
        let mut changed = false;
        self.hear_stopped();
        for run in std::mem::take(&mut self.strays) {
            self.stop(run);
        }
        for effect in effects(&self.snapshot) {
            match effect {
                Effect::Ensure(trial) => changed |= self.ensure(trial).await?,
                Effect::Stop(run) => self.stop(run),
                Effect::Forget(run) => self.forget(run).await?,
                Effect::Ask(_) => {}
            }
        }
        Ok(changed)
    }

    async fn ensure(&mut self, idx: TrialIdx) -> Result<bool, DriverError> {
        let Some(trial) = self.snapshot.active.get(&idx) else {
            return Ok(false);
        };
        let id = self.snapshot.run_id(trial);
        let ensured = match prepare::run(&self.snapshot, trial) {
            Ok(run) => self.world.executor.ensure(&run).await,
            Err(problem) => Err(ExecutorError::Refused(problem)),
        };
        match ensured {
            Ok(()) => {
                self.not_begun.remove(&idx);
                self.snapshot.runs.insert(idx, RunView::Waiting { reason: STARTING.into() });
                // What it said before it was known to exist counts now.
                if let Some(said) = self.said.get(&id).cloned() {
                    self.hear(said);
                }
                Ok(true)
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
                };
                self.snapshot.runs.insert(idx, RunView::Waiting { reason: "refused".into() });
                self.hear(RunStatus { run: id, phase: RunPhase::Ended(end) });
                Ok(true)
            }
            Err(ExecutorError::Unavailable(reason)) => {
                let name = trial.name.clone();
                if self.not_begun.insert(idx, reason.clone()).as_ref() != Some(&reason) {
                    warn!(trial = name, reason, "a run cannot be started yet; it is tried again");
                }
                Ok(false)
            }
        }
    }

    /// Begins to stop a run, unless that is under way.
    fn stop(&mut self, run: RunId) {
        if !self.stopping.insert(run) {
            return;
        }
        let executor = std::sync::Arc::clone(&self.world.executor);
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

    async fn forget(&mut self, run: RunId) -> Result<(), DriverError> {
        self.world.executor.forget(&run).await?;
        self.snapshot.finished.retain(|finished| *finished != run);
        self.said.remove(&run);
        self.stopping.remove(&run);
        Ok(())
    }
}
