//! What trials that run have reached, for models that see fidelities: where a scheduler compares trials on rungs, a report
//! there counts like an end.

use std::collections::BTreeMap;

use study::{Study, TrialIdx};

use crate::schedule::Ladder;

/// What is kept of a trial that has reached several rungs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// What it reached last: for models of points.
    Newest,
    /// All: for models of points and fidelities.
    All,
}

/// A place on the way to the whole budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reached {
    /// Rungs passed, all and one for a trial that ran to its end.
    pub(crate) level: usize,
    /// Logarithm of the step in that of the whole budget, from 0 to 1.
    pub(crate) fidelity: f64,
}

impl Reached {
    /// The end of a trial that nothing stopped.
    pub(crate) const WHOLE: Self = Self { level: usize::MAX, fidelity: 1.0 };
}

/// How far trials have come.
#[derive(Clone, Debug)]
pub(crate) struct Rungs {
    ladder: Ladder,
    pub(crate) keep: Keep,
    on_the_way: BTreeMap<TrialIdx, Way>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    step: Option<u64>,
    /// Rungs passed, and the step at which the last of them was.
    passed: usize,
    at: Option<u64>,
}

impl Rungs {
    /// The rungs of a study, if it has a scheduler that compares trials on rungs.
    pub(crate) fn of(study: &Study, keep: Keep) -> Option<Self> {
        Some(Self { ladder: Ladder::of(study)?, keep, on_the_way: BTreeMap::new() })
    }

    /// A trial reported at a step; the rung that it has reached by that, if a new one.
    pub(crate) fn report(&mut self, trial: TrialIdx, step: u64) -> Option<Reached> {
        let way = self.on_the_way.entry(trial).or_default();
        if way.step.is_some_and(|newest| step <= newest) {
            return None;
        }
        way.step = Some(step);
        let passed = self.ladder.reached(way.passed, step)? + 1;
        (way.passed, way.at) = (passed, Some(step));
        Some(Reached { level: passed, fidelity: self.ladder.fidelity(step) })
    }

    /// A trial ended; where, unless that has been said when it reached its last rung.
    pub(crate) fn end(&mut self, trial: TrialIdx, whole: bool, failed: bool) -> Option<Reached> {
        let way = self.on_the_way.remove(&trial).unwrap_or_default();
        if whole {
            return Some(Reached::WHOLE);
        }
        let said = way.at.is_some() && way.at == way.step && !failed;
        let fidelity = way.step.map_or(0.0, |step| self.ladder.fidelity(step));
        (!said).then_some(Reached { level: way.passed, fidelity })
    }
}
