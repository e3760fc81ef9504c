//! Bayesian optimisation with a Gaussian process: a model of the cost, and the point that promises most under it.
//!
//! Jones, Schonlau and Welch 1998, J. Glob. Optim. 13:455, with a Matern 5/2 kernel, most probable hyperparameters
//! under dimension-scaled priors, and the logarithm of the expected improvement. Names differ or not; a parameter that
//! only one of two points has makes them differ. Trials that run are taken to end as expected of them.

mod acquisition;
mod fit;
mod kernel;
mod matrix;
mod scale;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::{Assignment, HistoryEvent, Space, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::{Begun, Past, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

use acquisition::Acquisition;
use fit::{Posterior, fit};
use kernel::{Measure, measures, point};
use scale::standardised;

/// What it is called in notes.
const NAME: &str = "bayesianoptimization";
/// Most trials in a fit: the best ones, and the newest.
const MAX_POINTS: usize = 200;
/// Of which best.
const MAX_BEST: usize = 100;
/// Points of the whole space that are looked at for each proposal.
const GLOBAL: usize = 512;
/// The most promising of them, and the best trials, are improved upon by random steps.
const LOCAL: usize = 5;
/// Steps from each, for each of the step sizes.
const STEPS: usize = 24;
/// Step sizes in units of the unit cube.
const STEP_SIZES: [f64; 4] = [0.1, 0.03, 0.01, 0.003];

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpSettings {
    /// Trials of a Sobol design before the first fit; 10 as in scikit-optimize.
    pub n_initial_points: usize,
    acquisition: Acquisition,
}

impl GpSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let n_initial_points = reader.get("n_initial_points", 10, "a whole number", |_| true)?;
        let one_of = |names: &'static [&'static str]| move |name: &String| names.contains(&name.as_str());
        // Other estimators than the Gaussian process, other optimizers and hedging are accepted and not used.
        reader.get(
            "base_estimator",
            "GP".to_owned(),
            "GP, RF, ET or GBRT",
            one_of(&["GP", "RF", "ET", "GBRT"]),
        )?;
        let acquisitions = &["gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"];
        let acquisition = reader.get(
            "acq_func",
            "EI".to_owned(),
            "gp_hedge, LCB, EI, PI, EIps or PIps",
            one_of(acquisitions),
        )?;
        let optimizers = one_of(&["auto", "sampling", "lbfgs"]);
        reader.get("acq_optimizer", "auto".to_owned(), "auto, sampling or lbfgs", optimizers)?;
        reader.finish()?;
        let acquisition = match acquisition.as_str() {
            "LCB" => Acquisition::Lcb,
            "PI" | "PIps" => Acquisition::Pi,
            _ => Acquisition::LogEi,
        };
        Ok(Self { n_initial_points, acquisition })
    }
}

/// Proposes what promises most under a Gaussian process.
#[derive(Debug)]
pub struct Gp {
    settings: GpSettings,
    encoder: Encoder,
    measures: Vec<Measure>,
    start: Sequence,
    past: Past,
    tried: Tried,
    /// The fit to as many ended trials; a cache and nothing else.
    fitted: RefCell<Option<(usize, Option<Posterior>)>>,
}

