//! Grid search: every combination once, the last parameter running fastest.

use std::collections::BTreeSet;
use std::ops::Range;

use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::{Key, key, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

/// Points of a continuum without a step, both bounds among them.
const POINTS: u64 = 10;
/// Combinations in a row that break a constraint or repeat others before the rest is taken to do so too.
const LOOK_AHEAD: u128 = 1_000_000;

/// Walks through all combinations; where conditions make several the same, it is taken once.
#[derive(Debug)]
pub struct Grid {
    encoder: Encoder,
    /// Number of values of each parameter.
    sizes: Vec<u64>,
    /// Points that have begun.
    tried: BTreeSet<Key>,
    /// All combinations before this one have been tried, are repeats, or break a constraint.
    next: u128,
}

impl Grid {
    /// Grid search over the study's space. A continuum without a step is cut into 10 points.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        let encoder = Encoder::new(&study.space);
        let parameters = study.space.parameters().iter();
        let sizes = parameters.map(|parameter| parameter.domain.cardinality().unwrap_or(POINTS)).collect();
        Ok(Self { encoder, sizes, tried: BTreeSet::new(), next: 0 })
    }

    /// Number of combinations, conditions and constraints not looked at.
    pub fn size(&self) -> u128 {
        self.sizes.iter().fold(1, |n: u128, size| n.saturating_mul(u128::from(*size)))
    }

    /// The first combination from `start` on that is in the space and not among `begun`.
    fn first_open(&self, start: u128, begun: &BTreeSet<Key>) -> Option<(u128, Assignment)> {
        let mut number = start;
        while number < self.size().min(start.saturating_add(LOOK_AHEAD)) {
            let point = self.encoder.combination(number, POINTS);
            let key = key(&point);
            if self.encoder.space().is_feasible(&point) && !self.tried.contains(&key) && !begun.contains(&key)
            {
                return Some((number, point));
            }
            number += 1;
        }
        None
    }
}

impl Sampler for Grid {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            if let HistoryEvent::Started(trial) = event {
                self.tried.insert(key(&trial.suggestion.assignment));
            }
        }
        self.next = self.first_open(self.next, &BTreeSet::new()).map_or(self.size(), |(number, _)| number);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], _: &Streams) -> Vec<Suggestion> {
        let mut begun: BTreeSet<Key> =
            running.iter().map(|trial| key(&trial.suggestion.assignment)).collect();
        let mut start = self.next;
        let mut suggestions = Vec::new();
        for _ in slots.start.0..slots.end.0 {
            let Some((number, point)) = self.first_open(start, &begun) else { break };
            begun.insert(key(&point));
            start = number + 1;
            suggestions.push(suggestion(point, "grid"));
        }
        suggestions
    }
}

#[cfg(test)]
mod tests {
    use study::{Distribution, Domain, Value};

    use super::*;
    use crate::testing;

    fn make(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Grid::new(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&make, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&make);
        testing::hostile(&make);
    }

    #[test]
    fn every_combination_comes_once_and_then_none() {
        let study = testing::study("grid", testing::tiny());
        let mut grid = Grid::new(&study).unwrap();
        let streams = Streams::new(1);
        let all = grid.ask(TrialIdx(0)..TrialIdx(100), &[], &streams);
        let points: BTreeSet<Key> = all.iter().map(|suggestion| key(&suggestion.assignment)).collect();
        assert_eq!((all.len(), points.len()), (6, 6));
        let first = Trial { idx: TrialIdx(0), suggestion: all[0].clone() };
        grid.tell(&[HistoryEvent::Started(first)]);
        assert_eq!(grid.ask(TrialIdx(1)..TrialIdx(100), &[], &streams), all[1..]);
    }

    #[test]
    fn a_constraint_that_nothing_meets_ends_it() {
        let parameters = (0..12).map(|i| testing::float(&format!("x{i}"))).collect();
        let constraint = study::Constraint::parse("x0 > 10").unwrap();
        let space = study::Space::new(parameters, vec![constraint]).unwrap();
        let grid = Grid::new(&testing::study("grid", space)).unwrap();
        assert_eq!(grid.ask(TrialIdx(0)..TrialIdx(1), &[], &Streams::new(1)), []);
    }

    #[test]
    fn a_continuum_is_cut_into_ten_points_with_its_bounds() {
        let domain =
            Domain::Float { min: 0.01, max: 1.0, step: None, distribution: Distribution::LogUniform };
        let space = study::Space::new(vec![testing::with("x", domain)], vec![]).unwrap();
        let grid = Grid::new(&testing::study("grid", space)).unwrap();
        let all = grid.ask(TrialIdx(0)..TrialIdx(20), &[], &Streams::new(1));
        assert_eq!(all.len(), 10);
        assert_eq!(all[0].assignment.0, [Some(Value::Float(0.01))]);
        assert_eq!(all[9].assignment.0, [Some(Value::Float(1.0))]);
    }
}
