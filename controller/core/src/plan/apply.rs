//! Folding an action into the snapshot and into the batch that will be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use study::{Outcome, Suggestion, Trial, TrialIdx};

use super::Action;
use super::judge::{Fate, Fault, PAUSE_DECIDED, is_end_wanted, is_run_unwanted};
use super::limits::Reached;
use super::snapshot::{Measured, RunView, Snapshot};
use crate::conditions;
use crate::event::{Event, StoredEvent};
use crate::experiment::{Best, Hold, Spent};
use crate::metrics::reduce::UNAVAILABLE;
use crate::metrics::value::number;
use crate::ports::Batch;
use crate::run::{RunEnd, RunRecord};
use crate::time::Timestamp;
use crate::trial::{
    MetricSummary, Origin, TrialEvent, TrialRecord, TrialState, WAITING, transition, trial_name,
};

impl Snapshot {
    /// Folds one action of [`super::plan`] into the snapshot, and what must be written of it into the batch.
    pub fn apply(&mut self, now: Timestamp, action: Action, batch: &mut Batch) {
        match action {
            Action::Take(wish) => self.take(now, wish, batch),
            Action::Begin => {
                let started = self.status.started.get_or_insert(now);
                *started = (*started).min(now);
                self.condition(now, "Running", true, "ExperimentRunning", "Experiment is running", batch);
            }
            Action::Restart => {
                self.limits.edited_since_end = false;
                conditions::restart(&mut self.status, now);
                self.log_condition(
                    now,
                    "Restarting",
                    "True",
                    "ExperimentRestarting",
                    "Experiment is restarted",
                    batch,
                );
            }
            Action::Started { trial, since, slots } => self.started(now, trial, since, slots, batch),
            Action::Waits { trial, reason } => {
                if let Some(record) = self.active.get_mut(&trial) {
                    record.reason = WAITING.into();
                    record.message = reason;
                    self.touch(trial, batch);
                }
            }
            Action::Reported { trial, reports } => self.reported(now, trial, reports, batch),
            Action::Ended { trial, fate } => self.run_ended(now, trial, fate, batch),
            Action::Drop { trial, reason, message } => {
                self.end_trial(
                    now,
                    trial,
                    TrialEvent::Killed,
                    reason,
                    &message,
                    Outcome::Failed,
                    None,
                    batch,
                );
            }
            Action::Decide(decision) => self.decide(now, &decision, batch),
            Action::Complete(reached) => self.complete(now, &reached, batch),
            Action::Create { assignments, origin, wish_no } => {
                batch.taken_wishes.extend(wish_no);
                self.wishes.retain(|stored| Some(stored.wish_no) != wish_no);
                let space = &self.study.space;
                let texts = || assignments.iter().map(|(name, text)| (name.as_str(), text.as_str()));
                let assignment = space.project(texts());
                let assignment = assignment.unwrap_or_else(|| space.deactivate(space.parse(texts())));
                let suggestion = Suggestion { assignment, ..Default::default() };
                self.create(now, suggestion, origin, Vec::new(), batch);
            }
            Action::Ask(ask) => {
                self.asks.push(ask);
                batch.asks.push(ask);
            }
            Action::Run { trial } => self.next_run(trial, batch),
            Action::ModelRemoved { trial } => self.model_removed(now, *trial, batch),
            Action::CheckpointRemoved { trial } => {
                self.let_go.retain(|other| other.idx != trial.idx);
                self.checkpoints.removed(trial.idx);
                batch.put_trial(*trial);
            }
            Action::Delete => batch.delete = true,
        }
        batch.status = Some(self.status.clone());
    }

