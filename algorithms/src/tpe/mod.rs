//! The tree-structured Parzen estimator: points are drawn where good trials are dense and others are not.
//!
//! Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS: with l(x) the density of the best
//! share gamma of the trials and g(x) that of the others, the expected improvement grows with l(x) / g(x) (eq. 3). The
//! multivariate form has one density over all parameters (Falkner et al. 2018, arXiv:1807.01774). Trials that run count
//! among the others, so that slots of a batch keep away from each other.

mod parzen;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use study::{Assignment, Domain, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::{Encoder, cell_bounds, decode_value};
use crate::past::{Past, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

use parzen::{Axis, Parzen, Width};

/// Most good trials, whatever the share (Bergstra et al. 2013, hyperopt).
const MAX_GOOD: usize = 25;
/// Lattices of more values are taken for a continuum.
const MAX_CELLS: u64 = 64;
/// Points drawn before chance takes over, where constraints or repeats refuse some.
const TRIES: usize = 32;

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TpeSettings {
    /// Share of the trials that count as good, in (0, 1). 0.25 as in hyperopt.
    pub gamma: f64,
    /// Weight of the prior against that of one trial, above 0.
    pub prior_weight: f64,
    /// Points drawn for each one proposed, at least 1. 24 as in hyperopt.
    pub n_candidates: usize,
    /// Measured trials before which points come from a Sobol design.
    pub n_startup: usize,
}

impl TpeSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let share = |x: &f64| *x > 0.0 && *x < 1.0;
        let gamma = reader.get("gamma", 0.25, "a number between 0 and 1", share)?;
        let weight = |x: &f64| *x > 0.0 && x.is_finite();
        let prior_weight = reader.get("prior_weight", 1.0, "a number above 0", weight)?;
        let candidates = |n: &usize| (1..=100_000).contains(n);
        let allowed = "a whole number from 1 to 100000";
        let hyperopt = reader.get("n_EI_candidates", 24, allowed, candidates)?;
        let n_candidates = reader.get("n_ei_candidates", hyperopt, allowed, candidates)?;
        let n_startup = reader.get("n_startup_trials", 10, "a whole number", |_| true)?;
        reader.finish()?;
        Ok(Self { gamma, prior_weight, n_candidates, n_startup })
    }
}

/// Draws points where good trials are dense and others are not.
#[derive(Debug)]
pub struct Tpe {
    settings: TpeSettings,
    multivariate: bool,
    name: &'static str,
    encoder: Encoder,
    axes: Vec<Axis>,
    start: Sequence,
    past: Past,
    /// Ended trials as points, NaN for inactive parameters; in the order of the past.
    points: Vec<Vec<f64>>,
    tried: Tried,
}

impl Tpe {
    /// One density for each parameter.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn univariate(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, false)
    }

    /// One density over all parameters.
    ///
    /// # Errors
    /// As [`Tpe::univariate`].
    pub fn multivariate(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, true)
    }

    fn new(study: &Study, multivariate: bool) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        Ok(Self {
            settings: TpeSettings::read(study)?,
            multivariate,
            name: if multivariate { "multivariate-tpe" } else { "tpe" },
            axes: study.space.parameters().iter().map(|parameter| axis(&parameter.domain)).collect(),
            start: Sequence::new(encoder.dims(), &Streams::new(study.seed), "tpe/start"),
            past: Past::default(),
            points: Vec::new(),
            tried: Tried::new(&encoder),
            encoder,
        })
    }

    fn ask_one(
        &self,
        slot: TrialIdx,
        running: &BTreeMap<TrialIdx, Suggestion>,
        streams: Streams,
    ) -> Option<Suggestion> {
        let begun = self.tried.with(running.values());
        let mut rng = streams.stream(self.name, slot);
        if self.past.n_measured() < self.settings.n_startup {
            let start = design(&self.encoder, &self.start, slot, streams, self.name)?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "start design"));
            }
        } else {
            let running: Vec<Vec<f64>> =
                running.values().map(|suggestion| self.point(&suggestion.assignment)).collect();
            let split = self.split(&running);
            let why = format!("{} good, {} others", split.good.len(), split.others.len());
            let propose = self.proposer(&split);
            let drawn = (0..TRIES).filter_map(|_| propose(&mut rng));
            let is_good = |assignment: &Assignment| self.encoder.space().is_feasible(assignment);
            let mut drawn = drawn.filter(|assignment| is_good(assignment) && begun.is_new(assignment));
            if let Some(assignment) = drawn.next() {
                return Some(noted(suggestion(assignment, self.name), &why));
            }
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, self.name), "by chance"))
    }

    /// The good trials and the others, running ones among them.
    fn split<'a>(&'a self, running: &'a [Vec<f64>]) -> Split<'a> {
        let n_good =
            ((self.settings.gamma * self.past.n_measured() as f64).ceil() as usize).clamp(1, MAX_GOOD);
        let ranked = self.past.ranked().iter().map(|i| self.points[*i].as_slice());
        let mut good: Vec<&[f64]> = ranked.collect();
        let mut others = good.split_off(n_good.min(good.len()));
        others.extend(running.iter().map(Vec::as_slice));
        Split { good, others }
    }

    /// Draws points from the densities of a split, which are built once.
    fn proposer<'a>(&'a self, split: &'a Split<'a>) -> Propose<'a> {
        if self.multivariate {
            let all = |points: &[&[f64]]| (0..self.axes.len()).map(|i| column(points, i)).collect();
            let densities = self.densities(&self.axes, split, all, Width::Scott);
            return Box::new(move |rng| self.joint(&densities, rng));
        }
        let densities: Vec<OnceCell<Densities>> = self.axes.iter().map(|_| OnceCell::new()).collect();
        Box::new(move |rng| Some(self.by_parameter(split, &densities, rng)))
    }

    fn densities(
        &self,
        axes: &[Axis],
        split: &Split<'_>,
        columns: impl Fn(&[&[f64]]) -> Vec<Vec<f64>>,
        width: Width,
    ) -> Densities {
        let of = |points: &[&[f64]]| Parzen::new(axes, columns(points), self.settings.prior_weight, width);
        Densities { good: of(&split.good), others: of(&split.others) }
    }

    /// A point with NaN for inactive parameters.
    fn point(&self, assignment: &Assignment) -> Vec<f64> {
        let mut x = self.encoder.encode(assignment);
        for (i, x) in x.iter_mut().enumerate() {
            if assignment.get(i).is_none() {
                *x = f64::NAN;
            }
        }
        x
    }

    /// The best of some points drawn from the joint density of the good trials; `None` if none is feasible.
    fn joint(&self, densities: &Densities, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let mut scratch = Vec::new();
        let mut best: Option<(f64, Assignment)> = None;
        for _ in 0..self.settings.n_candidates {
            let assignment = self.encoder.decode(&densities.good.draw(rng));
            if !self.encoder.space().is_feasible(&assignment) {
                continue;
            }
            let gain = densities.gain(&self.point(&assignment), &mut scratch);
            if best.as_ref().is_none_or(|(best, _)| gain > *best) {
                best = Some((gain, assignment));
            }
        }
        best.map(|(_, assignment)| assignment)
    }

    /// Parameter by parameter, parents first, each from the trials that had it.
    fn by_parameter(
        &self,
        split: &Split<'_>,
        densities: &[OnceCell<Densities>],
        rng: &mut ChaCha8Rng,
    ) -> Assignment {
        let space = self.encoder.space();
        let mut assignment = Assignment(vec![None; space.parameters().len()]);
        let mut scratch = Vec::new();
        for &i in space.parents_first() {
            if !space.is_active(i, &assignment) {
                continue;
            }
            let densities = densities[i].get_or_init(|| {
                let active = |points: &[&[f64]]| {
                    let mut column = column(points, i);
                    column.retain(|x| !x.is_nan());
                    vec![column]
                };
                self.densities(std::slice::from_ref(&self.axes[i]), split, active, Width::Neighbours)
            });
            let mut best = (f64::NEG_INFINITY, 0.5);
            for _ in 0..self.settings.n_candidates {
                let x = densities.good.draw(rng);
                let gain = densities.gain(&x, &mut scratch);
                if gain > best.0 {
                    best = (gain, x[0]);
                }
            }
            assignment.0[i] = Some(decode_value(&space.parameters()[i].domain, best.1));
        }
        assignment
    }
}

