//! What has happened in a study: the events an algorithm is told, and the tables folded from them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Assignment, Cost};

/// Number of a trial within its experiment, from 0, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialIdx(pub u64);

/// What an algorithm wrote beside a suggestion: why it was made, and what it needs to go on from history alone.
pub type Notes = BTreeMap<String, String>;

/// An assignment proposed by an algorithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The point.
    pub assignment: Assignment,
    /// How much of the budget the trial gets, in units of the resource; `None` without fidelities.
    pub fidelity: Option<f64>,
    /// The trial it continues, if any.
    pub parent: Option<TrialIdx>,
    /// Who proposed it and why.
    pub notes: Notes,
}

/// Note of a suggestion whose trial begins from the checkpoint of its parent.
const CHECKPOINT: &str = "checkpoint";

impl Suggestion {
    /// A point whose trial begins from the checkpoint of another, which is its parent.
    #[must_use]
    pub fn with_checkpoint_of(mut self, parent: TrialIdx) -> Self {
        self.parent = Some(parent);
        self.notes.insert(CHECKPOINT.into(), "of the parent".into());
        self
    }

    /// The trial whose checkpoint this one begins from, if it does.
    pub fn checkpoint_of(&self) -> Option<TrialIdx> {
        self.parent.filter(|_| self.notes.contains_key(CHECKPOINT))
    }
}

/// Notes of a suggestion that is a turn of a member.
const GENERATION: &str = "generation";
const MEMBER: &str = "member";

/// Whose turn a trial is, and which, where the members of a population train in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Which, from 0.
    pub generation: u64,
    /// Whose.
    pub member: u64,
}

impl Turn {
    /// The turn that a suggestion is, if it is one.
    pub fn of(suggestion: &Suggestion) -> Option<Self> {
        let number = |name: &str| suggestion.notes.get(name)?.parse().ok();
        Some(Self { generation: number(GENERATION)?, member: number(MEMBER)? })
    }

    /// The suggestion as this turn.
    #[must_use]
    pub fn note(self, mut suggestion: Suggestion) -> Suggestion {
        suggestion.notes.insert(GENERATION.into(), self.generation.to_string());
        suggestion.notes.insert(MEMBER.into(), self.member.to_string());
        suggestion
    }
}

/// A trial as an algorithm sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number.
    pub idx: TrialIdx,
    /// What it evaluates, and how it came about.
    pub suggestion: Suggestion,
}

/// How a trial ended. Costs are one per objective, finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Outcome {
    /// It ran to its end and was measured.
    Succeeded {
        /// One per objective, finite.
        costs: Vec<Cost>,
    },
    /// A rule stopped it; what it had reached by then, if anything.
    EarlyStopped {
        /// One per objective, finite; empty if nothing was measured.
        costs: Vec<Cost>,
    },
    /// It ended without a usable result: failed, killed, metrics unavailable or not finite.
    Failed,
}

impl Outcome {
    /// The main cost, if one was measured.
    pub fn cost(&self) -> Option<Cost> {
        match self {
            Self::Succeeded { costs } | Self::EarlyStopped { costs } => costs.first().copied(),
            Self::Failed => None,
        }
    }
}

/// Something that happened in a study, in the order in which it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "event")]
pub enum HistoryEvent {
    /// A trial came into being.
    Started(Trial),
    /// A trial reported its costs at a step.
    Reported {
        /// Which trial.
        trial: TrialIdx,
        /// Its step, rising within a trial.
        step: u64,
        /// One per objective; infinite where no finite number was reported.
        costs: Vec<Cost>,
    },
    /// A trial waits: its run is gone, its checkpoint is sealed.
    Paused {
        /// Which trial.
        trial: TrialIdx,
    },
    /// A trial that waited goes on from its checkpoint.
    Resumed {
        /// Which trial.
        trial: TrialIdx,
    },
    /// What a trial has taken, such as seconds of GPUs; told just before its end, where all of them may take only so much.
    Spent {
        /// Which trial.
        trial: TrialIdx,
        /// How much, in the unit of [`crate::Expense`]; finite, at least 0.
        amount: f64,
    },
    /// A trial ended; it is never heard of again.
    Ended {
        /// Which trial.
        trial: TrialIdx,
        /// How.
        outcome: Outcome,
    },
}

