//! The tree-structured Parzen estimator: points are drawn where good trials are dense and others are not.
//!
//! Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS: with l(x) the density of the best
//! share gamma of the trials and g(x) that of the others, the expected improvement grows with l(x) / g(x) (eq. 3). The
//! multivariate form has one density over all parameters (Falkner et al. 2018, arXiv:1807.01774). Trials that run count
//! among the others, so that slots of a batch keep away from each other.

mod parzen;

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
            tried: Tried::new(&encoder),
            encoder,
        })
    }

    fn ask_one(
        &self,
        slot: TrialIdx,
        model: &Model,
        running: &BTreeMap<TrialIdx, Suggestion>,
        streams: Streams,
    ) -> Option<Suggestion> {
        let begun = self.tried.with(running.values());
        let mut rng = streams.stream(self.name, slot);
        if model.n < self.settings.n_startup {
            let start = design(&self.encoder, &self.start, slot, streams, self.name)?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "start design"));
            }
        } else {
            let split = self.split(model, running);
            for _ in 0..TRIES {
                let assignment = if self.multivariate {
                    self.joint(&split, &mut rng)
                } else {
                    Some(self.by_parameter(&split, &mut rng))
                };
                if let Some(assignment) = assignment
                    && self.encoder.space().is_feasible(&assignment)
                    && begun.is_new(&assignment)
                {
                    let why = format!(
                        "{} good of {} trials",
                        split.good.len(),
                        split.good.len() + split.others.len()
                    );
                    return Some(noted(suggestion(assignment, self.name), &why));
                }
            }
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, self.name), "by chance"))
    }

    /// The good trials and the others, running ones among them.
    fn split(&self, model: &Model, running: &BTreeMap<TrialIdx, Suggestion>) -> Split {
        let n_good = ((self.settings.gamma * model.n as f64).ceil() as usize).clamp(1, MAX_GOOD);
        let (good, rest) = model.points.split_at(n_good.min(model.points.len()));
        let mut others = rest.to_vec();
        others.extend(running.values().map(|suggestion| self.point(&suggestion.assignment)));
        Split { good: good.to_vec(), others }
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
    fn joint(&self, split: &Split, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let prior = self.settings.prior_weight;
        let good = Parzen::new(&self.axes, &split.good, prior, Width::Scott);
        let others = Parzen::new(&self.axes, &split.others, prior, Width::Scott);
        let mut scratch = Vec::new();
        let mut best: Option<(f64, Assignment)> = None;
        for _ in 0..self.settings.n_candidates {
            let assignment = self.encoder.decode(&good.draw(rng));
            if !self.encoder.space().is_feasible(&assignment) {
                continue;
            }
            let x = self.point(&assignment);
            let gain = good.log_density(&x, &mut scratch) - others.log_density(&x, &mut scratch);
            if best.as_ref().is_none_or(|(best, _)| gain > *best) {
                best = Some((gain, assignment));
            }
        }
        best.map(|(_, assignment)| assignment)
    }

    /// Parameter by parameter, parents first, each from the trials that had it.
    fn by_parameter(&self, split: &Split, rng: &mut ChaCha8Rng) -> Assignment {
        let space = self.encoder.space();
        let mut assignment = Assignment(vec![None; space.parameters().len()]);
        let mut scratch = Vec::new();
        for &i in space.parents_first() {
            if !space.is_active(i, &assignment) {
                continue;
            }
            let column = |points: &[Vec<f64>]| -> Vec<Vec<f64>> {
                points.iter().map(|point| point[i]).filter(|x| !x.is_nan()).map(|x| vec![x]).collect()
            };
            let (axis, prior) = (std::slice::from_ref(&self.axes[i]), self.settings.prior_weight);
            let good = Parzen::new(axis, &column(&split.good), prior, Width::Neighbours);
            let others = Parzen::new(axis, &column(&split.others), prior, Width::Neighbours);
            let mut best = (f64::NEG_INFINITY, 0.5);
            for _ in 0..self.settings.n_candidates {
                let x = good.draw(rng);
                let gain = good.log_density(&x, &mut scratch) - others.log_density(&x, &mut scratch);
                if gain > best.0 {
                    best = (gain, x[0]);
                }
            }
            assignment.0[i] = Some(decode_value(&space.parameters()[i].domain, best.1));
        }
        assignment
    }

    /// All ended trials as points, the best first, those without a cost last.
    fn model(&self) -> Model {
        let mut ranked: Vec<(f64, Vec<f64>)> = self
            .past
            .ended
            .iter()
            .map(|ended| (ended.cost.unwrap_or(f64::INFINITY), self.point(&ended.suggestion.assignment)))
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = ranked.iter().filter(|(cost, _)| cost.is_finite()).count();
        Model { n, points: ranked.into_iter().map(|(_, point)| point).collect() }
    }
}

/// Ended trials, the best first.
struct Model {
    /// How many have a cost.
    n: usize,
    points: Vec<Vec<f64>>,
}

struct Split {
    good: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
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
        self.past.tell(&self.encoder, events);
        self.tried.tell(events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let model = self.model();
        one_by_one(slots, self.past.running(running), |slot, running| {
            self.ask_one(slot, &model, running, *streams)
        })
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