impl Gp {
    /// Bayesian optimisation over the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        Ok(Self {
            settings: GpSettings::read(study)?,
            measures: measures(&study.space),
            start: Sequence::new(encoder.dims(), &Streams::new(study.seed), "gp/start"),
            past: Past::default(),
            tried: Tried::everywhere(),
            fitted: RefCell::new(None),
            encoder,
        })
    }

    fn space(&self) -> &Space {
        self.encoder.space()
    }

    /// The posterior of all that has ended.
    fn posterior(&self) -> Option<Posterior> {
        let n = self.past.ended.len();
        if let Some((fitted, posterior)) = &*self.fitted.borrow()
            && *fitted == n
        {
            return posterior.clone();
        }
        let posterior = self.fit();
        *self.fitted.borrow_mut() = Some((n, posterior.clone()));
        posterior
    }

    fn fit(&self) -> Option<Posterior> {
        let (mut points, mut costs) = (Vec::new(), Vec::new());
        let worst = self.past.measured().map(|(_, cost)| cost).fold(f64::NEG_INFINITY, f64::max);
        for ended in self.kept() {
            points.push(point(self.space(), &self.past.ended[ended].suggestion.assignment));
            // What failed is as bad as the worst: the model then keeps away from it.
            costs.push(self.past.ended[ended].cost.unwrap_or(worst));
        }
        fit(&self.measures, points, standardised(&costs))
    }

    /// Positions of the trials in a fit, in the order of their ends.
    fn kept(&self) -> Vec<usize> {
        let ended = &self.past.ended;
        if ended.len() <= MAX_POINTS {
            return (0..ended.len()).collect();
        }
        let newest = ended.len() - (MAX_POINTS - MAX_BEST)..ended.len();
        let best = self.past.ranked().iter().copied().filter(|i| !newest.contains(i)).take(MAX_BEST);
        let mut kept: Vec<usize> = best.chain(newest.clone()).collect();
        kept.sort_unstable();
        kept
    }

    fn ask_one(
        &self,
        slot: TrialIdx,
        running: &BTreeMap<TrialIdx, Suggestion>,
        streams: Streams,
    ) -> Option<Suggestion> {
        let begun = self.tried.with(running.values());
        let mut rng = streams.stream("gp", slot);
        if self.past.n_measured() < self.settings.n_initial_points.max(2) {
            let start = design(&self.encoder, &self.start, slot, streams, NAME)?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "start design"));
            }
            return Some(noted(suggestion(begun.uniform(&self.encoder, &mut rng)?, NAME), "by chance"));
        }
        let mut believed = self.posterior()?;
        for trial in running.values() {
            believed.believe(&point(self.space(), &trial.assignment));
        }
        let best = believed.incumbent();
        let chosen = self.promising(&believed, best, &begun, &mut rng)?;
        let (mean, std) = believed.at(&point(self.space(), &chosen));
        let why = format!("expected {:.3} below the best, deviation {std:.3}", best - mean);
        Some(noted(suggestion(chosen, NAME), &why))
    }

    /// The point that promises most, among points of the whole space and steps from the best ones.
    fn promising(
        &self,
        posterior: &Posterior,
        best: f64,
        begun: &Begun<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Assignment> {
        let promise = |assignment: &Assignment| {
            let (mean, std) = posterior.at(&point(self.space(), assignment));
            // A point again tells little; only when there is no other it is taken.
            let again = if begun.is_new(assignment) { 0.0 } else { 1e6 };
            self.settings.acquisition.value(mean, std, best) - again
        };
        let mut ranked: Vec<(f64, Assignment)> = Vec::new();
        for _ in 0..GLOBAL {
            let assignment = self.encoder.uniform(rng)?;
            ranked.push((promise(&assignment), assignment));
        }
        for ended in self.past.best().take(LOCAL) {
            let assignment = ended.suggestion.assignment.clone();
            ranked.push((promise(&assignment), assignment));
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked.truncate(2 * LOCAL);
        let scales = posterior.scales();
        for (value, assignment) in &mut ranked {
            for size in STEP_SIZES {
                for _ in 0..STEPS {
                    let next = self.step(assignment, size, &scales, rng);
                    if self.space().is_feasible(&next) {
                        let promised = promise(&next);
                        if promised > *value {
                            (*value, *assignment) = (promised, next);
                        }
                    }
                }
            }
        }
        let best = ranked
            .into_iter()
            .enumerate()
            .max_by(|(i, a), (j, b)| a.0.total_cmp(&b.0).then(Reverse(i).cmp(&Reverse(j))));
        best.map(|(_, (_, assignment))| assignment)
    }

    /// A step from a point along some of the parameters, longer where the model is smooth; names are drawn anew.
    fn step(&self, from: &Assignment, size: f64, scales: &[f64], rng: &mut ChaCha8Rng) -> Assignment {
        let mut x = self.encoder.encode(from);
        let dims = x.len();
        let chance = (2.0 / dims as f64).min(1.0);
        let forced = rng.random_range(0..dims);
        for (i, x) in x.iter_mut().enumerate() {
            let (moves, u) = (rng.random::<f64>() < chance, rng.random::<f64>());
            if !moves && i != forced {
                continue;
            }
            *x = match self.measures[i] {
                Measure::Identity => u,
                Measure::Distance => {
                    let z = Normal::standard().inverse_cdf(u.clamp(1e-9, 1.0 - 1e-9));
                    (*x + size * scales[i].clamp(0.1, 3.0) * z).clamp(0.0, 1.0)
                }
            };
        }
        self.encoder.decode(&x)
    }
}

impl Sampler for Gp {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        self.past.tell(&self.encoder, events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        one_by_one(slots, self.past.running(running), |slot, running| {
            let asked = self.ask_one(slot, running, *streams);
            // Without a model there is still chance.
            asked.or_else(|| {
                let assignment = self.encoder.uniform(&mut streams.stream("gp/chance", slot))?;
                Some(noted(suggestion(assignment, NAME), "by chance"))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::tpe::Tpe;

    fn gp(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Gp::new(study)?))
    }

    fn tpe(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Tpe::univariate(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&gp, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&gp);
    }

    /// Were they equal, 16 or more of 20 would have probability 0.006.
    #[test]
    fn beats_tpe_on_branin() {
        let wins = testing::wins(&gp, &tpe, 20, 2, 30, &testing::branin);
        assert!(wins >= 16, "{wins} of 20");
    }

    #[test]
    fn comes_close_to_the_minimum_of_branin() {
        let best = testing::best_of(&gp, 2, 1, 40, &testing::branin);
        assert!(best < 0.397_887 + 0.02, "{best}");
    }
}