    pub(super) fn create(
        &mut self,
        now: Timestamp,
        suggestion: Suggestion,
        origin: Origin,
        rules: Vec<study::Rule>,
        batch: &mut Batch,
    ) {
        let idx = TrialIdx(self.status.counters.total());
        let name = trial_name(&self.record.name, &self.record.uid, idx);
        let trial = Trial { idx, suggestion };
        let record = TrialRecord {
            idx,
            name: name.clone(),
            state: TrialState::Pending,
            assignments: self.study.space.texts(&trial.suggestion.assignment),
            suggestion: trial.suggestion.clone(),
            labels: BTreeMap::new(),
            rules,
            origin: origin.clone(),
            attempt: 0,
            failures: 0,
            lost: 0,
            reason: "TrialCreated".into(),
            message: "Trial is created".into(),
            observation: Vec::new(),
            objectives: Vec::new(),
            model: None,
            checkpoint: None,
            waited: Vec::new(),
            reached: None,
            steps: 0,
            created: now,
            started: None,
            ended: None,
        };
        self.status.counters.pending += 1;
        Arc::make_mut(&mut self.points).began(idx, &record.assignments);
        self.active.insert(idx, record);
        self.runs.insert(idx, RunView::Unborn);
        self.log(now, Event::TrialCreated { trial, name, origin }, batch);
        self.touch(idx, batch);
    }

    fn started(
        &mut self,
        now: Timestamp,
        idx: TrialIdx,
        since: Timestamp,
        slots: Vec<String>,
        batch: &mut Batch,
    ) {
        let Some(mut trial) = self.active.remove(&idx) else {
            return;
        };
        self.move_state(&mut trial, TrialEvent::Started);
        trial.started.get_or_insert(since);
        if !is_run_unwanted(&trial.reason) {
            trial.reason = "TrialRunning".into();
            trial.message = "Trial is running".into();
        }
        let mut run = self.run_record(&trial);
        run.slots.clone_from(&slots);
        run.started = Some(since);
        batch.put_run(run);
        let attempt = trial.attempt;
        self.active.insert(idx, trial);
        self.log(now, Event::TrialStarted { trial: idx, attempt, slots }, batch);
        self.touch(idx, batch);
    }

    fn run_ended(&mut self, now: Timestamp, idx: TrialIdx, fate: Fate, batch: &mut Batch) {
        let Some(RunView::Ended(measured)) = self.runs.insert(idx, RunView::Unborn) else {
            return;
        };
        let Some(trial) = self.active.get(&idx) else {
            return;
        };
        let (run_id, mut run) = (self.run_id(trial), self.run_record(trial));
        run.slots.clone_from(&measured.end.slots);
        run.started = measured.end.started;
        run.end = Some(measured.end.clone());
        batch.put_run(run);
        self.finished.push(run_id);
        let spent = self.limits.spent(&measured.end);
        self.status.spent = self.status.spent.plus(spent);
        match fate {
            Fate::Requeue { fault, reason } => self.requeue(now, idx, fault, &reason, &measured.end, batch),
            Fate::Pause { reason } => self.pause(now, idx, &reason, measured, batch),
            Fate::End { event, reason, message, outcome } => {
                self.end_trial(now, idx, event, &reason, &message, outcome, Some((measured, spent)), batch);
            }
        }
    }