/// Costs by step of one trial: (step, costs), steps rising.
pub type Curve = Vec<(u64, Vec<Cost>)>;

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// What it evaluated.
    pub trial: Trial,
    /// How it ended.
    pub outcome: Outcome,
}

/// The tables folded from the events of a study. However the events are split into calls, the result is the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Trials that have ended, in the order of their ends.
    pub finished: Vec<Finished>,
    /// Trials that have begun and not ended, by number; those that wait too.
    pub running: BTreeMap<TrialIdx, Trial>,
    /// Those of them that wait.
    pub paused: BTreeSet<TrialIdx>,
    /// What trials have reported, ended ones too.
    pub curves: BTreeMap<TrialIdx, Curve>,
}

impl History {
    /// Takes in more events. Ends and reports of unknown trials are ignored, as are repeated starts.
    pub fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match event {
                HistoryEvent::Started(trial) => {
                    self.running.entry(trial.idx).or_insert_with(|| trial.clone());
                }
                HistoryEvent::Reported { trial, step, costs } => {
                    self.curves.entry(*trial).or_default().push((*step, costs.clone()));
                }
                HistoryEvent::Paused { trial } => {
                    if self.running.contains_key(trial) {
                        self.paused.insert(*trial);
                    }
                }
                HistoryEvent::Resumed { trial } => {
                    self.paused.remove(trial);
                }
                HistoryEvent::Spent { .. } => {}
                HistoryEvent::Ended { trial, outcome } => {
                    self.paused.remove(trial);
                    if let Some(trial) = self.running.remove(trial) {
                        self.finished.push(Finished { trial, outcome: outcome.clone() });
                    }
                }
            }
        }
    }
}

/// Digest of a sequence of events: SHA-256 chained over the events, so that each prefix has its own.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How much of a history somebody holds: the number of events and the digest of exactly those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// Number of events.
    pub seq: u64,
    /// Their digest; zeros for none.
    pub digest: Digest,
}

impl Prefix {
    /// The prefix longer by these events.
    #[must_use]
    pub fn extend(mut self, events: &[HistoryEvent]) -> Self {
        for event in events {
            let mut hash = Sha256::new();
            hash.update(self.digest.0);
            feed(&mut hash, event);
            self.digest = Digest(hash.finalize().into());
            self.seq += 1;
        }
        self
    }
}

