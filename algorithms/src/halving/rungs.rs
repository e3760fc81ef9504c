//! Who has reached which level, and who may go on.

use std::collections::BTreeMap;

use study::{Assignment, Suggestion, TrialIdx};

use super::ladder::Ladder;
use crate::past::{Ended, Key, key};

/// A trial that has ended on a rung.
#[derive(Clone, Debug)]
struct Entry {
    /// Infinite if it failed.
    cost: f64,
    idx: TrialIdx,
    key: Key,
    assignment: Assignment,
}

/// How far a configuration, a point without its resource, has come: its first level and its highest.
#[derive(Clone, Copy, Debug)]
struct Reach {
    first: usize,
    highest: usize,
}

/// A trial to be continued on the next level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Promotion {
    pub(super) parent: TrialIdx,
    pub(super) level: usize,
    pub(super) assignment: Assignment,
    /// Its place among those that ended on its rung, and how many these are.
    pub(super) rank: (usize, usize),
}

/// All rungs of all brackets. Configurations are known by their parameters alone, their bracket by their first level,
/// so that a history without notes is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Rungs {
    /// By first level and level; the best first.
    rungs: BTreeMap<(usize, usize), Vec<Entry>>,
    begun: Begun,
}

/// What has begun.
#[derive(Clone, Debug, Default)]
struct Begun {
    reached: BTreeMap<Key, Reach>,
    /// Trials that continued none.
    n_first: u64,
}

impl Begun {
    /// Counts a trial; the first level of its configuration, and whether it is known since before.
    fn add(&mut self, known: Option<Reach>, key: &Key, level: usize) -> Reach {
        let reach = known.unwrap_or(Reach { first: level, highest: level });
        if known.is_none_or(|known| level <= known.first) {
            self.n_first += 1;
        }
        let reach = Reach { first: reach.first, highest: reach.highest.max(level) };
        self.reached.insert(key.clone(), reach);
        reach
    }
}

impl Rungs {
    /// Takes in an ended trial. One at no level of the ladder is passed over.
    pub(super) fn take(&mut self, ladder: &Ladder, ended: Ended) {
        let assignment = ended.suggestion.assignment;
        let Some(level) = ladder.level(&assignment) else { return };
        let key = configuration(ladder, &assignment);
        let known = self.begun.reached.get(&key).copied();
        let reach = self.begun.add(known, &key, level);
        let rung = self.rungs.entry((reach.first, level)).or_default();
        let cost = ended.cost.unwrap_or(f64::INFINITY);
        let at = rung.partition_point(|other| other.cost <= cost);
        rung.insert(at, Entry { cost, idx: ended.idx, key, assignment });
    }

    /// The same with trials that run.
    pub(super) fn with<'a>(
        &'a self,
        ladder: &'a Ladder,
        running: impl Iterator<Item = &'a Suggestion>,
    ) -> Open<'a> {
        let mut open = Open { rungs: self, ladder, running: Begun::default() };
        running.for_each(|suggestion| open.begin(&suggestion.assignment));
        open
    }
}

/// Rungs as seen while trials run.
pub(super) struct Open<'a> {
    rungs: &'a Rungs,
    ladder: &'a Ladder,
    running: Begun,
}

impl Open<'_> {
    /// Counts a trial as running.
    pub(super) fn begin(&mut self, assignment: &Assignment) {
        let Some(level) = self.ladder.level(assignment) else { return };
        let key = configuration(self.ladder, assignment);
        let known = self.reach(&key);
        self.running.add(known, &key, level);
    }

    fn reach(&self, key: &Key) -> Option<Reach> {
        self.running.reached.get(key).or_else(|| self.rungs.begun.reached.get(key)).copied()
    }

    /// Trials so far that continued none.
    pub(super) fn n_first(&self) -> u64 {
        self.rungs.begun.n_first + self.running.n_first
    }

    /// Whether nothing has begun with these parameters, at whatever level.
    pub(super) fn is_new(&self, assignment: &Assignment) -> bool {
        self.reach(&configuration(self.ladder, assignment)).is_none()
    }

    /// A trial among the best 1 / eta of its rung that has not gone on yet, the highest rungs first (Li et al. 2018,
    /// arXiv:1810.05934, algorithm 2).
    pub(super) fn promotion(&self, may: impl Fn(&Assignment) -> bool) -> Option<Promotion> {
        let top = self.ladder.levels.len() - 1;
        let rungs = self.rungs.rungs.iter().filter(|((_, level), _)| *level < top);
        let mut rungs: Vec<_> = rungs.collect();
        rungs.sort_by_key(|((first, level), _)| (*first, std::cmp::Reverse(*level)));
        rungs.into_iter().find_map(|((_, level), rung)| {
            let best = rung.iter().take(rung.len() / self.ladder.eta).enumerate();
            let mut measured = best.take_while(|(_, entry)| entry.cost.is_finite());
            measured.find_map(|(rank, entry)| {
                let waits = self.reach(&entry.key).is_none_or(|reach| reach.highest <= *level);
                let promotion = || Promotion {
                    parent: entry.idx,
                    level: level + 1,
                    assignment: self.ladder.at(level + 1, entry.assignment.clone()),
                    rank: (rank + 1, rung.len()),
                };
                waits.then(promotion).filter(|promotion| may(&promotion.assignment))
            })
        })
    }
}

/// What names a configuration.
fn configuration(ladder: &Ladder, assignment: &Assignment) -> Key {
    key(&ladder.at(0, assignment.clone()))
}
