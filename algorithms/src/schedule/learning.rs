//! Extrapolated learning curves: a trial that will hardly end better than the best so far ends.
//!
//! A curve is taken to fall as `a + b t^-c` (the family pow3 of Domhan et al. 2015, IJCAI). For each rate c of a fixed grid
//! a and b are fitted by least squares; what the curve then ends at is known up to a Student t distribution, and rates
//! are weighed by how well they fit. So the answer comes with its doubt, which is wide while reports are few.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF as _, StudentsT};
use study::{Cost, HistoryEvent, Objective, Study, TrialIdx};

use super::ladder::objective;
use super::told::{News, Told};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict, Watch};

/// Rates at which curves may fall.
const RATES: [f64; 8] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
/// Least deviation of a report from its curve, as a share of the range of the reports: no curve fits better than that.
const LEAST: f64 = 1e-3;

/// Ends trials that will hardly beat the best.
#[derive(Debug)]
pub struct Learning {
    /// Steps of a trial that runs to its end.
    whole: u64,
    /// Reports before which nothing is foretold.
    min_reports: usize,
    /// Chance to beat the best below which a trial ends.
    chance: f64,
    objective: Objective,
    told: Told,
    curves: BTreeMap<TrialIdx, Vec<(u64, Cost)>>,
    /// What each trial is foretold to end at, and its chance to beat `best`: worked out when either changes, not when asked.
    foretold: BTreeMap<TrialIdx, (Foretold, f64)>,
    /// The best cost of trials that ran to their ends.
    best: Option<Cost>,
}

/// What a curve is foretold to end at.
#[derive(Clone, Debug, PartialEq)]
struct Foretold {
    /// Mean and standard deviation.
    mean: Cost,
    std: f64,
    /// Weight, centre, width and degrees of freedom for each rate.
    parts: Vec<(f64, Cost, f64, f64)>,
}

impl Foretold {
    /// From the reports of a trial, at least four and finite, at rising steps.
    fn of(curve: &[(u64, Cost)], whole: u64) -> Option<Self> {
        let n = curve.len() as f64;
        let freedom = n - 3.0;
        let costs = || curve.iter().map(|(_, cost)| *cost);
        let range = costs().fold(f64::NEG_INFINITY, f64::max) - costs().fold(f64::INFINITY, f64::min);
        if freedom < 1.0 || !range.is_finite() {
            return None;
        }
        let floor = (LEAST * range).powi(2).max(f64::MIN_POSITIVE);
        let fit = |rate: &f64| {
            let at = |step: f64| ((step + 1.0) / (whole as f64 + 1.0)).powf(-rate);
            let z: Vec<f64> = curve.iter().map(|(step, _)| at(*step as f64)).collect();
            let (z_mean, y_mean) = (z.iter().sum::<f64>() / n, costs().sum::<f64>() / n);
            let spread: f64 = z.iter().map(|z| (z - z_mean).powi(2)).sum();
            let slope = z.iter().zip(costs()).map(|(z, y)| (z - z_mean) * (y - y_mean)).sum::<f64>() / spread;
            let left: f64 =
                z.iter().zip(costs()).map(|(z, y)| (y - y_mean - slope * (z - z_mean)).powi(2)).sum();
            let variance = (left / freedom).max(floor);
            let off = at(whole as f64) - z_mean;
            let width = (variance * (1.0 + 1.0 / n + off * off / spread)).sqrt();
            (variance, y_mean + slope * off, width)
        };
        let fits: Vec<(f64, Cost, f64)> = RATES.iter().map(fit).collect();
        let least = fits.iter().map(|(variance, ..)| *variance).fold(f64::INFINITY, f64::min);
        let weight = |variance: f64| (least / variance).powf(freedom / 2.0);
        let sum: f64 = fits.iter().map(|(variance, ..)| weight(*variance)).sum();
        let parts: Vec<(f64, Cost, f64, f64)> = fits
            .iter()
            .map(|(variance, centre, width)| (weight(*variance) / sum, *centre, *width, freedom))
            .collect();
        let mean: f64 = parts.iter().map(|(weight, centre, ..)| weight * centre).sum();
        let square = |(weight, centre, width, _): &(f64, Cost, f64, f64)| {
            weight * (width * width + (centre - mean).powi(2))
        };
        let std = parts.iter().map(square).sum::<f64>().sqrt();
        (mean.is_finite() && std.is_finite()).then_some(Self { mean, std, parts })
    }

    /// The chance to end below a cost.
    fn below(&self, cost: Cost) -> f64 {
        let part = |(weight, centre, width, freedom): &(f64, Cost, f64, f64)| {
            StudentsT::new(*centre, *width, *freedom).map_or(0.5, |t| t.cdf(cost)) * weight
        };
        self.parts.iter().map(part).sum()
    }
}

impl Learning {
    /// The rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is missing, unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let whole = reader.optional("r_l", "a whole number of at least 2", |whole: &u64| *whole >= 2)?;
        let min_reports =
            reader.get("min_reports", 6, "a whole number of at least 4", |n: &usize| *n >= 4)?;
        let chance =
            reader.get("chance", 0.05, "a number between 0 and 0.5", |x: &f64| *x > 0.0 && *x < 0.5)?;
        reader.finish_seedless()?;
        let whole = whole.ok_or_else(|| SettingsError::Unsuited {
            algorithm: "learning-curve".into(),
            problem: "it needs the setting r_l, the steps of a trial that runs to its end".into(),
        })?;
        Ok(Self {
            whole,
            min_reports,
            chance,
            objective: objective(study, "learning-curve")?,
            told: Told::default(),
            curves: BTreeMap::new(),
            foretold: BTreeMap::new(),
            best: None,
        })
    }

    fn report(&mut self, trial: TrialIdx, step: u64, cost: Cost) {
        let curve = self.curves.entry(trial).or_default();
        if cost.is_finite() {
            curve.push((step, cost));
        }
        let known = curve.len() >= self.min_reports && step < self.whole;
        match known.then(|| Foretold::of(curve, self.whole)).flatten() {
            Some(foretold) => {
                let chance = self.best.map_or(1.0, |best| foretold.below(best));
                self.foretold.insert(trial, (foretold, chance))
            }
            None => self.foretold.remove(&trial),
        };
    }
}