    fn requeue(
        &mut self,
        now: Timestamp,
        idx: TrialIdx,
        fault: Fault,
        reason: &str,
        end: &RunEnd,
        batch: &mut Batch,
    ) {
        let Some(mut trial) = self.active.remove(&idx) else {
            return;
        };
        self.move_state(&mut trial, TrialEvent::Requeued);
        trial.failures += u32::from(fault == Fault::Own);
        trial.lost += u32::from(fault == Fault::World);
        if end.checkpoint.is_some() {
            trial.checkpoint.clone_from(&end.checkpoint);
            trial.waited.push(trial.attempt);
        }
        if trial.reason == PAUSE_DECIDED {
            // It was to wait and was lost instead: whoever decides is asked again.
            self.decided_at = self.decided_at.map(|_| 0);
        }
        if !is_end_wanted(&trial.reason) {
            trial.reason = "TrialRequeued".into();
            trial.message = format!("Trial waits for its next attempt: {reason}");
        }
        let attempt = trial.attempt;
        self.active.insert(idx, trial);
        let exit = end.exit.clone();
        self.log(now, Event::TrialRequeued { trial: idx, attempt, exit, reason: reason.into() }, batch);
        self.touch(idx, batch);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one event, used once")]
    pub(super) fn end_trial(
        &mut self,
        now: Timestamp,
        idx: TrialIdx,
        event: TrialEvent,
        reason: &str,
        message: &str,
        outcome: Outcome,
        measured: Option<(Measured, Spent)>,
        batch: &mut Batch,
    ) {
        let Some(mut trial) = self.active.remove(&idx) else {
            return;
        };
        self.runs.remove(&idx);
        self.move_state(&mut trial, event);
        trial.reason = reason.into();
        trial.message = message.into();
        let (mut curve, mut spent, mut ended) = (Vec::new(), Spent::default(), now);
        if let Some((mut measured, cost)) = measured {
            if self.watch.is_some() {
                trial.hear(&mut measured.curve);
                self.count_steps(&mut trial, measured.steps);
            }
            trial.checkpoint = measured.end.checkpoint.or(trial.checkpoint);
            trial.started = trial.started.or(measured.end.started);
            ended = measured.end.ended;
            trial.observation = measured.observation;
            trial.objectives = measured.objectives;
            trial.model = measured.end.model;
            (curve, spent) = (measured.curve, cost);
        }
        trial.ended = Some(ended);
        let direction = self.limits.direction;
        Arc::make_mut(&mut self.points).ended(&trial, |value| direction.cost(value));
        self.models.ended(&trial, |value| direction.cost(value));
        self.checkpoints.ended(&trial);
        self.compare_with_best(&trial);
        let ended = Event::TrialEnded {
            trial: Trial { idx, suggestion: trial.suggestion.clone() },
            attempt: trial.attempt,
            state: trial.state,
            reason: trial.reason.clone(),
            message: trial.message.clone(),
            outcome,
            curve,
            observation: trial.observation.clone(),
            model: trial.model.clone(),
            ended,
            spent,
        };
        self.log(now, ended, batch);
        batch.put_trial(trial);
    }

    fn model_removed(&mut self, now: Timestamp, trial: TrialRecord, batch: &mut Batch) {
        self.removed.retain(|other| other.idx != trial.idx);
        self.models.removed(trial.idx);
        if let Some(model) = &trial.model {
            let (uri, bytes) = (model.uri.clone(), model.bytes);
            self.log(now, Event::ModelRemoved { trial: trial.idx, uri, bytes }, batch);
        }
        batch.put_trial(trial);
    }

    /// A text that is no number counts as better, as the newest of them: so it is for genotypes. An objective that is
    /// not finite is never the best.
    fn compare_with_best(&mut self, trial: &TrialRecord) {
        if let Some(best) = self.best_of_points() {
            self.status.best = Some(best);
            return;
        }
        if !matches!(trial.state, TrialState::Succeeded | TrialState::EarlyStopped) {
            return;
        }
        let value = trial.objectives.first().copied();
        if value.is_none() && !self.is_text(&trial.observation) {
            return;
        }
        let better = match (self.status.best.as_ref().map(|best| best.value), value) {
            (None, _) | (_, None) => true,
            (Some(None), Some(_)) => false,
            (Some(Some(best)), Some(value)) => self.limits.direction.better(value, best),
        };
        if better {
            if let Some(steps) = &mut self.status.steps {
                steps.at_best = steps.all;
            }
            self.status.best = Some(Best {
                idx: trial.idx,
                name: trial.name.clone(),
                assignments: trial.assignments.clone(),
                observation: trial.observation.clone(),
                value,
                runs: 1,
                std_error: None,
            });
        }
    }

    /// The best point by its mean, told by the run that is nearest to it.
    fn best_of_points(&self) -> Option<Best> {
        let point = self.points.best()?;
        let (idx, run) = point.nearest()?;
        Some(Best {
            idx,
            name: trial_name(&self.record.name, &self.record.uid, idx),
            assignments: point.assignments.clone(),
            observation: run.observation.clone(),
            value: Some(self.limits.direction.value(point.mean())),
            runs: point.runs.len() as u32,
            std_error: point.std_error(),
        })
    }

    /// Whether the objective was reported as a text that is no number.
    fn is_text(&self, observation: &[MetricSummary]) -> bool {
        let objective = self.record.spec.objective().objective_metric_name;
        let objective = observation.iter().find(|metric| metric.name == objective);
        objective.is_some_and(|metric| metric.latest != UNAVAILABLE && number(&metric.latest).is_none())
    }

    fn complete(&mut self, now: Timestamp, reached: &Reached, batch: &mut Batch) {
        self.completed(now, reached.success, reached.reason, &reached.message, batch);
    }

    pub(super) fn completed(
        &mut self,
        now: Timestamp,
        success: bool,
        reason: &str,
        message: &str,
        batch: &mut Batch,
    ) {
        let kind = if success { "Succeeded" } else { "Failed" };
        self.status.completed = Some(now);
        self.status.hold = Hold::Free;
        self.status.waiting.clear();
        self.drop_asks(batch);
        conditions::end(&mut self.status.conditions, now, kind, reason, message);
        self.log_condition(now, kind, "True", reason, message, batch);
    }

    /// Nobody wants the answers any more; nor must whoever loads this find the questions open.
    pub(super) fn drop_asks(&mut self, batch: &mut Batch) {
        if !self.asks.is_empty() {
            self.asks.clear();
            batch.asks.clear();
            batch.drop_asks = Some(TrialIdx(self.status.counters.total()));
        }
    }

    pub(super) fn next_run(&mut self, idx: TrialIdx, batch: &mut Batch) {
        let Some(trial) = self.active.get_mut(&idx) else {
            return;
        };
        trial.attempt += 1;
        self.runs.insert(idx, RunView::Intended);
        if let Some(trial) = self.active.get(&idx) {
            batch.put_run(self.run_record(trial));
        }
        self.touch(idx, batch);
    }

    fn run_record(&self, trial: &TrialRecord) -> RunRecord {
        RunRecord {
            id: self.run_id(trial),
            executor_ref: String::new(),
            slots: Vec::new(),
            start_from: self.start_from(trial).map(|checkpoint| checkpoint.run),
            started: None,
            end: None,
        }
    }

    pub(super) fn move_state(&mut self, trial: &mut TrialRecord, event: TrialEvent) {
        let next = transition(trial.state, event);
        let from = self.status.counters.of(trial.state);
        *from = from.saturating_sub(1);
        *self.status.counters.of(next) += 1;
        trial.state = next;
    }

    pub(super) fn condition(
        &mut self,
        now: Timestamp,
        kind: &str,
        status: bool,
        reason: &str,
        message: &str,
        batch: &mut Batch,
    ) {
        conditions::set(&mut self.status.conditions, now, kind, status, reason, message);
        self.log_condition(now, kind, if status { "True" } else { "False" }, reason, message, batch);
    }

    fn log_condition(
        &mut self,
        now: Timestamp,
        kind: &str,
        status: &str,
        reason: &str,
        message: &str,
        batch: &mut Batch,
    ) {
        let event = Event::Condition {
            condition: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
        };
        self.log(now, event, batch);
    }

    pub(super) fn log(&mut self, now: Timestamp, event: Event, batch: &mut Batch) {
        self.status.last_seq += 1;
        batch.events.push(StoredEvent { seq: self.status.last_seq, at: now, event });
    }

    pub(super) fn touch(&self, idx: TrialIdx, batch: &mut Batch) {
        if let Some(trial) = self.active.get(&idx) {
            batch.put_trial(trial.clone());
        }
    }
}

impl Batch {
    /// Writes this trial, in place of an older version of it in the same batch.
    fn put_trial(&mut self, trial: TrialRecord) {
        match self.trials.iter_mut().find(|old| old.idx == trial.idx) {
            Some(old) => *old = trial,
            None => self.trials.push(trial),
        }
    }

    /// Writes this run, in place of an older version of it in the same batch.
    fn put_run(&mut self, run: RunRecord) {
        match self.runs.iter_mut().find(|old| old.id == run.id) {
            Some(old) => *old = run,
            None => self.runs.push(run),
        }
    }
}
