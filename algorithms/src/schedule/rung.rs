//! A rung: who has reached it, the best first.

use study::{Cost, TrialIdx};

/// Trials that have reached a level, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Rung {
    /// By cost, those alike in the order of their arrival.
    entries: Vec<(Cost, TrialIdx)>,
}

impl Rung {
    /// A trial arrives; its rank from 1.
    pub(super) fn arrive(&mut self, trial: TrialIdx, cost: Cost) -> usize {
        let at = self.entries.partition_point(|(other, _)| *other <= cost);
        self.entries.insert(at, (cost, trial));
        at + 1
    }

    /// A trial that had arrived has failed: it is behind all others.
    pub(super) fn fail(&mut self, trial: TrialIdx) {
        if let Some(at) = self.entries.iter().position(|(_, other)| *other == trial) {
            self.entries.remove(at);
            self.entries.push((f64::INFINITY, trial));
        }
    }

    /// How many have arrived.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The best so many of those that measured something, the best first.
    pub(super) fn best(&self, n: usize) -> impl Iterator<Item = (Cost, TrialIdx)> {
        self.entries.iter().copied().take(n).take_while(|(cost, _)| cost.is_finite())
    }

    /// All, the best first.
    pub(super) fn all(&self) -> impl Iterator<Item = (Cost, TrialIdx)> {
        self.entries.iter().copied()
    }
}
