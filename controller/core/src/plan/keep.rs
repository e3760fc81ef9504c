//! Which models stay: those of the best trials, where `spec.artifacts.keep` says so, and those that something refers to.
//! And which checkpoints of ended trials: those that others may begin from, and that of the best.

use std::collections::BTreeMap;

use study::{TrialIdx, Turn};

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

/// The sealed checkpoints of ended trials, where those that nobody can go on from go; else none of them is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptCheckpoints {
    /// Whether new trials may begin from those of ended ones; `None`: all stay.
    copied: Option<bool>,
    /// Those that are there, and whose turns they are of.
    left: BTreeMap<TrialIdx, Option<Turn>>,
    /// The newest turn of each member that has ended.
    newest: BTreeMap<u64, u64>,
}

impl KeptCheckpoints {
    /// None yet. `copied`: whether new trials may begin from those of ended ones; `None`: all stay.
    pub fn new(copied: Option<bool>) -> Self {
        Self { copied, ..Self::default() }
    }

    /// Those of trials.
    #[must_use]
    pub fn of_trials(mut self, trials: &[TrialRecord]) -> Self {
        trials.iter().filter(|trial| trial.state.is_final()).for_each(|trial| self.ended(trial));
        self
    }

    /// Whether any of them ever goes.
    pub fn are_limited(&self) -> bool {
        self.copied.is_some()
    }

    /// A trial has ended, perhaps with a checkpoint.
    pub fn ended(&mut self, trial: &TrialRecord) {
        if self.copied.is_none() {
            return;
        }
        let turn = Turn::of(&trial.suggestion);
        if let Some(turn) = turn {
            let newest = self.newest.entry(turn.member).or_default();
            *newest = (*newest).max(turn.generation);
        }
        if trial.checkpoint.is_some() {
            self.left.insert(trial.idx, turn);
        }
    }

    /// The checkpoint of a trial is gone.
    pub fn removed(&mut self, trial: TrialIdx) {
        self.left.remove(&trial);
    }

    /// Trials whose checkpoints no new trial begins from: all, or those before the newest turn of their member. Of what is no
    /// turn of anybody nothing is known.
    pub fn useless(&self) -> impl Iterator<Item = TrialIdx> {
        let is_over = |turn: &Option<Turn>| match (self.copied, turn) {
            (None, _) | (Some(true), None) => false,
            (Some(false), _) => true,
            (Some(true), Some(turn)) => {
                self.newest.get(&turn.member).is_some_and(|newest| *newest > turn.generation)
            }
        };
        self.left.iter().filter(move |(_, turn)| is_over(turn)).map(|(trial, _)| *trial)
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

    /// Trials whose checkpoints are to go. An open question may be of a time when somebody could begin from one; and in
    /// a space that was edited turns may lie outside, which the algorithm does not hear of.
    pub(super) fn unwanted_checkpoints(&self) -> impl Iterator<Item = TrialIdx> {
        let is_known = self.asks.is_empty() && self.record.earlier.is_empty();
        let useless = self.checkpoints.useless().filter(move |_| is_known);
        useless.filter(move |trial| self.refers_to(*trial).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ExperimentId;
    use crate::run::{Checkpoint, RunId};
    use crate::trial::TrialState;

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

    /// One that has ended and left a checkpoint: a turn of a member, or none.
    fn trial(idx: u64, turn: Option<(u64, u64)>, checkpoint: bool) -> TrialRecord {
        let notes = turn.map_or(serde_json::json!({}), |(member, generation)| {
            serde_json::json!({"member": member.to_string(), "generation": generation.to_string()})
        });
        let record = serde_json::json!({
            "idx": idx, "name": "t", "state": TrialState::Succeeded, "assignments": [], "labels": {}, "rules": [],
            "suggestion": {"assignment": [], "fidelity": null, "parent": null, "notes": notes},
            "origin": {"by": "search"}, "attempt": 1, "failures": 0, "reason": "", "message": "",
            "observation": [], "objectives": [], "model": null, "created": 0, "started": null, "ended": null,
        });
        let run = RunId { experiment: ExperimentId(1), trial: TrialIdx(idx), attempt: 1 };
        let left = checkpoint.then(|| Checkpoint { run, digest: String::new(), bytes: 1 });
        TrialRecord { checkpoint: left, ..serde_json::from_value(record).unwrap() }
    }

    #[test]
    fn checkpoints_stay_that_new_trials_may_begin_from() {
        let trials = [
            trial(0, Some((0, 0)), true),
            trial(1, Some((1, 0)), true),
            // It has failed and left nothing: nobody begins from the turn before it all the same.
            trial(2, Some((0, 1)), false),
            trial(3, Some((1, 1)), true),
            trial(4, None, true),
        ];
        let useless = |copied: Option<bool>| -> Vec<u64> {
            KeptCheckpoints::new(copied).of_trials(&trials).useless().map(|trial| trial.0).collect()
        };
        assert_eq!(useless(Some(true)), [0, 1]);
        assert_eq!(useless(Some(false)), [0, 1, 3, 4]);
        assert_eq!(useless(None), [0; 0]);
        let mut kept = KeptCheckpoints::new(Some(true)).of_trials(&trials);
        kept.removed(TrialIdx(0));
        assert_eq!(kept.useless().collect::<Vec<_>>(), [TrialIdx(1)]);
    }
}
