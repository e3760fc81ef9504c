//! What has happened, as an algorithm that learns from points wants it: ended trials as points with costs.

use std::collections::BTreeMap;

use study::{Assignment, HistoryEvent, Suggestion, Trial, TrialIdx};

use crate::encode::Encoder;

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    /// Its number.
    pub(crate) idx: TrialIdx,
    /// How it came about.
    pub(crate) suggestion: Suggestion,
    /// Its point in the unit cube.
    pub(crate) x: Vec<f64>,
    /// Its cost; `None` if it failed or measured nothing finite.
    pub(crate) cost: Option<f64>,
}

/// Folded from the events of a study; the same however they are split.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// In the order of their ends.
    pub(crate) ended: Vec<Ended>,
    begun: BTreeMap<TrialIdx, Suggestion>,
}

impl Past {
    /// Takes in more events. Ends of unknown trials are passed over.
    pub(crate) fn tell(&mut self, encoder: &Encoder, events: &[HistoryEvent]) {
        for event in events {
            match event {
                HistoryEvent::Started(trial) => {
                    self.begun.insert(trial.idx, trial.suggestion.clone());
                }
                HistoryEvent::Reported { .. } => {}
                HistoryEvent::Ended { trial, outcome } => {
                    let Some(suggestion) = self.begun.remove(trial) else { continue };
                    let x = encoder.encode(&suggestion.assignment);
                    let cost = outcome.cost().filter(|cost| cost.is_finite());
                    self.ended.push(Ended { idx: *trial, suggestion, x, cost });
                }
            }
        }
    }

    /// Trials that have begun and not ended, as told or as said by whoever asks, by number.
    pub(crate) fn running(&self, running: &[Trial]) -> BTreeMap<TrialIdx, Suggestion> {
        let mut all = self.begun.clone();
        all.extend(running.iter().map(|trial| (trial.idx, trial.suggestion.clone())));
        all
    }

    /// Ended trials with a cost.
    pub(crate) fn measured(&self) -> impl Iterator<Item = (&Ended, f64)> {
        self.ended.iter().filter_map(|ended| Some((ended, ended.cost?)))
    }
}

/// Answers for slots one after the other, each with the earlier ones counted as running.
pub(crate) fn one_by_one(
    slots: std::ops::Range<TrialIdx>,
    mut running: BTreeMap<TrialIdx, Suggestion>,
    mut ask: impl FnMut(TrialIdx, &BTreeMap<TrialIdx, Suggestion>) -> Option<Suggestion>,
) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    for slot in (slots.start.0..slots.end.0).map(TrialIdx) {
        let Some(suggestion) = ask(slot, &running) else { break };
        running.insert(slot, suggestion.clone());
        suggestions.push(suggestion);
    }
    suggestions
}

/// A suggestion of a point with who proposed it.
pub(crate) fn suggestion(assignment: Assignment, by: &str) -> Suggestion {
    let notes = [("by".to_owned(), by.to_owned())].into();
    Suggestion { assignment, notes, ..Suggestion::default() }
}

/// What makes two assignments the same point.
pub(crate) fn key(assignment: &Assignment) -> String {
    format!("{:?}", assignment.0)
}
