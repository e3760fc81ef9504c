//! What a scheduler wants for trials: what is done about it, and when.

use study::{Curve, Decision, Outcome, TrialIdx, Verdict};

use super::Action;
use super::judge::{Fate, PAUSE_DECIDED, STOP_DECIDED, is_end_wanted, stopped_because};
use super::snapshot::{Measured, Reports, RunView, Snapshot};
use crate::event::Event;
use crate::ports::Batch;
use crate::time::Timestamp;
use crate::trial::{Origin, TrialEvent, TrialRecord, TrialState};

/// Decisions that can be carried out now: ends and pauses at once, resumptions as far as there are places.
pub(super) fn decided(snapshot: &Snapshot) -> Vec<Action> {
    let mut places = snapshot.limits.unused(snapshot);
    let possible = snapshot.decisions.iter().filter(|decision| {
        let Some(trial) = snapshot.active.get(&decision.trial) else { return false };
        let runs = matches!(snapshot.runs.get(&trial.idx), Some(RunView::Running { .. }));
        // What a person wants tried, and what is run again before it is trusted, runs whole.
        let is_judged = trial.origin == Origin::Search;
        match decision.verdict {
            Verdict::Continue => false,
            Verdict::Pause | Verdict::Stop if !is_judged => false,
            Verdict::Pause => runs && trial.reason != PAUSE_DECIDED && !is_end_wanted(&trial.reason),
            Verdict::Stop => !is_end_wanted(&trial.reason),
            Verdict::Resume => {
                let goes = trial.state == TrialState::Paused && !is_end_wanted(&trial.reason) && places > 0;
                places -= u64::from(goes);
                goes
            }
        }
    });
    possible.cloned().map(Action::Decide).collect()
}

/// When nothing runs and nothing will, those that wait have waited for nothing: they end with what they have reached.
pub(super) fn left_over(snapshot: &Snapshot) -> Vec<Action> {
    let nothing_comes = snapshot.is_decided()
        && snapshot.asks.is_empty()
        && snapshot.active.values().all(|trial| trial.state == TrialState::Paused)
        && (snapshot.exhausted || snapshot.limits.places(snapshot) == 0);
    let waiting = snapshot.waiting().filter(|_| nothing_comes);
    waiting
        .map(|trial| {
            let reason = "no trial is left that could change its rank".into();
            Action::Decide(Decision { trial: trial.idx, verdict: Verdict::Stop, reason })
        })
        .collect()
}

impl Snapshot {
    /// Sets on its way what a scheduler wants.
    pub(super) fn decide(&mut self, now: Timestamp, decision: &Decision, batch: &mut Batch) {
        let idx = decision.trial;
        self.decisions.retain(|other| other.trial != idx);
        let Some(trial) = self.active.get_mut(&idx) else { return };
        match decision.verdict {
            // Of who waits for his next attempt nothing is to be ended, but what he has reached counts.
            Verdict::Stop if self.runs.get(&idx) == Some(&RunView::Unborn) => {
                self.stop_waiting(now, idx, &decision.reason, batch);
            }
            Verdict::Pause | Verdict::Stop if trial.state != TrialState::Paused => {
                let pause = decision.verdict == Verdict::Pause;
                trial.reason = if pause { PAUSE_DECIDED } else { STOP_DECIDED }.into();
                trial.message.clone_from(&decision.reason);
                self.touch(idx, batch);
            }
            Verdict::Continue | Verdict::Pause | Verdict::Stop => {}
            Verdict::Resume => self.resume(now, idx, &decision.reason, batch),
        }
    }

    /// Ends a trial that waits, with what it had reached.
    fn stop_waiting(&mut self, now: Timestamp, idx: TrialIdx, why: &str, batch: &mut Batch) {
        let Some(trial) = self.active.get(&idx) else { return };
        let direction = self.limits.direction;
        let costs = trial.objectives.iter().map(|value| direction.cost(*value)).collect();
        let fate = stopped_because(why, Outcome::EarlyStopped { costs });
        if let Fate::End { event, reason, message, outcome } = fate {
            self.end_trial(now, idx, event, &reason, &message, outcome, None, batch);
        }
    }

    fn resume(&mut self, now: Timestamp, idx: TrialIdx, why: &str, batch: &mut Batch) {
        let Some(mut trial) = self.active.remove(&idx) else { return };
        self.move_state(&mut trial, TrialEvent::Resumed);
        trial.reason = "TrialResumed".into();
        trial.message = format!("Trial goes on: {why}");
        let attempt = trial.attempt;
        self.active.insert(idx, trial);
        self.log(now, Event::TrialResumed { trial: idx, attempt, reason: why.into() }, batch);
        self.touch(idx, batch);
    }

    /// A trial waits from now on; what it has reached is kept.
    pub(super) fn pause(
        &mut self,
        now: Timestamp,
        idx: TrialIdx,
        why: &str,
        mut measured: Measured,
        batch: &mut Batch,
    ) {
        let Some(mut trial) = self.active.remove(&idx) else { return };
        self.move_state(&mut trial, TrialEvent::Paused);
        trial.hear(&mut measured.curve);
        self.count_steps(&mut trial, measured.steps);
        trial.checkpoint = measured.end.checkpoint;
        trial.waited.push(trial.attempt);
        trial.reason = "TrialPaused".into();
        trial.message = format!("Trial waits with its checkpoint: {why}");
        trial.observation = measured.observation;
        trial.objectives = measured.objectives;
        let attempt = trial.attempt;
        self.active.insert(idx, trial);
        let curve = measured.curve;
        self.log(now, Event::TrialPaused { trial: idx, attempt, reason: why.into(), curve }, batch);
        self.touch(idx, batch);
    }

    /// Adds what a trial has run since that was last counted.
    pub(super) fn count_steps(&mut self, trial: &mut TrialRecord, steps: u64) {
        let all = &mut self.status.steps.get_or_insert_default().all;
        *all += steps.saturating_sub(trial.steps);
        trial.steps = trial.steps.max(steps);
    }

    /// What a trial that runs has reported goes into the record, once.
    pub(super) fn reported(
        &mut self,
        now: Timestamp,
        idx: TrialIdx,
        mut reports: Reports,
        batch: &mut Batch,
    ) {
        self.reports.remove(&idx);
        let Some(trial) = self.active.get_mut(&idx) else { return };
        trial.hear(&mut reports.curve);
        if reports.curve.is_empty() {
            return;
        }
        let (attempt, Reports { curve, rows }) = (trial.attempt, reports);
        self.log(now, Event::TrialReported { trial: idx, attempt, curve, rows }, batch);
        self.touch(idx, batch);
    }
}

impl TrialRecord {
    /// Of what it reported leaves what nobody was told yet.
    pub(super) fn hear(&mut self, curve: &mut Curve) {
        curve.retain(|(step, _)| {
            let is_new = self.reached.is_none_or(|reached| *step > reached);
            self.reached = if is_new { Some(*step) } else { self.reached };
            is_new
        });
    }
}
