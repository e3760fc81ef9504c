//! Taking over what others still know of an experiment whose records are older than they are.

use std::collections::BTreeMap;

use study::{Outcome, Suggestion, TrialIdx};

use super::Action;
use super::snapshot::{Measured, Snapshot};
use crate::event::Event;
use crate::experiment::Spent;
use crate::metrics::reduce::UNAVAILABLE;
use crate::metrics::value::number;
use crate::ports::Batch;
use crate::run::{Exit, RunEnd};
use crate::time::Timestamp;
use crate::trial::{MetricSummary, Origin, TrialEvent, TrialState};

/// What is found of an experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Its trials by number.
    pub trials: BTreeMap<TrialIdx, FoundTrial>,
    /// Its end, if it has ended.
    pub end: Option<FoundEnd>,
}

/// What is found of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundTrial {
    /// Parameter texts by name.
    pub assignments: Vec<(String, String)>,
    /// Its newest attempt that is known of; 0 if none is.
    pub attempt: u32,
    /// When it was written down.
    pub created: Timestamp,
    /// Its metrics, reduced.
    pub observation: Vec<MetricSummary>,
    /// Its end, if it has ended.
    pub end: Option<FoundEnd>,
}

/// An end, as conditions tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEnd {
    /// The final state.
    pub state: TrialState,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// How much was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Trials that were not known.
    pub trials: u64,
    /// Ends that were not known.
    pub ends: u64,
    /// Trials that cannot be: of one before them nothing is found, so the search makes them anew.
    pub lost: u64,
}

impl Snapshot {
    /// Takes over what was found and is not known. Known ends stay; so does everything where nothing new was found. Single
    /// observations are not found again: a trial has what counts of them.
    pub fn recover(&mut self, now: Timestamp, found: &Found, batch: &mut Batch) -> Recovered {
        let mut recovered = Recovered::default();
        if self.status.is_completed() {
            return recovered;
        }
        let known = self.status.counters.total();
        let is_new = |(idx, trial): (&TrialIdx, &FoundTrial)| {
            idx.0 >= known || (trial.end.is_some() && self.active.contains_key(idx))
        };
        if !found.trials.iter().any(is_new) && found.end.is_none() {
            return recovered;
        }
        self.drop_asks(batch);
        if self.status.started.is_none() {
            let first = found.trials.values().map(|trial| trial.created).min().unwrap_or(now);
            self.apply(first, Action::Begin, batch);
        }
        for (idx, trial) in &found.trials {
            let next = self.status.counters.total();
            if idx.0 > next || (idx.0 == next && !self.recover_trial(trial, batch)) {
                recovered.lost = found.trials.range(idx..).count() as u64;
                break;
            }
            recovered.trials += u64::from(idx.0 == next);
            let Some(active) = self.active.get_mut(idx) else { continue };
            if trial.attempt > active.attempt {
                active.attempt = trial.attempt - 1;
                self.next_run(*idx, batch);
            }
            if let Some(end) = &trial.end {
                self.recover_end(*idx, trial, end, batch);
                recovered.ends += 1;
            }
        }
        if let Some(end) = &found.end {
            let success = end.state == TrialState::Succeeded;
            self.completed(end.at, success, &end.reason, &end.message, batch);
        }
        let message = format!(
            "recovered from the cluster: {} trials, {} ends of trials; {} were lost",
            recovered.trials, recovered.ends, recovered.lost
        );
        self.log(now, Event::Noted { trial: None, message }, batch);
        batch.status = Some(self.status.clone());
        recovered
    }

    /// Writes down a trial as the next one; whether it is a point of the space.
    fn recover_trial(&mut self, trial: &FoundTrial, batch: &mut Batch) -> bool {
        let texts = trial.assignments.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let Some(assignment) = self.study.space.project(texts) else { return false };
        let suggestion = Suggestion { assignment, ..Suggestion::default() };
        self.create(trial.created, suggestion, Origin::Search, Vec::new(), batch);
        true
    }

    fn recover_end(&mut self, idx: TrialIdx, trial: &FoundTrial, end: &FoundEnd, batch: &mut Batch) {
        let objective = self.record.spec.objective();
        let name = &objective.objective_metric_name;
        let metric = trial.observation.iter().find(|metric| metric.name == *name);
        let strategy = objective.metric_strategies.iter().find(|strategy| strategy.name == *name);
        let text = metric.map(|metric| match strategy.map(|strategy| strategy.value.as_str()) {
            Some("min") => &metric.min,
            Some("max") => &metric.max,
            _ => &metric.latest,
        });
        let value = text.and_then(|text| number(text)).filter(|value| value.is_finite());
        let costs: Vec<f64> = value.map(|value| self.limits.direction.cost(value)).into_iter().collect();
        let (event, outcome) = match end.state {
            TrialState::Succeeded if costs.is_empty() => (TrialEvent::Succeeded, Outcome::Failed),
            TrialState::Succeeded => (TrialEvent::Succeeded, Outcome::Succeeded { costs }),
            TrialState::EarlyStopped => (TrialEvent::Stopped, Outcome::EarlyStopped { costs }),
            TrialState::MetricsUnavailable => (TrialEvent::MetricsMissing, Outcome::Failed),
            TrialState::Killed => (TrialEvent::Killed, Outcome::Failed),
            _ => (TrialEvent::Failed, Outcome::Failed),
        };
        let measured = Measured {
            end: RunEnd {
                exit: Exit::Lost { reason: "its records were lost".into() },
                started: Some(trial.created),
                ended: end.at,
                slots: Vec::new(),
                stopped_by: None,
                message: String::new(),
                model: None,
                checkpoint: None,
            },
            observation: trial.observation.clone(),
            objectives: value.into_iter().collect(),
            available: metric.is_some_and(|metric| metric.latest != UNAVAILABLE),
            curve: Vec::new(),
            steps: 0,
        };
        // What its runs have spent nobody knows any more.
        let spent = Spent::default();
        let (reason, message) = (&end.reason, &end.message);
        self.end_trial(end.at, idx, event, reason, message, outcome, Some((measured, spent)), batch);
    }
}
