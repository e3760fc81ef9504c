//! What has happened, as an algorithm that learns from points wants it: ended trials as points with costs.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, HistoryEvent, Outcome, Study, Suggestion, Trial, TrialIdx, Value};

use crate::encode::Encoder;
use crate::rungs::{Keep, Reached, Rungs};

/// A trial that has ended, or, where trials are compared on rungs, has reached one.
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
    /// How far it had come.
    pub(crate) reached: Reached,
}

impl Ended {
    /// The better come first: those that came farther, as the worse of each rung go no farther; then those of lower cost.
    fn order(&self, other: &Self) -> Ordering {
        let of = |ended: &Self| ended.cost.map_or((0, f64::INFINITY), |cost| (ended.reached.level, cost));
        let ((level, cost), (other_level, other_cost)) = (of(self), of(other));
        other_level.cmp(&level).then(cost.total_cmp(&other_cost))
    }
}

/// Ends told at once above which they are sorted in, not put in one by one.
const MANY: usize = 64;

/// Folded from the events of a study; the same however they are split.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// In the order of their ends.
    pub(crate) ended: Vec<Ended>,
    /// Positions in `ended`, the best first, those without a cost last, in the order of their ends where alike.
    ranked: Vec<usize>,
    n_measured: usize,
    begun: BTreeMap<TrialIdx, Suggestion>,
    /// What trials have taken that have not ended, and those that have, in the order of their ends; where that is told, and
    /// those outside of the space too.
    taken: BTreeMap<TrialIdx, f64>,
    pub(crate) spent: Vec<(TrialIdx, f64)>,
    /// How far trials have come that have not ended; without, only ends count.
    rungs: Option<Rungs>,
    /// Positions in `ended` of trials that have not ended, where the newest of each is kept.
    places: BTreeMap<TrialIdx, usize>,
}

impl Past {
    /// Nothing yet; if the study's scheduler compares trials on rungs, what they report there will count too.
    pub(crate) fn under(study: &Study, keep: Keep) -> Self {
        Self { rungs: Rungs::of(study, keep), ..Self::default() }
    }

    /// Whether trials count that have not run to their ends, each with how far it has come.
    pub(crate) fn has_rungs(&self) -> bool {
        self.rungs.is_some()
    }

    /// Takes in more events. Ends of unknown trials are passed over, and so are trials of another space: they say nothing
    /// that could be placed in this one.
    pub(crate) fn tell(&mut self, encoder: &Encoder, events: &[HistoryEvent]) {
        let known = self.ended.len();
        let mut replaced = false;
        for event in events {
            match event {
                HistoryEvent::Started(trial) => {
                    if encoder.space().fits(&trial.suggestion.assignment) {
                        self.begun.insert(trial.idx, trial.suggestion.clone());
                    }
                }
                HistoryEvent::Reported { trial, step, costs } => {
                    let (Some(rungs), Some(suggestion)) = (&mut self.rungs, self.begun.get(trial)) else {
                        continue;
                    };
                    let Some(reached) = rungs.report(*trial, *step) else { continue };
                    let (suggestion, cost) = (suggestion.clone(), costs.first().copied());
                    replaced |= self.put(encoder, *trial, suggestion, cost, reached, false);
                }
                HistoryEvent::Paused { .. } | HistoryEvent::Resumed { .. } => {}
                HistoryEvent::Spent { trial, amount } => {
                    self.taken.insert(*trial, *amount);
                }
                HistoryEvent::Ended { trial, outcome } => {
                    self.spent.extend(self.taken.remove(trial).map(|amount| (*trial, amount)));
                    let Some(suggestion) = self.begun.remove(trial) else { continue };
                    let (cost, whole) = (outcome.cost(), matches!(outcome, Outcome::Succeeded { .. }));
                    let failed = !cost.is_some_and(f64::is_finite);
                    let reached = match &mut self.rungs {
                        None => Some(Reached::WHOLE),
                        Some(rungs) => rungs.end(*trial, whole && !failed, failed),
                    };
                    if let Some(reached) = reached {
                        replaced |= self.put(encoder, *trial, suggestion, cost, reached, true);
                    }
                    self.places.remove(trial);
                }
            }
        }
        if replaced {
            self.ranked.clear();
            self.n_measured = 0;
        }
        self.rank(if replaced { 0 } else { known });
    }

    /// Puts what a trial has reached behind all others, or in the place of what it had reached before; whether the latter.
    fn put(
        &mut self,
        encoder: &Encoder,
        idx: TrialIdx,
        suggestion: Suggestion,
        cost: Option<f64>,
        reached: Reached,
        is_end: bool,
    ) -> bool {
        let x = encoder.encode(&suggestion.assignment);
        let ended = Ended { idx, suggestion, x, cost: cost.filter(|cost| cost.is_finite()), reached };
        if let Some(place) = self.places.get(&idx) {
            self.ended[*place] = ended;
            return true;
        }
        if !is_end && self.rungs.as_ref().is_some_and(|rungs| rungs.keep == Keep::Newest) {
            self.places.insert(idx, self.ended.len());
        }
        self.ended.push(ended);
        false
    }

