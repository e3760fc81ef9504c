//! Which models stay: those of the best trials, where `spec.artifacts.keep` says so, and those that something refers to.

use std::collections::BTreeMap;

use study::TrialIdx;

use super::snapshot::Snapshot;
use crate::trial::TrialRecord;

/// The models that there are, where beaten ones go; else none of them is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptModels {
    best: Option<usize>,
    costs: BTreeMap<TrialIdx, Option<f64>>,
}

impl KeptModels {
    /// None yet, of which so many of the best are to stay.
    pub fn new(best: Option<usize>) -> Self {
        Self { best, costs: BTreeMap::new() }
    }

    /// Those of trials. `cost` makes a cost of an objective.
    #[must_use]
    pub fn of_trials(mut self, trials: &[TrialRecord], cost: impl Fn(f64) -> f64) -> Self {
        trials.iter().for_each(|trial| self.ended(trial, &cost));
        self
    }

    /// Whether any of them ever goes.
    pub fn are_limited(&self) -> bool {
        self.best.is_some()
    }

    /// A trial has ended, perhaps with a model. One that its program has stored itself is its own.
    pub fn ended(&mut self, trial: &TrialRecord, cost: impl Fn(f64) -> f64) {
        let model = trial.model.as_ref().filter(|model| !model.elsewhere && model.removed.is_none());
        if self.best.is_some() && model.is_some() {
            let value = trial.objectives.first().copied().filter(|value| value.is_finite());
            self.costs.insert(trial.idx, value.map(cost));
        }
    }

    /// The model of a trial is gone.
    pub fn removed(&mut self, trial: TrialIdx) {
        self.costs.remove(&trial);
    }

    /// Trials with models that are not among the best, the worst last. One without a number is beaten by every other;
    /// of equal ones the earlier is the better.
    pub fn beaten(&self) -> Vec<TrialIdx> {
        let Some(best) = self.best else { return Vec::new() };
        let mut all: Vec<(TrialIdx, f64)> =
            self.costs.iter().map(|(idx, cost)| (*idx, cost.unwrap_or(f64::INFINITY))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        all.into_iter().skip(best).map(|(idx, _)| idx).collect()
    }
}

impl Snapshot {
    /// What refers to the model or checkpoint of a trial, so that it stays though the trial is beaten. Whatever else
    /// comes to refer to one says so here.
    pub fn refers_to(&self, trial: TrialIdx) -> Option<&'static str> {
        if self.status.best.as_ref().is_some_and(|best| best.idx == trial) {
            return Some("it is the best trial");
        }
        let is_parent = |child: &TrialRecord| child.suggestion.parent == Some(trial);
        self.active.values().any(is_parent).then_some("a trial that goes on has begun from it")
    }

    /// Trials whose models are to go.
    pub(super) fn unwanted_models(&self) -> impl Iterator<Item = TrialIdx> {
        self.models.beaten().into_iter().filter(move |trial| self.refers_to(*trial).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_stay_and_ties_are_the_earlier_ones() {
        let mut models = KeptModels::new(Some(2));
        for (idx, cost) in [(0, Some(0.5)), (1, None), (2, Some(0.5)), (3, Some(0.1)), (4, Some(0.5))] {
            models.costs.insert(TrialIdx(idx), cost);
        }
        assert_eq!(models.beaten(), [2, 4, 1].map(TrialIdx));
        models.removed(TrialIdx(4));
        models.removed(TrialIdx(1));
        assert_eq!(models.beaten(), [TrialIdx(2)]);
        assert_eq!(KeptModels { best: None, ..models }.beaten(), []);
    }
}
