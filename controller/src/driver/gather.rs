//! Finding out what has happened: wishes, and what the executor says of runs.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::metrics::reduce;
use controller_core::plan::{Measured, RunView};
use controller_core::ports::{Observation, ObservationQuery, Wish};
use controller_core::run::{RunEnd, RunId, RunPhase, RunStatus};
use futures::{FutureExt as _, StreamExt as _};
use study::{Curve, TrialIdx};
use tokio::time::Instant;
use tracing::warn;

use super::{Driver, DriverError};

/// How often wishes are looked for when nobody says that there are any.
const WISHES_EVERY: Duration = Duration::from_millis(100);

impl Driver<'_> {
    /// Brings the snapshot up to date with the world.
    pub(super) async fn gather(&mut self) -> Result<(), DriverError> {
        if self.wishes_at.is_none_or(|at| at.elapsed() >= WISHES_EVERY) {
            let age = self.wishes_at.map_or(Duration::ZERO, |_| WISHES_EVERY);
            if self.world.wished.of(&*self.world.store, self.lease.experiment, age).await? {
                self.look_for_wishes().await?;
            } else {
                self.snapshot.wishes.clear();
            }
            self.wishes_at = Some(Instant::now());
        }
        self.hear_done()?;
        self.hear_all_at_hand();
        self.look_for_parents().await?;
        self.look_at_reports().await?;
        let ended: Vec<(TrialIdx, RunId, RunEnd)> = self
            .snapshot
            .active
            .values()
            .filter(|trial| {
                !matches!(self.snapshot.runs.get(&trial.idx), Some(RunView::Ended(_) | RunView::Unborn))
            })
            .filter_map(|trial| {
                let id = self.snapshot.run_id(trial);
                match &self.said.get(&id)?.phase {
                    RunPhase::Ended(end) => Some((trial.idx, id, end.clone())),
                    _ => None,
                }
            })
            .collect();
        for (trial, id, end) in ended {
            let measured = self.measure(id, end).await?;
            self.snapshot.runs.insert(trial, RunView::Ended(measured));
        }
        Ok(())
    }

    async fn look_for_wishes(&mut self) -> Result<(), DriverError> {
        self.snapshot.wishes = self.world.store.open_wishes(self.lease.experiment).await?;
        for stored in &self.snapshot.wishes {
            if let Wish::RetryTrial { trial } = stored.wish
                && !self.snapshot.repeats.contains_key(&trial)
                && let Some(record) = self.world.store.trial(self.lease.experiment, trial).await?
            {
                self.snapshot.repeats.insert(trial, record.assignments);
            }
        }
        Ok(())
    }

    /// Finds the checkpoints that copies begin from. Who is copied from has ended, so what is found once stays.
    async fn look_for_parents(&mut self) -> Result<(), DriverError> {
        let wanted = self.snapshot.active.values().filter_map(|trial| trial.suggestion.checkpoint_of());
        let wanted: BTreeSet<TrialIdx> = wanted.collect();
        self.snapshot.parents.retain(|parent, _| wanted.contains(parent));
        for parent in wanted {
            if self.snapshot.parents.contains_key(&parent) {
                continue;
            }
            let record = self.world.store.trial(self.lease.experiment, parent).await?;
            let checkpoint = record.and_then(|record| record.checkpoint);
            if checkpoint.is_none() {
                warn!(parent = parent.0, "a trial has left no checkpoint; who continues it begins anew");
            }
            self.snapshot.parents.insert(parent, checkpoint);
        }
        Ok(())
    }

    /// Takes in everything the executor lists.
    pub(super) async fn relist(&mut self) -> Result<(), DriverError> {
        for status in self.world.executor.list(self.lease.experiment).await? {
            self.hear(status);
        }
        Ok(())
    }

    /// Takes in what the executor has said without waiting for more.
    pub(super) fn hear_all_at_hand(&mut self) {
        while let Some(Some(status)) = self.changes.next().now_or_never() {
            self.hear(status);
        }
    }

    /// Takes in what the executor says of one run. A run that no longer matters is stopped and forgotten.
    pub(super) fn hear(&mut self, status: RunStatus) {
        if status.run.experiment != self.lease.experiment || self.snapshot.finished.contains(&status.run) {
            return;
        }
        let current =
            self.snapshot.active.get(&status.run.trial).filter(|trial| trial.attempt == status.run.attempt);
        let view = self.snapshot.runs.get_mut(&status.run.trial);
        match (current, view) {
            (Some(_), Some(view)) if !matches!(view, RunView::Unborn | RunView::Ended(_)) => {
                // What comes late does not undo an end.
                if self.said.get(&status.run).is_some_and(|said| matches!(said.phase, RunPhase::Ended(_))) {
                    return;
                }
                match &status.phase {
                    RunPhase::Waiting { reason } => *view = RunView::Waiting { reason: reason.clone() },
                    RunPhase::Running { since, slots } => {
                        *view = RunView::Running { since: *since, slots: slots.clone() };
                    }
                    RunPhase::Ended(_) => {}
                }
                self.said.insert(status.run, status);
            }
            _ if matches!(status.phase, RunPhase::Ended(_)) => self.snapshot.finished.push(status.run),
            _ => self.strays.push(status.run),
        }
    }

    /// Reads and reduces what a run has reported, and the attempts that it goes on from.
    async fn measure(&mut self, id: RunId, end: RunEnd) -> Result<Measured, DriverError> {
        let query = ObservationQuery { trial: Some(id.trial), ..Default::default() };
        let mut rows = self.world.store.observations(id.experiment, &query).await?;
        let trial = self.snapshot.active.get(&id.trial);
        rows.retain(|row| trial.is_some_and(|trial| trial.counts(row.attempt)));
        let objective = self.snapshot.record.spec.objective();
        let name = objective.objective_metric_name.as_str();
        let of_objective = || rows.iter().filter(|row| *row.row.metric == *name);
        let (curve, steps) = match &self.snapshot.watch {
            Some(_) => {
                let steps: BTreeSet<i64> = of_objective().map(|row| row.row.step).collect();
                (self.heard(id, of_objective()), steps.len() as u64)
            }
            None => (self.curve(of_objective()), 0),
        };
        let rows: Vec<_> = rows.into_iter().map(|Observation { row, .. }| row).collect();
        let reduced = reduce::reduce(&rows, &objective);
        Ok(Measured {
            end,
            observation: reduced.metrics,
            objectives: reduced.objective.into_iter().collect(),
            available: reduced.available,
            curve,
            steps,
        })
    }

    /// The first rows of the objective that are numbers, as costs.
    fn curve<'a>(&self, rows: impl Iterator<Item = &'a Observation>) -> Curve {
        let direction = self.snapshot.limits.direction;
        rows.filter_map(|Observation { row, .. }| row.value.filter(|value| value.is_finite()))
            .take(self.snapshot.limits.curve_rows as usize)
            .enumerate()
            .map(|(step, value)| (step as u64, vec![direction.cost(value)]))
            .collect()
    }
}
