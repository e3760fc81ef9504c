//! One bracket of Hyperband: trials that begin together on a rung, of which ever fewer go on.

use std::collections::{BTreeMap, BTreeSet};

use study::{Cost, TrialIdx};

use super::ladder::Ladder;
use super::rung::Rung;

/// A ladder climbed by a fixed number of trials, each rung when all of the one below have come or ended.
#[derive(Clone, Debug)]
pub(super) struct Bracket {
    /// How many trials begin in it.
    size: u64,
    begun: u64,
    /// The rung that is waited for.
    level: usize,
    rung: Rung,
    /// Those that compete on it, as far as they have not ended.
    open: BTreeSet<TrialIdx>,
    /// How many competed on it at first.
    competed: usize,
    /// Those of a higher rung than they have come to wait for: they may go on.
    released: BTreeSet<TrialIdx>,
    /// Those that did not go on, with why.
    dropped: BTreeMap<TrialIdx, String>,
    arrived: BTreeMap<TrialIdx, Cost>,
}

impl Bracket {
    /// An empty bracket that begins on a rung.
    pub(super) fn new(first: usize, size: u64) -> Self {
        Self {
            size,
            begun: 0,
            level: first,
            rung: Rung::default(),
            open: BTreeSet::new(),
            competed: 0,
            released: BTreeSet::new(),
            dropped: BTreeMap::new(),
            arrived: BTreeMap::new(),
        }
    }

    /// Whether no more trials begin in it.
    pub(super) fn is_full(&self) -> bool {
        self.begun >= self.size
    }

    /// Takes in a trial.
    pub(super) fn begin(&mut self, trial: TrialIdx) {
        self.begun += 1;
        self.competed += 1;
        self.open.insert(trial);
        self.released.insert(trial);
    }

    /// No more trials will come, however many there are.
    pub(super) fn close(&mut self) {
        self.size = self.begun;
    }

    /// A trial reported.
    pub(super) fn report(&mut self, ladder: &Ladder, trial: TrialIdx, step: u64, cost: Cost) {
        let waited_for = ladder.levels.get(self.level).is_some_and(|level| *level <= step);
        if waited_for && self.open.contains(&trial) && !self.arrived.contains_key(&trial) {
            self.rung.arrive(trial, cost);
            self.arrived.insert(trial, cost);
            self.released.remove(&trial);
        }
    }

    /// A trial ended: it is waited for no more, and takes nobody's place.
    pub(super) fn end(&mut self, trial: TrialIdx) {
        self.open.remove(&trial);
        self.released.remove(&trial);
        self.dropped.remove(&trial);
        if self.arrived.remove(&trial).is_some() {
            self.rung.fail(trial);
        }
    }

    /// Goes on to the next rung if all have come to this one, as often as that is so.
    pub(super) fn settle(&mut self, ladder: &Ladder, say: impl Fn(Cost) -> String) {
        while self.is_full()
            && self.level < ladder.levels.len()
            && self.open.iter().all(|trial| self.arrived.contains_key(trial))
        {
            let (n, places) = (self.competed, ladder.places(self.competed).max(1));
            let best: Vec<TrialIdx> = self.rung.best(places).map(|(_, trial)| trial).collect();
            for (rank, (cost, trial)) in (1..).zip(self.rung.all()) {
                if self.open.contains(&trial) && !best.contains(&trial) {
                    let step = ladder.levels[self.level];
                    let why =
                        format!("{} came {rank} of {n} at step {step}; the best {places} go on", say(cost));
                    self.dropped.insert(trial, why);
                }
            }
            self.open = best.into_iter().collect();
            self.released.clone_from(&self.open);
            self.competed = self.open.len();
            self.arrived.clear();
            self.rung = Rung::default();
            self.level += 1;
            if self.open.is_empty() {
                break;
            }
        }
    }

    /// Trials that do not go on, with why.
    pub(super) fn dropped(&self) -> impl Iterator<Item = (TrialIdx, &String)> {
        self.dropped.iter().map(|(trial, why)| (*trial, why))
    }

    /// Trials that may go on, the best first on no rung in particular.
    pub(super) fn released(&self) -> impl Iterator<Item = TrialIdx> {
        self.released.iter().copied()
    }

    /// Trials that have come to the rung that is waited for, and how many are still to come.
    pub(super) fn standing(&self) -> (impl Iterator<Item = TrialIdx>, usize) {
        let missing = (self.size - self.begun.min(self.size)) as usize;
        (self.arrived.keys().copied(), self.open.len() - self.arrived.len() + missing)
    }

    /// The rung that is waited for.
    pub(super) fn level(&self) -> usize {
        self.level
    }
}
