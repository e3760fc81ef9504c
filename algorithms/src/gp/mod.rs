//! Bayesian optimisation with a Gaussian process: a model of the cost, and the point that promises most under it.
//!
//! Jones, Schonlau and Welch 1998, J. Glob. Optim. 13:455, with a Matern 5/2 kernel, most probable hyperparameters
//! under dimension-scaled priors, and the logarithm of the expected improvement. Names differ or not; a parameter that
//! only one of two points has makes them differ. Trials that run are taken to end as expected of them.

mod acquisition;
mod fit;
mod kernel;
mod matrix;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::Array1;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::{Assignment, HistoryEvent, Space, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::{Past, key, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

use acquisition::Acquisition;
use fit::{Posterior, fit};
use kernel::{Measure, measures, point};

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
        fit(&self.measures, points, normal_scores(&costs))
    }

    /// Positions of the trials in a fit, in the order of their ends.
    fn kept(&self) -> Vec<usize> {
        let ended = &self.past.ended;
        if ended.len() <= MAX_POINTS {
            return (0..ended.len()).collect();
        }
        let mut by_cost: Vec<usize> = (0..ended.len()).collect();
        by_cost.sort_by(|a, b| {
            let cost = |i: &usize| ended[*i].cost.unwrap_or(f64::INFINITY);
            cost(a).total_cmp(&cost(b))
        });
        let newest = ended.len() - (MAX_POINTS - MAX_BEST)..ended.len();
        let best = by_cost.into_iter().filter(|i| !newest.contains(i)).take(MAX_BEST);
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
        let measured = self.past.measured().count();
        let begun = measured.min(self.settings.n_initial_points);
        if begun < self.settings.n_initial_points.max(2) {
            let mut start = design(&self.encoder, &self.start, slot, streams, "bayesianoptimization")?;
            start.notes.insert("why".into(), "start design".into());
            return Some(start);
        }
        let mut rng = streams.stream("gp", slot);
        let believed = running.values().try_fold(self.posterior()?, |posterior, trial| {
            posterior.believing(&point(self.space(), &trial.assignment))
        })?;
        let best = believed.incumbent();
        let chosen = self.promising(&believed, best, running, &mut rng)?;
        let (mean, std) = believed.at(&point(self.space(), &chosen));
        let mut suggestion = suggestion(chosen, "bayesianoptimization");
        suggestion
            .notes
            .insert("why".into(), format!("expected {:.3} below the best, deviation {std:.3}", best - mean));
        Some(suggestion)
    }

    /// The point that promises most, among points of the whole space and steps from the best ones.
    fn promising(
        &self,
        posterior: &Posterior,
        best: f64,
        running: &BTreeMap<TrialIdx, Suggestion>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Assignment> {
        let taken: std::collections::BTreeSet<String> = running
            .values()
            .map(|suggestion| key(&suggestion.assignment))
            .chain(self.past.ended.iter().map(|ended| key(&ended.suggestion.assignment)))
            .collect();
        let promise = |assignment: &Assignment| {
            let (mean, std) = posterior.at(&point(self.space(), assignment));
            // A point again tells little; only when there is no other it is taken.
            let again = if taken.contains(&key(assignment)) { 1e6 } else { 0.0 };
            self.settings.acquisition.value(mean, std, best) - again
        };
        let mut ranked: Vec<(f64, Assignment)> = Vec::new();
        for _ in 0..GLOBAL {
            let assignment = self.encoder.uniform(rng)?;
            ranked.push((promise(&assignment), assignment));
        }
        let mut ended: Vec<_> = self.past.measured().collect();
        ended.sort_by(|a, b| a.1.total_cmp(&b.1));
        let incumbents = ended.iter().take(LOCAL).map(|(ended, _)| ended.suggestion.assignment.clone());
        ranked.extend(incumbents.map(|assignment| (promise(&assignment), assignment)).collect::<Vec<_>>());
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

/// Costs as standard normal scores of their ranks, blended with the standardised costs where those have no outliers:
/// here plainly standardised after the bad half has been pulled in to at most 2 deviations of the better half, so that
/// one failure in scale does not flatten everything else.
fn normal_scores(costs: &[f64]) -> Array1<f64> {
    let mut sorted: Vec<f64> = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = sorted[(n - 1) / 2];
    let better = &sorted[..=(n - 1) / 2];
    let spread =
        (better.iter().map(|cost| ((cost - median) / 2.0).powi(2)).sum::<f64>() / better.len() as f64).sqrt();
    let top = if spread.is_finite() && spread > 0.0 { median + 6.0 * spread } else { median };
    let pulled: Vec<f64> = costs.iter().map(|cost| cost.min(top)).collect();
    let mean = pulled.iter().map(|cost| cost / n as f64).sum::<f64>();
    let deviation =
        (pulled.iter().map(|cost| (cost / 2.0 - mean / 2.0).powi(2) / n as f64).sum::<f64>()).sqrt() * 2.0;
    if !deviation.is_finite() || deviation <= 0.0 {
        // All alike, or so far apart that their squares overflow: ranks are left.
        return ranks(costs, &sorted);
    }
    pulled.iter().map(|cost| (cost - mean) / deviation).collect()
}

/// Ranks in [-1, 1]; all 0 if all costs are alike.
fn ranks(costs: &[f64], sorted: &[f64]) -> Array1<f64> {
    let rank = |cost: &f64| {
        let below = sorted.partition_point(|other| other < cost);
        let above = sorted.len() - sorted.partition_point(|other| other <= cost);
        (below as f64 - above as f64) / sorted.len() as f64
    };
    costs.iter().map(rank).collect()
}

impl Sampler for Gp {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.past.tell(&self.encoder, events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        one_by_one(slots, self.past.running(running), |slot, running| {
            let asked = self.ask_one(slot, running, *streams);
            // Without a model there is still chance.
            asked.or_else(|| {
                let assignment = self.encoder.uniform(&mut streams.stream("gp/chance", slot))?;
                Some(suggestion(assignment, "bayesianoptimization"))
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

    #[test]
    fn outliers_do_not_flatten_the_rest() {
        let y = normal_scores(&[1.0, 2.0, 3.0, 4.0, 1e12]);
        assert!(y[1] - y[0] > 0.05, "{y}");
        assert!(normal_scores(&[5.0; 4]).iter().all(|y| *y == 0.0));
        assert!(normal_scores(&[1e300, -1e300, 1e300]).iter().all(|y| y.is_finite()));
    }
}