impl Scheduler for Learning {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match self.told.take(event) {
                Some((trial, News::Reported { step, cost })) => self.report(trial, step, cost),
                Some((trial, News::Ended { cost, stopped })) => {
                    self.curves.remove(&trial);
                    self.foretold.remove(&trial);
                    let better = |cost: &Cost| self.best.is_none_or(|best| *cost < best);
                    if let Some(best) = cost.filter(|_| !stopped).filter(better) {
                        self.best = Some(best);
                        self.foretold.values_mut().for_each(|(of, chance)| *chance = of.below(best));
                    }
                }
                _ => {}
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        Some(Watch::default())
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let Some(best) = self.best else { return Vec::new() };
        let value = |cost| self.objective.direction.value(cost);
        let hopeless = self.foretold.iter().filter_map(|(trial, (foretold, chance))| {
            let reason = || {
                format!(
                    "its {} is expected to end at {:.4} ± {:.4}; the chance to beat {:.4} is {chance:.3}, below {}",
                    self.objective.metric,
                    value(foretold.mean),
                    foretold.std,
                    value(best),
                    self.chance
                )
            };
            (*chance < self.chance).then(|| Decision { trial: *trial, verdict: Verdict::Stop, reason: reason() })
        });
        hopeless.collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::{Story, contract};

    fn study(settings: &[(&str, &str)]) -> Study {
        let early_stopping = Some(algorithm("learning-curve", settings));
        Study { early_stopping, ..testing::study("random", testing::tiny()) }
    }

    fn curve(end: f64, rate: f64, n: u64) -> Vec<(u64, f64)> {
        (0..n).map(|step| (step, end + ((step + 1) as f64).powf(-rate))).collect()
    }

    #[test]
    fn keeps_the_contract() {
        let settings = algorithm("learning-curve", &[("r_l", "9")]);
        contract(&|study| Ok(Box::new(Learning::new(study)?)), &settings, 9);
    }

    #[test]
    fn a_curve_of_the_family_is_foretold_and_the_doubt_shrinks() {
        for rate in [0.25, 0.5, 1.0, 2.0] {
            let end = 0.3 + 51_f64.powf(-rate);
            let at = |n| Foretold::of(&curve(0.3, rate, n), 50).unwrap();
            let (early, late) = (at(6), at(25));
            assert!((late.mean - end).abs() < 0.01, "rate {rate}: {} instead of {end}", late.mean);
            assert!(late.std < early.std, "rate {rate}: {} then {}", early.std, late.std);
            assert!((early.mean - end).abs() < 3.0 * early.std, "rate {rate}");
        }
    }

    /// Curves that fall at rates between those of the grid, with noise: where a trial is foretold to have a chance below
    /// 0.05 to beat what it then ends at, it is wrong. Of 400 at most 40: twice what is promised.
    #[test]
    fn doubt_is_as_wide_as_it_says() {
        let streams = Streams::new(1);
        let wrong = (0..400).map(TrialIdx).filter(|trial| {
            let mut rng = streams.stream("curve", *trial);
            let (end, rate): (f64, f64) = (rng.random(), rng.random_range(0.3..1.8));
            let noisy = |rng: &mut rand_chacha::ChaCha8Rng, (step, cost): (u64, f64)| {
                (step, cost + 0.04 * (rng.random::<f64>() - 0.5))
            };
            let all: Vec<_> = curve(end, rate, 51).into_iter().map(|point| noisy(&mut rng, point)).collect();
            Foretold::of(&all[..12], 50).unwrap().below(all[50].1) < 0.05
        });
        let wrong = wrong.count();
        assert!(wrong <= 40, "{wrong} of 400");
    }

    #[test]
    fn who_will_hardly_beat_the_best_ends_and_the_doubt_is_said() {
        let mut story = Story::new(Box::new(Learning::new(&study(&[("r_l", "50")])).unwrap()));
        story.began(0).began(1);
        for (step, cost) in curve(0.8, 1.0, 12) {
            story.reported(1, step, cost);
        }
        assert_eq!(story.verdicts(), [], "nobody has run to the end");
        story.succeeded(0, 0.4);
        assert_eq!(story.verdicts(), [(1, Verdict::Stop)]);
        let reason = &story.reasons()[0];
        assert!(reason.contains(" ± ") && reason.contains("the chance to beat 0.4000 is 0.0"), "{reason}");
        story.began(2);
        for (step, cost) in curve(0.1, 1.0, 12) {
            story.reported(2, step, cost);
        }
        assert_eq!(story.verdicts(), [(1, Verdict::Stop)], "the other will");
    }

    #[test]
    fn settings_that_cannot_be_followed_are_refused() {
        let refused = |settings: &[(&str, &str)]| Learning::new(&study(settings)).unwrap_err().to_string();
        assert!(refused(&[]).contains("needs the setting r_l"));
        assert!(refused(&[("r_l", "9"), ("chance", "0.7")]).contains("between 0 and 0.5"));
        assert!(refused(&[("r_l", "9"), ("min_reports", "2")]).contains("at least 4"));
    }
}
