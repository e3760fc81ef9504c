//! The log of an experiment: one closed, versioned enum of everything that happened to it.
//!
//! In one it is the history that algorithms are told, the log that a search is replayed from, and the stream of
//! changes that clients follow.

use serde::{Deserialize, Serialize};
use study::{HistoryEvent, Outcome, TrialIdx};

use crate::experiment::Spent;
use crate::run::{Exit, Model};
use crate::telling::Telling;
use crate::time::Timestamp;
use crate::trial::{MetricSummary, Origin, TrialState};

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Its number within the experiment, from 1 without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened to an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Event {
    /// A condition of the experiment was set: created, running, stopped, restarted, succeeded, failed.
    Condition {
        /// Such as `Running`.
        condition: String,
        /// `True` or `False`.
        status: String,
        /// One word.
        reason: String,
        /// One sentence.
        message: String,
    },
    /// A person's wish was carried out.
    Edited {
        /// What changed, in one line.
        change: String,
    },
    /// A trial was written down.
    TrialCreated {
        /// The trial as algorithms see it.
        trial: study::Trial,
        /// Its name.
        name: String,
        /// How it came about.
        origin: Origin,
    },
    /// A run of a trial began.
    TrialStarted {
        /// Which trial.
        trial: TrialIdx,
        /// Which attempt.
        attempt: u32,
        /// What it occupies.
        slots: Vec<String>,
    },
    /// A run ended without ending its trial, which gets another.
    TrialRequeued {
        /// Which trial.
        trial: TrialIdx,
        /// Which attempt ended.
        attempt: u32,
        /// How it ended.
        exit: Exit,
        /// Why there is another.
        reason: String,
    },
    /// A trial reported something that its scheduler wants to hear while it runs.
    TrialReported {
        /// Which trial.
        trial: TrialIdx,
        /// Which attempt.
        attempt: u32,
        /// Costs by step, steps rising.
        #[serde(with = "crate::floats::curve")]
        curve: study::Curve,
        /// Reports of the objective that its attempt had made when this was written down.
        rows: u64,
    },
    /// A run ended so that its trial waits with the checkpoint that it left.
    TrialPaused {
        /// Which trial.
        trial: TrialIdx,
        /// Which attempt ended.
        attempt: u32,
        /// What it waits for.
        reason: String,
        /// What it reported before that nobody was told yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::floats::curve")]
        curve: study::Curve,
    },
    /// A trial that waited goes on, as its next attempt.
    TrialResumed {
        /// Which trial.
        trial: TrialIdx,
        /// The attempt whose checkpoint it goes on from.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// A trial ended.
    TrialEnded {
        /// The trial as algorithms see it.
        trial: study::Trial,
        /// Which attempt ended it.
        attempt: u32,
        /// Its final state.
        state: TrialState,
        /// One word.
        reason: String,
        /// One sentence.
        message: String,
        /// What algorithms are told of it.
        outcome: Outcome,
        /// Costs of its first steps, where a rule of early stopping wants them; where a scheduler judges trials that run, those
        /// that it was not told yet.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::floats::curve")]
        curve: study::Curve,
        /// Metrics reduced.
        observation: Vec<MetricSummary>,
        /// The model it left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Model>,
        /// When its last run ended; ends are taken in this order.
        ended: Timestamp,
        /// What its runs have spent.
        spent: Spent,
    },
    /// The model of a trial was removed: better ones are kept.
    ModelRemoved {
        /// Which trial.
        trial: TrialIdx,
        /// Where it lay.
        uri: String,
        /// Bytes of all its files.
        bytes: u64,
    },
    /// Something to know that changed nothing, such as a gap in scraped metrics.
    Noted {
        /// Which trial, if one.
        trial: Option<TrialIdx>,
        /// What, in one line.
        message: String,
    },
}

impl Event {
    /// Its kind, as stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Condition { .. } => "condition",
            Self::Edited { .. } => "edited",
            Self::TrialCreated { .. } => "trialCreated",
            Self::TrialStarted { .. } => "trialStarted",
            Self::TrialRequeued { .. } => "trialRequeued",
            Self::TrialReported { .. } => "trialReported",
            Self::TrialPaused { .. } => "trialPaused",
            Self::TrialResumed { .. } => "trialResumed",
            Self::TrialEnded { .. } => "trialEnded",
            Self::ModelRemoved { .. } => "modelRemoved",
            Self::Noted { .. } => "noted",
        }
    }

    /// The trial it is about, if one.
    pub fn trial(&self) -> Option<TrialIdx> {
        match self {
            Self::TrialCreated { trial, .. } | Self::TrialEnded { trial, .. } => Some(trial.idx),
            Self::TrialStarted { trial, .. }
            | Self::TrialRequeued { trial, .. }
            | Self::TrialReported { trial, .. }
            | Self::TrialPaused { trial, .. }
            | Self::TrialResumed { trial, .. }
            | Self::ModelRemoved { trial, .. } => Some(*trial),
            Self::Noted { trial, .. } => *trial,
            Self::Condition { .. } | Self::Edited { .. } => None,
        }
    }

    /// The attempt it is about, if one.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::TrialStarted { attempt, .. }
            | Self::TrialRequeued { attempt, .. }
            | Self::TrialReported { attempt, .. }
            | Self::TrialPaused { attempt, .. }
            | Self::TrialResumed { attempt, .. }
            | Self::TrialEnded { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// What algorithms are told of it.
    ///
    /// Where nobody judges trials that run: of a trial's end its start, its reports and its end together, else nothing. So the
    /// history told depends on the order of ends alone; what runs meanwhile travels beside it. Else everything as it comes.
    pub fn history(&self, telling: &Telling) -> Vec<HistoryEvent> {
        let mut told = Vec::new();
        let report = |trial: TrialIdx, curve: &study::Curve| {
            let reported = |(step, costs): &(u64, Vec<f64>)| HistoryEvent::Reported {
                trial,
                step: *step,
                costs: costs.clone(),
            };
            curve.iter().map(reported).collect::<Vec<_>>()
        };
        match self {
            Self::TrialEnded { trial, attempt, outcome, curve, spent, .. } => {
                let Some(trial) = telling.trial(trial) else { return told };
                let idx = trial.idx;
                told.extend((!telling.is_live()).then_some(HistoryEvent::Started(trial)));
                told.extend(report(idx, curve));
                told.extend(telling.spent(idx, *attempt, spent));
                told.push(HistoryEvent::Ended { trial: idx, outcome: outcome.clone() });
            }
            _ if !telling.is_live() => {}
            Self::TrialCreated { trial, .. } => told.extend(telling.trial(trial).map(HistoryEvent::Started)),
            Self::TrialReported { trial, curve, .. } => told = report(*trial, curve),
            Self::TrialPaused { trial, curve, .. } => {
                told = report(*trial, curve);
                told.push(HistoryEvent::Paused { trial: *trial });
            }
            Self::TrialResumed { trial, .. } => told.push(HistoryEvent::Resumed { trial: *trial }),
            _ => {}
        }
        told
    }
}
