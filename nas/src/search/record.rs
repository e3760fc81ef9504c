//! What has become of the architectures of a study, and how the next ones are looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use algorithms::encode::Encoder;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, HistoryEvent, Suggestion, Trial, TrialIdx};

use crate::architectures::Architectures;
use crate::moves;

/// Draws before all architectures of a small set are looked at.
const DRAWS: usize = 1000;
/// Sets of at most so many points are looked at wholly.
const SMALL: u64 = 20_000;

/// An architecture that has been evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Evaluated {
    /// The architecture.
    pub(crate) point: Assignment,
    /// Its cost; `None` if its trial failed.
    pub(crate) cost: Option<f64>,
}

/// Folded from the events of a study; the same however they are split.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) architectures: Arc<dyn Architectures>,
    encoder: Encoder,
    /// In the order of their ends.
    pub(crate) ended: Vec<Evaluated>,
    open: BTreeMap<TrialIdx, Assignment>,
    /// Keys of all that have begun.
    begun: BTreeSet<String>,
}

impl Record {
    pub(crate) fn new(architectures: Arc<dyn Architectures>) -> Self {
        let encoder = Encoder::new(architectures.space());
        Self { architectures, encoder, ended: Vec::new(), open: BTreeMap::new(), begun: BTreeSet::new() }
    }

    /// Takes in one event, and gives the architecture that ended with it. What is of another space is passed over.
    pub(crate) fn take(&mut self, event: &HistoryEvent) -> Option<Evaluated> {
        match event {
            HistoryEvent::Started(trial) => {
                let point = &trial.suggestion.assignment;
                if self.architectures.space().contains(point) {
                    self.begun.insert(self.architectures.key(point));
                    self.open.insert(trial.idx, point.clone());
                }
                None
            }
            HistoryEvent::Reported { .. }
            | HistoryEvent::Paused { .. }
            | HistoryEvent::Resumed { .. }
            | HistoryEvent::Spent { .. } => None,
            HistoryEvent::Ended { trial, outcome } => {
                let point = self.open.remove(trial)?;
                let cost = outcome.cost().filter(|cost| cost.is_finite());
                let ended = Evaluated { point, cost };
                self.ended.push(ended.clone());
                Some(ended)
            }
        }
    }

    /// Architectures that have begun and not ended.
    pub(crate) fn open(&self) -> &BTreeMap<TrialIdx, Assignment> {
        &self.open
    }

    /// Takes over what had ended and what was open, in place of being told.
    pub(crate) fn resume(&mut self, ended: Vec<Evaluated>, open: BTreeMap<TrialIdx, Assignment>) {
        let points = ended.iter().map(|ended| &ended.point).chain(open.values());
        self.begun = points.map(|point| self.architectures.key(point)).collect();
        (self.ended, self.open) = (ended, open);
    }

    /// Whether an architecture has begun.
    pub(crate) fn has_begun(&self, point: &Assignment) -> bool {
        self.begun.contains(&self.architectures.key(point))
    }

    /// Answers for slots one after the other, each with the earlier ones counted as running, until nothing is found.
    pub(crate) fn one_by_one(
        &self,
        slots: Range<TrialIdx>,
        running: &[Trial],
        by: &str,
        mut propose: impl FnMut(TrialIdx, &Begun<'_>) -> Option<(Assignment, &'static str)>,
    ) -> Vec<Suggestion> {
        let space = self.architectures.space();
        let points = running.iter().map(|trial| &trial.suggestion.assignment);
        let running = points.filter(|point| space.contains(point)).map(|point| self.architectures.key(point));
        let mut begun = Begun { record: self, running: running.collect() };
        let mut suggestions = Vec::new();
        for slot in (slots.start.0..slots.end.0).map(TrialIdx) {
            let Some((assignment, why)) = propose(slot, &begun) else { break };
            begun.running.insert(self.architectures.key(&assignment));
            let notes = [("by".to_owned(), by.to_owned()), ("why".to_owned(), why.to_owned())].into();
            suggestions.push(Suggestion { assignment, notes, ..Suggestion::default() });
        }
        suggestions
    }
}

/// Architectures that have begun, as told or as said by whoever asks.
pub(crate) struct Begun<'a> {
    record: &'a Record,
    running: BTreeSet<String>,
}

impl Begun<'_> {
    /// Whether an architecture has not begun.
    pub(crate) fn is_new(&self, point: &Assignment) -> bool {
        let key = self.record.architectures.key(point);
        !self.record.begun.contains(&key) && !self.running.contains(&key)
    }

    /// Any architecture that is new: by chance, or from all that there are in a small set. `None` once all have begun.
    pub(crate) fn random(&self, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let space = self.record.architectures.space();
        let drawn = (0..DRAWS).map(|_| moves::random(space, rng)).find(|point| self.is_new(point));
        drawn.or_else(|| {
            let encoder = &self.record.encoder;
            let n = encoder.cardinality().filter(|n| *n <= SMALL)?;
            let all = (0..n).map(|number| encoder.combination(number.into(), 1));
            let open: Vec<Assignment> = all.filter(|point| self.is_new(point)).collect();
            open.choose(rng).cloned()
        })
    }
}
