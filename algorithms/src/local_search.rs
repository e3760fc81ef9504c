//! Local search: neighbours of the best point so far, near ones after failures and farther ones after successes.
//!
//! The step follows the one-fifth rule (Rechenberg 1973; in this form Kern et al. 2004, Nat. Comput. 3:77, eq. 6). A search
//! that is spent begins anew elsewhere. Nobody is waited for: a trial that is wanted gets a neighbour of what is
//! the best by then.

use std::ops::Range;

use rand::RngExt as _;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::mutation::mutated;
use crate::past::{Ended, Past, Running, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

/// Deviation of the first steps, in the unit cube.
const STEP: f64 = 0.2;
/// The largest step.
const WIDEST: f64 = 0.5;
/// Growth of a step after a success, as a logarithm, and what a failure takes back: four failures for each success keep it.
const GROWTH: f64 = 0.4;
const SHRINKAGE: f64 = GROWTH / 4.0;
/// Share of the neighbours that differ in two parameters, not one.
const TWO: f64 = 0.5;
/// Neighbours looked at before the search is taken to be spent, where constraints or repeats refuse some.
const TRIES: usize = 100;
/// Where a trial keeps the number of its search.
const NOTE: &str = "search";

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalSearchSettings {
    /// Points of a Sobol design before the first search.
    pub n_startup: usize,
    /// The step, as a share of each parameter's range, below which a search is spent.
    pub least_step: f64,
}

impl LocalSearchSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let n_startup = reader.get("n_startup_trials", 10, "a whole number of at least 1", |n| *n >= 1)?;
        let share = |x: &f64| *x > 0.0 && *x < STEP;
        let least_step = reader.get("least_step", 0.001, "a number above 0 and below 0.2", share)?;
        reader.finish()?;
        Ok(Self { n_startup, least_step })
    }
}

/// Looks around the best point so far.
#[derive(Debug)]
pub struct LocalSearch {
    settings: LocalSearchSettings,
    encoder: Encoder,
    start: Sequence,
    past: Past,
    tried: Tried,
    /// How many searches have been spent.
    spent: u64,
    /// Measured trials of this search.
    n_measured: usize,
    best: Option<(Assignment, f64)>,
    step: f64,
}

impl LocalSearch {
    /// Local search over the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        Ok(Self {
            settings: LocalSearchSettings::read(study)?,
            start: Sequence::new(encoder.dims(), &Streams::new(study.seed), "local-search/start"),
            past: Past::default(),
            tried: Tried::everywhere(),
            spent: 0,
            n_measured: 0,
            best: None,
            step: STEP,
            encoder,
        })
    }

    fn ask_one(&self, slot: TrialIdx, running: &Running<'_>, streams: Streams) -> Option<Suggestion> {
        let begun = &running.begun;
        let mut rng = streams.stream("local-search", slot);
        let is_open = |point: &Assignment| self.encoder.space().is_feasible(point) && begun.is_new(point);
        let numbered = |suggestion: Suggestion, why: &str| {
            let mut suggestion = noted(suggestion, why);
            suggestion.notes.insert(NOTE.into(), self.spent.to_string());
            Some(suggestion)
        };
        if let Some((best, _)) = self.best.as_ref().filter(|_| self.n_measured >= self.n_starts()) {
            let neighbours = std::iter::repeat_with(|| {
                let n = if rng.random::<f64>() < TWO { 2 } else { 1 };
                mutated(&self.encoder, best, n, self.step, &mut rng)
            });
            if let Some(neighbour) = neighbours.take(TRIES).find(is_open) {
                return numbered(suggestion(neighbour, "local-search"), "near the best so far");
            }
        } else {
            let start = design(&self.encoder, &self.start, slot, streams, "local-search")?;
            if begun.is_new(&start.assignment) {
                return numbered(start, "start of a search");
            }
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        numbered(suggestion(assignment, "local-search"), "by chance")
    }

    /// Points from which a search takes the best to begin with.
    fn n_starts(&self) -> usize {
        if self.spent == 0 { self.settings.n_startup } else { 1 }
    }

    fn take_in(&mut self, ended: Ended) {
        let number =
            ended.suggestion.notes.get(NOTE).and_then(|text| text.parse().ok()).unwrap_or(self.spent);
        if number != self.spent {
            return;
        }
        let starting = self.n_measured < self.n_starts();
        let better = ended.cost.filter(|cost| self.best.as_ref().is_none_or(|(_, best)| cost < best));
        self.n_measured += usize::from(ended.cost.is_some());
        if let Some(cost) = better {
            self.best = Some((ended.suggestion.assignment, cost));
        }
        if starting {
            return;
        }
        let change = if better.is_some() { GROWTH } else { -SHRINKAGE };
        self.step = (self.step * change.exp()).min(WIDEST);
        if self.step < self.settings.least_step {
            (self.spent, self.n_measured, self.best, self.step) = (self.spent + 1, 0, None, STEP);
        }
    }
}

impl Sampler for LocalSearch {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        for ended in self.past.newly_ended(&self.encoder, events) {
            self.take_in(ended);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let running = Running::new(&self.tried, self.past.running(&self.encoder, running));
        one_by_one(slots, running, |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::testing;

    fn local(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(LocalSearch::new(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&local, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&local);
        testing::hostile(&local);
    }

    /// Were they equal, 40 or more of 50 would have probability 1.2e-5.
    #[test]
    fn beats_random_search_on_branin() {
        let wins = testing::wins(&local, &testing::random, 50, 2, 60, &testing::branin);
        assert!(wins >= 40, "{wins} of 50");
    }

    /// The first cost is the least: nothing is ever better.
    #[test]
    fn a_spent_search_begins_anew_elsewhere() {
        let study = testing::study("local-search", testing::mixed());
        let (mut local, streams) = (LocalSearch::new(&study).unwrap(), Streams::new(1));
        let mut starts = Vec::new();
        for idx in (0..150).map(TrialIdx) {
            let suggestion = local.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            if suggestion.notes["why"] == "start of a search" {
                starts.push(idx.0);
            }
            let outcome = Outcome::Succeeded { costs: vec![idx.0 as f64] };
            let trial = Trial { idx, suggestion };
            local.tell(&[HistoryEvent::Started(trial), HistoryEvent::Ended { trial: idx, outcome }]);
        }
        assert!(starts.len() > 10 && starts[..10] == (0..10).collect::<Vec<u64>>()[..], "{starts:?}");
        assert_eq!(local.spent, starts.len() as u64 - 10);
    }
}
