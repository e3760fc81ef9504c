//! Trials: what is known of one, and which states it may take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use study::{Rule, Suggestion, TrialIdx};

use crate::run::{Checkpoint, Model};
use crate::time::Timestamp;

/// Where a trial stands. The last five are final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrialState {
    /// Written down, not running: new, queued, waiting for slots or for its next attempt.
    #[default]
    Pending,
    /// A run of it is going on.
    Running,
    /// Waits with its checkpoint.
    Paused,
    /// Ended with an objective.
    Succeeded,
    /// Ended without success.
    Failed,
    /// Ended by a person.
    Killed,
    /// Ended by a rule; what it reached counts.
    EarlyStopped,
    /// Ended well, but without an objective.
    MetricsUnavailable,
}

impl TrialState {
    /// All states, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Killed,
        Self::EarlyStopped,
        Self::MetricsUnavailable,
    ];

    /// Whether nothing more happens to it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Paused)
    }

    /// Its name, as stored, shown and used for conditions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
            Self::EarlyStopped => "EarlyStopped",
            Self::MetricsUnavailable => "MetricsUnavailable",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What can happen to a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialEvent {
    /// Its run has begun.
    Started,
    /// Its run ended without deciding it: lost, stopped with the experiment, or to be retried.
    Requeued,
    /// It was told to wait, and waits.
    Paused,
    /// It waited, and was told to go on.
    Resumed,
    /// It ended well, with an objective.
    Succeeded,
    /// It ended well, without an objective.
    MetricsMissing,
    /// It ended badly.
    Failed,
    /// A person ended it.
    Killed,
    /// A rule ended it.
    Stopped,
}

impl TrialEvent {
    /// All events, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Started,
        Self::Requeued,
        Self::Paused,
        Self::Resumed,
        Self::Succeeded,
        Self::MetricsMissing,
        Self::Failed,
        Self::Killed,
        Self::Stopped,
    ];
}

/// The state after an event. Total: a final state stays, and an event that makes no sense changes nothing.
#[must_use]
pub fn transition(state: TrialState, event: TrialEvent) -> TrialState {
    use TrialEvent as E;
    use TrialState as S;
    match (state, event) {
        (state, _) if state.is_final() => state,
        (_, E::Started) => S::Running,
        (S::Paused, E::Requeued) | (_, E::Paused) => S::Paused,
        (state, E::Resumed) if state != S::Paused => state,
        (_, E::Requeued | E::Resumed) => S::Pending,
        (_, E::Succeeded) => S::Succeeded,
        (_, E::MetricsMissing) => S::MetricsUnavailable,
        (_, E::Failed) => S::Failed,
        (_, E::Killed) => S::Killed,
        (_, E::Stopped) => S::EarlyStopped,
    }
}

/// How a trial came about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by")]
pub enum Origin {
    /// The algorithm proposed it.
    #[default]
    Search,
    /// A person put it in the queue.
    Enqueued,
    /// A point that did best is run again before it is trusted.
    Repeat {
        /// The trial that tried it first.
        of: TrialIdx,
    },
    /// A person wanted this one once more.
    Retry {
        /// The trial it repeats.
        of: TrialIdx,
    },
}

/// One metric of a trial, reduced; texts as the trial wrote them, `unavailable` where there is no number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// Metric.
    pub name: String,
    /// Smallest number.
    pub min: String,
    /// Largest number.
    pub max: String,
    /// Newest value, a number or not.
    pub latest: String,
}

/// Reason of a trial whose run cannot begin yet; the message says what for.
pub const WAITING: &str = "TrialWaiting";

/// Everything the store knows of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialRecord {
    /// Its number, from 0 without gaps.
    pub idx: TrialIdx,
    /// Its name, derived from the experiment's uid and its number.
    pub name: String,
    /// Where it stands.
    pub state: TrialState,
    /// What it evaluates.
    pub suggestion: Suggestion,
    /// Parameter texts by name, in the order of the spec; what its process is given.
    pub assignments: Vec<(String, String)>,
    /// Labels beyond the experiment's.
    pub labels: BTreeMap<String, String>,
    /// Rules that stop it on the spot.
    pub rules: Vec<Rule>,
    /// How it came about.
    pub origin: Origin,
    /// Its newest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Attempts that were its own failures; what `retries` counts.
    pub failures: u32,
    /// Attempts that were lost through no fault of its own and of nobody's will.
    #[serde(default)]
    pub lost: u32,
    /// Why it is in its state, one word, as conditions have it.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
    /// Metrics reduced; empty before its end.
    pub observation: Vec<MetricSummary>,
    /// Value of each objective by its strategy; empty if the first is no finite number.
    #[serde(with = "crate::floats::list")]
    pub objectives: Vec<f64>,
    /// The sealed model it left.
    pub model: Option<Model>,
    /// The newest checkpoint of it that is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Attempts that ended with a sealed checkpoint, oldest first: the next went on from there, so what they measured counts
    /// too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited: Vec<u32>,
    /// Step of its newest report that a scheduler was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<u64>,
    /// Steps that it has run until it waited or ended, where a scheduler judges trials that run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps: u64,
    /// When it was written down.
    pub created: Timestamp,
    /// When its first run began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references to fields")]
pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl TrialRecord {
    /// Whether what an attempt measured counts: the newest, and those that it goes on from.
    pub fn counts(&self, attempt: u32) -> bool {
        attempt == self.attempt || self.waited.contains(&attempt)
    }
}

/// Letters of generated names, as Kubernetes' `generateName` has them.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `<experiment>-` and 8 characters derived from the experiment's uid and the trial's number.
pub fn trial_name(experiment: &str, uid: &str, idx: TrialIdx) -> String {
    let digest: [u8; 32] =
        Sha256::new().chain_update(uid).chain_update(idx.0.to_le_bytes()).finalize().into();
    let letters =
        digest.iter().take(8).map(|byte| NAME_ALPHABET[usize::from(*byte) % NAME_ALPHABET.len()] as char);
    format!("{experiment}-{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_table_of_transitions() {
        let mut table = String::new();
        for state in TrialState::ALL {
            for event in TrialEvent::ALL {
                writeln!(table, "{} + {event:?} = {}", state.name(), transition(state, event).name())
                    .unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_name_depends_on_uid_and_number_only() {
        let name = trial_name("mnist", "uid", TrialIdx(3));
        assert_eq!(name, trial_name("mnist", "uid", TrialIdx(3)));
        assert_ne!(name, trial_name("mnist", "uid", TrialIdx(4)));
        assert_ne!(name, trial_name("mnist", "other", TrialIdx(3)));
        assert_eq!(name.len(), "mnist-".len() + 8);
    }

    #[test]
    fn states_read_back_from_their_names() {
        for state in TrialState::ALL {
            assert_eq!(TrialState::from_name(state.name()), Some(state));
        }
    }
}
