//! What has happened, as an algorithm that learns from points wants it: ended trials as points with costs.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
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

/// Ends told at once above which they are sorted in, not put in one by one.
const MANY: usize = 64;

/// Folded from the events of a study; the same however they are split.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// In the order of their ends.
    pub(crate) ended: Vec<Ended>,
    /// Positions in `ended`, the lowest cost first, those without a cost last, in the order of their ends where alike.
    ranked: Vec<usize>,
    n_measured: usize,
    begun: BTreeMap<TrialIdx, Suggestion>,
}

impl Past {
    /// Takes in more events. Ends of unknown trials are passed over.
    pub(crate) fn tell(&mut self, encoder: &Encoder, events: &[HistoryEvent]) {
        let known = self.ended.len();
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
        self.rank(known);
    }

    /// Ranks what has ended from a position on.
    fn rank(&mut self, known: usize) {
        let cost = |i: &usize| self.ended[*i].cost.unwrap_or(f64::INFINITY);
        self.n_measured += self.ended[known..].iter().filter(|ended| ended.cost.is_some()).count();
        if self.ended.len() - known > MANY {
            self.ranked.extend(known..self.ended.len());
            self.ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
            return;
        }
        for i in known..self.ended.len() {
            let at = self.ranked.partition_point(|other| cost(other) <= cost(&i));
            self.ranked.insert(at, i);
        }
    }

    /// Takes in more events and gives the trials that ended in them away, to be kept elsewhere.
    pub(crate) fn newly_ended(&mut self, encoder: &Encoder, events: &[HistoryEvent]) -> Vec<Ended> {
        self.tell(encoder, events);
        self.ranked.clear();
        self.n_measured = 0;
        std::mem::take(&mut self.ended)
    }

    /// Trials that have begun and not ended, as told or as said by whoever asks, by number.
    pub(crate) fn running(&self, running: &[Trial]) -> BTreeMap<TrialIdx, Suggestion> {
        let mut all = self.begun.clone();
        all.extend(running.iter().map(|trial| (trial.idx, trial.suggestion.clone())));
        all
    }

    /// How many ended trials have a cost.
    pub(crate) fn n_measured(&self) -> usize {
        self.n_measured
    }

    /// Positions of all ended trials, the best first.
    pub(crate) fn ranked(&self) -> &[usize] {
        &self.ranked
    }

    /// Ended trials with a cost, the best first.
    pub(crate) fn best(&self) -> impl Iterator<Item = &Ended> {
        self.ranked[..self.n_measured].iter().map(|i| &self.ended[*i])
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

/// The same with why.
pub(crate) fn noted(mut suggestion: Suggestion, why: &str) -> Suggestion {
    suggestion.notes.insert("why".into(), why.into());
    suggestion
}

/// Spaces of at most so many points are searched without repeats.
const SMALL: u64 = 10_000;
/// Draws before all points of such a space are looked at, or, in others, everything is taken to be tried.
const DRAWS: usize = 1000;
/// Draws from what the user believes before a uniform point is taken.
const BELIEVED_DRAWS: usize = 100;

/// Points that have begun, by default in spaces small enough to run out of them; elsewhere every point is new.
#[derive(Clone, Debug)]
pub(crate) struct Tried(Option<BTreeSet<String>>);

impl Tried {
    pub(crate) fn new(encoder: &Encoder) -> Self {
        Self(encoder.cardinality().is_some_and(|n| n <= SMALL).then(BTreeSet::new))
    }

    /// The same for spaces of any size.
    pub(crate) fn everywhere() -> Self {
        Self(Some(BTreeSet::new()))
    }

    /// The same for spaces of any size that hold no continuum.
    pub(crate) fn discrete(encoder: &Encoder) -> Self {
        let mut domains = encoder.space().parameters().iter().map(|parameter| &parameter.domain);
        Self(domains.all(|domain| domain.cardinality().is_some()).then(BTreeSet::new))
    }

    /// Takes in more events.
    pub(crate) fn tell(&mut self, events: &[HistoryEvent]) {
        let Some(tried) = &mut self.0 else { return };
        for event in events {
            if let HistoryEvent::Started(trial) = event {
                tried.insert(key(&trial.suggestion.assignment));
            }
        }
    }

    /// The same with points that run.
    pub(crate) fn with<'a>(&self, running: impl Iterator<Item = &'a Suggestion>) -> Begun<'_> {
        let mut begun = Begun { tried: self, running: BTreeSet::new() };
        running.for_each(|suggestion| begun.insert(&suggestion.assignment));
        begun
    }
}