    /// Ranks what has ended from a position on.
    fn rank(&mut self, known: usize) {
        let order = |i: &usize, j: &usize| self.ended[*i].order(&self.ended[*j]);
        self.n_measured += self.ended[known..].iter().filter(|ended| ended.cost.is_some()).count();
        if self.ended.len() - known > MANY {
            self.ranked.extend(known..self.ended.len());
            self.ranked.sort_by(order);
            return;
        }
        for i in known..self.ended.len() {
            let at = self.ranked.partition_point(|other| order(other, &i).is_le());
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

    /// Trials of this space that have begun and not ended, nor reached anything that counts, as told or as said by whoever
    /// asks, by number.
    pub(crate) fn running(&self, encoder: &Encoder, running: &[Trial]) -> BTreeMap<TrialIdx, Suggestion> {
        let fits = |trial: &&Trial| encoder.space().fits(&trial.suggestion.assignment);
        let mut all = self.begun.clone();
        all.extend(running.iter().filter(fits).map(|trial| (trial.idx, trial.suggestion.clone())));
        // What has a place already is not to count twice.
        all.retain(|idx, _| !self.places.contains_key(idx));
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
    mut running: Running<'_>,
    mut ask: impl FnMut(TrialIdx, &Running<'_>) -> Option<Suggestion>,
) -> Vec<Suggestion> {
    let mut suggestions = Vec::new();
    for slot in (slots.start.0..slots.end.0).map(TrialIdx) {
        let Some(suggestion) = ask(slot, &running) else { break };
        running.begin(slot, suggestion.clone());
        suggestions.push(suggestion);
    }
    suggestions
}

/// Trials that run, as one slot of a question sees them.
pub(crate) struct Running<'a> {
    /// By number.
    pub(crate) trials: BTreeMap<TrialIdx, Suggestion>,
    /// Their points, with those of all that began before.
    pub(crate) begun: Begun<'a>,
}

impl<'a> Running<'a> {
    pub(crate) fn new(tried: &'a Tried, trials: BTreeMap<TrialIdx, Suggestion>) -> Self {
        Self { begun: tried.with(trials.values()), trials }
    }

    fn begin(&mut self, slot: TrialIdx, suggestion: Suggestion) {
        self.begun.insert(&suggestion.assignment);
        if self.trials.insert(slot, suggestion).is_some() {
            // A trial that runs was asked for again: it has left its point.
            self.begun = self.begun.tried.with(self.trials.values());
        }
    }
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
pub(crate) struct Tried(Option<BTreeSet<Key>>);

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
    running: BTreeSet<Key>,
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

/// What makes two assignments of a space the same point: the bits of each value.
pub(crate) type Key = Box<[Option<u64>]>;

pub(crate) fn key(assignment: &Assignment) -> Key {
    let bits = |value: Value| match value {
        Value::Float(x) => x.to_bits(),
        Value::Int(n) => n as u64,
        Value::Choice(i) => i as u64,
    };
    assignment.0.iter().map(|value| value.map(bits)).collect()
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::testing;

    /// On rungs at 1 and 3 of 9 steps.
    fn on_rungs(keep: Keep, events: &[HistoryEvent]) -> Past {
        let early_stopping = Some(crate::settings::algorithm("asha", &[("r_l", "9"), ("r_min", "1")]));
        let study = Study { early_stopping, ..testing::study("test", testing::mixed()) };
        let (mut whole, mut parts) = (Past::under(&study, keep), Past::under(&study, keep));
        let encoder = Encoder::new(&study.space);
        whole.tell(&encoder, events);
        events.iter().for_each(|event| parts.tell(&encoder, std::slice::from_ref(event)));
        assert_eq!(
            (&whole.ended, whole.ranked(), whole.n_measured()),
            (&parts.ended, parts.ranked(), parts.n_measured())
        );
        whole
    }

    #[test]
    fn who_came_farther_is_better_and_counts_once_or_on_each_rung() {
        let begun = |idx| {
            let point = Encoder::new(&testing::mixed()).decode(&[0.5; 3]);
            HistoryEvent::Started(Trial { idx: TrialIdx(idx), suggestion: suggestion(point, "test") })
        };
        let at = |idx, step, cost| HistoryEvent::Reported { trial: TrialIdx(idx), step, costs: vec![cost] };
        let ended = |idx, outcome| HistoryEvent::Ended { trial: TrialIdx(idx), outcome };
        let stopped = |cost| Outcome::EarlyStopped { costs: vec![cost] };
        let events = [
            begun(0),
            begun(1),
            begun(2),
            begun(3),
            at(0, 1, 1.0),
            at(1, 1, 2.0),
            at(2, 1, 3.0),
            at(2, 2, 2.9),
            ended(0, stopped(1.0)),
            at(1, 3, 1.5),
            ended(3, Outcome::Failed),
            ended(2, stopped(2.9)),
        ];
        let newest = on_rungs(Keep::Newest, &events);
        let ranked = |past: &Past| -> Vec<(u64, Option<f64>)> {
            past.ranked().iter().map(|i| (past.ended[*i].idx.0, past.ended[*i].cost)).collect()
        };
        assert_eq!(ranked(&newest), [(1, Some(1.5)), (0, Some(1.0)), (2, Some(2.9)), (3, None)]);
        assert_eq!(newest.n_measured(), 3);
        let encoder = Encoder::new(&testing::mixed());
        assert_eq!(newest.running(&encoder, &[]).len(), 0, "the one that runs has its place");
        let all = on_rungs(Keep::All, &events);
        let fidelities: Vec<(u64, f64)> = all.ended.iter().map(|e| (e.idx.0, e.reached.fidelity)).collect();
        let (half, two) = (0.5, 2_f64.ln() / 9_f64.ln());
        assert_eq!(fidelities, [(0, 0.0), (1, 0.0), (2, 0.0), (1, half), (3, 0.0), (2, two)]);
        assert_eq!(all.running(&encoder, &[]).len(), 1);
    }

    #[test]
    fn ranks_do_not_depend_on_how_history_is_split() {
        let encoder = Encoder::new(&testing::numeric());
        let events: Vec<HistoryEvent> = (0..200)
            .flat_map(|i| {
                let trial =
                    Trial { idx: TrialIdx(i), suggestion: suggestion(encoder.decode(&[0.5; 5]), "test") };
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