/// Draws a point; `None` if none that it looked at is feasible.
type Propose<'a> = Box<dyn Fn(&mut ChaCha8Rng) -> Option<Assignment> + 'a>;

/// Ended trials as points, NaN where inactive.
struct Split<'a> {
    good: Vec<&'a [f64]>,
    others: Vec<&'a [f64]>,
}

/// `l` and `g` of Bergstra et al. 2011, eq. 2.
struct Densities {
    good: Parzen,
    others: Parzen,
}

impl Densities {
    /// Logarithm of `l(x) / g(x)`.
    fn gain(&self, x: &[f64], scratch: &mut Vec<f64>) -> f64 {
        self.good.log_density(x, scratch) - self.others.log_density(x, scratch)
    }
}

fn column(points: &[&[f64]], axis: usize) -> Vec<f64> {
    points.iter().map(|point| point[axis]).collect()
}

fn axis(domain: &Domain) -> Axis {
    match (domain, domain.cardinality()) {
        (Domain::Categorical { choices, .. }, _) => Axis::Names(choices.len()),
        (_, Some(n)) if n <= MAX_CELLS => Axis::Cells((0..n).map(|k| cell_bounds(domain, k)).collect()),
        _ => Axis::Line,
    }
}

impl Sampler for Tpe {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        self.past.tell(&self.encoder, events);
        for ended in &self.past.ended[self.points.len()..] {
            self.points.push(self.point(&ended.suggestion.assignment));
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        one_by_one(slots, self.past.running(running), |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing;

    fn tpe(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Tpe::univariate(study)?))
    }

    fn joint(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Tpe::multivariate(study)?))
    }

    fn random(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Random::new(study)?))
    }

    #[test]
    fn keep_the_contract() {
        testing::contract(&tpe, &testing::spaces());
        testing::contract(&joint, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&tpe);
        testing::no_point_twice_while_others_are_untried(&joint);
    }

    /// Were they equal, 40 or more of 50 would have probability 1.2e-5.
    #[test]
    fn beat_random_search_on_branin() {
        let wins = testing::wins(&tpe, &random, 50, 2, 60, &testing::branin);
        assert!(wins >= 40, "univariate: {wins} of 50");
        let wins = testing::wins(&joint, &random, 50, 2, 60, &testing::branin);
        assert!(wins >= 40, "multivariate: {wins} of 50");
    }

    /// Both look at ranks alone.
    #[test]
    fn a_rising_map_of_costs_changes_nothing() {
        for make in [&tpe as testing::Make<'_>, &joint] {
            let plain = testing::best_of(make, 2, 3, 40, &testing::branin);
            let cubed = testing::best_of(make, 2, 3, 40, &|x| testing::branin(x).powi(3));
            assert!((plain.powi(3) - cubed).abs() < 1e-9);
        }
    }
}