/// Points that have begun, as told or as said by whoever asks.
pub(crate) struct Begun<'a> {
    tried: &'a Tried,
    running: BTreeSet<String>,
}

impl Begun<'_> {
    pub(crate) fn insert(&mut self, assignment: &Assignment) {
        if self.tried.0.is_some() {
            self.running.insert(key(assignment));
        }
    }

    /// Whether the point has not begun, as far as that matters.
    pub(crate) fn is_new(&self, assignment: &Assignment) -> bool {
        self.tried.0.as_ref().is_none_or(|tried| {
            let key = key(assignment);
            !tried.contains(&key) && !self.running.contains(&key)
        })
    }

    /// A uniform point that meets the constraints, new if there is one; once everything has been tried, the first draw is
    /// as good as any. `None` if nothing meets the constraints.
    pub(crate) fn uniform(&self, encoder: &Encoder, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let first = encoder.uniform(rng)?;
        if self.is_new(&first) {
            return Some(first);
        }
        Some(self.untried(encoder, rng).unwrap_or(first))
    }

    /// The same with a point drawn from what the user believes; a uniform one where those have all been tried.
    pub(crate) fn believed(&self, encoder: &Encoder, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let mut drawn = (0..BELIEVED_DRAWS).map_while(|_| encoder.believed(rng));
        let new = drawn.find(|assignment| self.is_new(assignment));
        new.or_else(|| self.uniform(encoder, rng))
    }

    /// A uniform point that is new and meets the constraints: by chance, or from all that there are in a small space.
    fn untried(&self, encoder: &Encoder, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let is_open = |point: &Assignment| encoder.space().is_feasible(point) && self.is_new(point);
        let drawn = std::iter::repeat_with(|| encoder.draw(rng)).take(DRAWS).find(is_open);
        drawn.or_else(|| {
            let n = encoder.cardinality().filter(|n| *n <= SMALL)?;
            let points = (0..n).map(|number| encoder.combination(number.into(), 1));
            let open: Vec<Assignment> = points.filter(is_open).collect();
            open.choose(rng).cloned()
        })
    }
}

/// What makes two assignments the same point.
pub(crate) fn key(assignment: &Assignment) -> String {
    format!("{:?}", assignment.0)
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::testing;

    #[test]
    fn ranks_do_not_depend_on_how_history_is_split() {
        let encoder = Encoder::new(&testing::numeric());
        let events: Vec<HistoryEvent> = (0..200)
            .flat_map(|i| {
                let trial = Trial { idx: TrialIdx(i), suggestion: Suggestion::default() };
                let costs = vec![(i * 7 % 40) as f64];
                let outcome = if i % 9 == 0 { Outcome::Failed } else { Outcome::Succeeded { costs } };
                [HistoryEvent::Started(trial), HistoryEvent::Ended { trial: TrialIdx(i), outcome }]
            })
            .collect();
        let (mut whole, mut parts) = (Past::default(), Past::default());
        whole.tell(&encoder, &events);
        for event in &events {
            parts.tell(&encoder, std::slice::from_ref(event));
        }
        assert_eq!(whole.ranked(), parts.ranked());
        assert_eq!(whole.n_measured(), whole.ended.iter().filter(|ended| ended.cost.is_some()).count());
        let costs: Vec<f64> = whole.best().filter_map(|ended| ended.cost).collect();
        assert!(costs.len() == whole.n_measured() && costs.is_sorted());
    }

    /// Two of 9,999 points are feasible; by chance the second would be missed in nine of ten searches.
    #[test]
    fn the_last_untried_point_of_a_small_space_is_found() {
        let int = |name, max| {
            let distribution = study::Distribution::Uniform;
            testing::with(name, study::Domain::Int { min: 1, max, step: 1, distribution })
        };
        let constraint = study::Constraint::parse("a * b >= 9800").unwrap();
        let space = study::Space::new(vec![int("a", 101), int("b", 99)], vec![constraint]).unwrap();
        let encoder = Encoder::new(&space);
        let tried = Tried::new(&encoder);
        let mut begun = tried.with(std::iter::empty());
        let mut rng = crate::rng::Streams::new(1).stream("test", TrialIdx(0));
        let n = (0..9999).filter(|k| space.is_feasible(&encoder.combination(*k, 1))).count();
        for _ in 0..n {
            let point = begun.uniform(&encoder, &mut rng).unwrap();
            assert!(begun.is_new(&point));
            begun.insert(&point);
        }
        assert!(!begun.is_new(&begun.uniform(&encoder, &mut rng).unwrap()), "all have been tried");
    }
}
