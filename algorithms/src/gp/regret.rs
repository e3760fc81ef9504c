//! When a search is over: what may be left to gain is less than the noise of one trial.
//!
//! Makarova et al. 2022, arXiv:2104.08166: with confidence bounds of the model, the regret of the best trial is at most its
//! upper bound less the lowest lower bound anywhere (algorithm 1). Bounds and noise are compared on the model's own scale.

use std::f64::consts::PI;

use study::TrialIdx;

use super::Gp;
use super::model::Model;
use crate::rng::Streams;

/// Chance that the bounds do not hold, and by what their width is divided (section 4 of the paper, as Srinivas et al. 2010,
/// arXiv:0912.3995, section 6).
const DELTA: f64 = 0.1;
const NARROWER: f64 = 5.0;

impl Gp {
    /// Whether so little is left to gain; never before the start design has been done twice, and only if that is wanted.
    pub(super) fn is_over(&self, streams: Streams) -> bool {
        let n = self.past.ended.len();
        let start = self.settings.n_initial_points.max(2);
        if self.settings.stop_regret == 0.0 || self.past.n_measured() < 2 * start {
            return false;
        }
        if let Some((at, over)) = *self.over.borrow()
            && at == n
        {
            return over;
        }
        let over = self.model().is_some_and(|model| {
            let noise = model.ensemble.main().noise().sqrt();
            self.regret_bound(&model, streams) <= self.settings.stop_regret * noise
        });
        *self.over.borrow_mut() = Some((n, over));
        over
    }

    /// The most that the best trial is believed to be above the best point, on the model's scale.
    fn regret_bound(&self, model: &Model, streams: Streams) -> f64 {
        let n = self.past.ended.len();
        let t = n as f64 * PI * n as f64 * PI * self.encoder.dims() as f64 / (6.0 * DELTA);
        let width = (2.0 * t.ln() / NARROWER).sqrt();
        let bounds = |x: &[f64]| {
            let (mean, std) = model.ensemble.at(x);
            (mean - width * std, mean + width * std)
        };
        let known: Vec<_> = self
            .past
            .ended
            .iter()
            .filter(|ended| ended.cost.is_some())
            .map(|ended| bounds(&self.point(&ended.suggestion.assignment, 1.0)))
            .collect();
        let upper = known.iter().map(|(_, upper)| *upper).fold(f64::INFINITY, f64::min);
        let known = known.iter().map(|(lower, _)| *lower).fold(f64::INFINITY, f64::min);
        let mut rng = streams.stream("gp/regret", TrialIdx(n as u64));
        let candidates = self.candidates(&model.ensemble).all(TrialIdx(0), &mut rng);
        let feasible =
            candidates.iter().map(|x| self.encoder.decode(x)).filter(|x| self.space().is_feasible(x));
        let lower = feasible.map(|x| bounds(&self.point(&x, 1.0)).0).fold(known, f64::min);
        upper - lower
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use study::{HistoryEvent, Outcome, Space, Study, Trial, Value};

    use super::*;
    use crate::Sampler;
    use crate::settings::algorithm;
    use crate::testing;

    /// Trials until a search on a bowl with noise ends, and the bowl's cost at its best trial.
    fn ends_after(stop_regret: &str, noise: f64, seed: u64) -> (u64, f64) {
        let space = Space::new(vec![testing::float("x"), testing::float("y")], vec![]).unwrap();
        let settings = [("stop_regret", stop_regret), ("n_initial_points", "8")];
        let study = Study {
            seed,
            max_trials: Some(60),
            algorithm: algorithm("bayesianoptimization", &settings),
            ..testing::study("", space)
        };
        let (mut gp, streams) = (Gp::new(&study).unwrap(), Streams::new(seed));
        let mut best = (f64::INFINITY, f64::INFINITY);
        for idx in (0..60).map(TrialIdx) {
            let Some(suggestion) = gp.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop() else {
                return (idx.0, best.1);
            };
            let cost: f64 = suggestion
                .assignment
                .0
                .iter()
                .map(|value| match value {
                    Some(Value::Float(x)) => (x - 0.5) * (x - 0.5),
                    _ => 0.0,
                })
                .sum();
            let seen = cost + noise * (streams.stream("noise", idx).random::<f64>() - 0.5);
            best = if seen < best.0 { (seen, cost) } else { best };
            let outcome = Outcome::Succeeded { costs: vec![seen] };
            gp.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome },
            ]);
        }
        (60, best.1)
    }

    #[test]
    fn a_search_ends_when_what_is_left_drowns_in_the_noise() {
        for seed in 0..5 {
            let (n, best) = ends_after("2", 1.0, seed);
            assert!((16..60).contains(&n), "{n}");
            // Costs reach 12.5; noise is uniform over 1.
            assert!(best < 0.6, "{best}");
        }
    }

    #[test]
    fn it_goes_on_unless_asked_to_and_never_ends_before_the_start_is_twice_done() {
        assert_eq!(ends_after("0", 1.0, 1).0, 60);
        assert_eq!(ends_after("1e9", 1.0, 1).0, 16);
    }
}