/// Feeds an event in a fixed binary form: tags, little-endian numbers, texts behind their length.
fn feed(hash: &mut Sha256, event: &HistoryEvent) {
    match event {
        HistoryEvent::Started(trial) => {
            hash.update([1]);
            hash.update(trial.idx.0.to_le_bytes());
            let suggestion = &trial.suggestion;
            hash.update((suggestion.assignment.0.len() as u64).to_le_bytes());
            for value in &suggestion.assignment.0 {
                match value {
                    None => hash.update([0]),
                    Some(crate::Value::Float(v)) => feed_tagged(hash, 1, v.to_bits()),
                    Some(crate::Value::Int(v)) => feed_tagged(hash, 2, *v as u64),
                    Some(crate::Value::Choice(v)) => feed_tagged(hash, 3, *v as u64),
                }
            }
            feed_tagged(
                hash,
                u8::from(suggestion.fidelity.is_some()),
                suggestion.fidelity.unwrap_or(0.0).to_bits(),
            );
            feed_tagged(hash, u8::from(suggestion.parent.is_some()), suggestion.parent.unwrap_or_default().0);
            for text in suggestion.notes.iter().flat_map(|(name, note)| [name, note]) {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        HistoryEvent::Reported { trial, step, costs } => {
            feed_tagged(hash, 2, trial.0);
            hash.update(step.to_le_bytes());
            feed_costs(hash, costs);
        }
        HistoryEvent::Paused { trial } => feed_tagged(hash, 4, trial.0),
        HistoryEvent::Resumed { trial } => feed_tagged(hash, 5, trial.0),
        HistoryEvent::Spent { trial, amount } => {
            feed_tagged(hash, 6, trial.0);
            hash.update(amount.to_bits().to_le_bytes());
        }
        HistoryEvent::Ended { trial, outcome } => {
            feed_tagged(hash, 3, trial.0);
            match outcome {
                Outcome::Succeeded { costs } => {
                    hash.update([1]);
                    feed_costs(hash, costs);
                }
                Outcome::EarlyStopped { costs } => {
                    hash.update([2]);
                    feed_costs(hash, costs);
                }
                Outcome::Failed => hash.update([3]),
            }
        }
    }
}

fn feed_tagged(hash: &mut Sha256, tag: u8, bits: u64) {
    hash.update([tag]);
    hash.update(bits.to_le_bytes());
}

fn feed_costs(hash: &mut Sha256, costs: &[Cost]) {
    hash.update((costs.len() as u64).to_le_bytes());
    for cost in costs {
        hash.update(cost.to_bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<HistoryEvent> {
        let trial = |idx| Trial { idx: TrialIdx(idx), suggestion: Suggestion::default() };
        vec![
            HistoryEvent::Started(trial(0)),
            HistoryEvent::Started(trial(1)),
            HistoryEvent::Reported { trial: TrialIdx(1), step: 0, costs: vec![0.5] },
            HistoryEvent::Paused { trial: TrialIdx(1) },
            HistoryEvent::Resumed { trial: TrialIdx(1) },
            HistoryEvent::Ended { trial: TrialIdx(1), outcome: Outcome::Succeeded { costs: vec![0.5] } },
        ]
    }

    #[test]
    fn the_split_of_a_history_does_not_matter() {
        let events = events();
        let mut whole = History::default();
        whole.tell(&events);
        for cut in 0..=events.len() {
            let mut parts = History::default();
            parts.tell(&events[..cut]);
            parts.tell(&events[cut..]);
            assert_eq!(parts, whole);
            let prefix = Prefix::default().extend(&events[..cut]).extend(&events[cut..]);
            assert_eq!(prefix, Prefix::default().extend(&events));
        }
    }

    #[test]
    fn a_trial_that_waits_is_among_those_that_run_until_it_ends() {
        let trial = TrialIdx(0);
        let mut history = History::default();
        history.tell(&events()[..1]);
        history.tell(&[HistoryEvent::Paused { trial }, HistoryEvent::Paused { trial: TrialIdx(9) }]);
        assert_eq!((history.running.len(), &history.paused), (1, &[trial].into()));
        history.tell(&[HistoryEvent::Resumed { trial }]);
        assert_eq!(history.paused, [].into());
        let outcome = Outcome::EarlyStopped { costs: vec![1.0] };
        history.tell(&[HistoryEvent::Paused { trial }, HistoryEvent::Ended { trial, outcome }]);
        assert_eq!((history.running.len(), history.paused.len(), history.finished.len()), (0, 0, 1));
    }

    #[test]
    fn a_digest_depends_on_the_order() {
        let mut swapped = events();
        swapped.swap(0, 1);
        assert_ne!(Prefix::default().extend(&events()).digest, Prefix::default().extend(&swapped).digest);
    }

    #[test]
    fn an_end_of_an_unknown_trial_changes_nothing() {
        let mut history = History::default();
        history.tell(&[HistoryEvent::Ended { trial: TrialIdx(7), outcome: Outcome::Failed }]);
        assert_eq!(history, History::default());
    }
}
