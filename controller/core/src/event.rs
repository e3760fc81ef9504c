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
        /// Costs of its first steps, where a rule of early stopping wants them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
            Self::TrialEnded { .. } => "trialEnded",
            Self::Noted { .. } => "noted",
        }
    }

    /// The trial it is about, if one.
    pub fn trial(&self) -> Option<TrialIdx> {
        match self {
            Self::TrialCreated { trial, .. } | Self::TrialEnded { trial, .. } => Some(trial.idx),
            Self::TrialStarted { trial, .. } | Self::TrialRequeued { trial, .. } => Some(*trial),
            Self::Noted { trial, .. } => *trial,
            Self::Condition { .. } | Self::Edited { .. } => None,
        }
    }

    /// The attempt it is about, if one.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::TrialStarted { attempt, .. }
            | Self::TrialRequeued { attempt, .. }
            | Self::TrialEnded { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// What algorithms are told of it: of a trial's end its start, its reports and its end together, else nothing.
    /// So the history told depends on the order of ends alone; what runs meanwhile travels beside it.
    pub fn history(&self, telling: &Telling) -> Vec<HistoryEvent> {
        let Self::TrialEnded { trial, outcome, curve, .. } = self else {
            return Vec::new();
        };
        let Some(trial) = telling.trial(trial) else {
            return Vec::new();
        };
        let idx = trial.idx;
        let mut told = vec![HistoryEvent::Started(trial)];
        told.extend(curve.iter().map(|(step, costs)| HistoryEvent::Reported {
            trial: idx,
            step: *step,
            costs: costs.clone(),
        }));
        told.push(HistoryEvent::Ended { trial: idx, outcome: outcome.clone() });
        told
    }
}
