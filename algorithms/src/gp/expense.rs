//! What trials take: a third process, of the logarithm of what each has taken.

use std::cell::RefCell;

use super::ensemble::Factor;
use super::fit::{fit, mode};
use super::kernel::{Measure, Point};
use super::posterior::Posterior;

/// Fewest trials whose expense is known before it counts.
const LEAST: usize = 4;
/// Least spread of the logarithms that is worth learning: below, all trials take about the same.
const LEAST_SPREAD: f64 = 0.05;
/// Most trials in a fit, the first, and most that a model is of, the newest.
const MOST: usize = 200;
/// Growth of the number of trials after which hyperparameters are fitted anew.
const MORE: f64 = 1.2;

/// The expected expense of a trial to the power of minus the share of the budget that is left: improvement per expense
/// at first, plain improvement at the end, so that what is dear is tried too while it still can be. Lee, Perrone,
/// Archambeau and Seeger 2020, arXiv:2003.10870, section 3 ("cost-cooling").
#[derive(Clone, Debug)]
pub(super) struct Thrift {
    posterior: Posterior,
    /// Deviation of the logarithms of what trials have taken.
    scale: f64,
    /// Share of the budget that is left.
    left: f64,
}

/// A cache of fits and nothing else: after how many trials, and the hyperparameters.
#[derive(Debug, Default)]
pub(super) struct Fits(RefCell<Option<(usize, Vec<f64>)>>);

/// The last number of trials up to `n` after which there is a fit.
fn fitted_at(n: usize) -> usize {
    let (mut last, mut next) = (LEAST, LEAST as f64);
    while next <= n as f64 {
        last = next as usize;
        next = (next * MORE).ceil();
    }
    last
}

/// Logarithms with mean 0 and deviation 1, and their deviation.
fn scaled(taken: &[f64]) -> (Vec<f64>, f64) {
    let logs: Vec<f64> = taken.iter().map(|taken| taken.ln()).collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let deviation = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / n).sqrt();
    (logs.iter().map(|log| (log - mean) / deviation.max(LEAST_SPREAD)).collect(), deviation)
}

impl Fits {
    /// The model after trials at these points have taken so much, each above 0, in the order of their ends; `left`: share of the budget, from 0 to 1.
    /// `None` while too little is known, all take about the same, or nothing is left.
    pub(super) fn thrift(
        &self,
        measures: &[Measure],
        points: &[Point],
        taken: &[f64],
        left: f64,
    ) -> Option<Thrift> {
        if points.len() < LEAST || left <= 0.0 {
            return None;
        }
        let from = points.len().saturating_sub(MOST);
        let (y, scale) = scaled(&taken[from..]);
        if scale < LEAST_SPREAD {
            return None;
        }
        let theta = self.theta(measures, points, taken);
        Some(Thrift { posterior: Posterior::new(measures, &theta, &points[from..], y)?, scale, left })
    }

    fn theta(&self, measures: &[Measure], points: &[Point], taken: &[f64]) -> Vec<f64> {
        let n = fitted_at(points.len().min(MOST));
        if let Some((at, theta)) = &*self.0.borrow()
            && *at == n
        {
            return theta.clone();
        }
        let theta = fit(measures, &points[..n], &scaled(&taken[..n]).0, &[mode(measures.len())]);
        *self.0.borrow_mut() = Some((n, theta.clone()));
        theta
    }
}

impl Factor for Thrift {
    fn log(&self, x: &Point) -> f64 {
        -self.left * self.scale * self.posterior.mean(x)
    }

    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>) {
        let at = self.posterior.slopes(x, axes);
        let factor = -self.left * self.scale;
        (factor * at.mean, at.by_mean.iter().map(|slope| factor * slope).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: [Measure; 2] = [Measure::Distance; 2];

    /// Trials that take 1 second at the left and 100 at the right.
    fn trials() -> (Vec<Point>, Vec<f64>) {
        let points: Vec<Point> =
            (0..16).map(|i| vec![f64::from(i) / 15.0, f64::from(i * 7 % 16) / 15.0]).collect();
        let taken = points.iter().map(|x| 100.0_f64.powf(x[0])).collect();
        (points, taken)
    }

    fn thrift(left: f64) -> Thrift {
        let (points, taken) = trials();
        Fits::default().thrift(&MEASURES, &points, &taken, left).unwrap()
    }

    #[test]
    fn what_is_cheap_counts_for_more_until_the_budget_is_spent() {
        let gain = |left: f64| {
            let thrift = thrift(left);
            thrift.log(&vec![0.1, 0.5]) - thrift.log(&vec![0.9, 0.5])
        };
        // The logarithm of 100 to the power of 0.8.
        assert!((gain(1.0) - 3.68).abs() < 0.3, "{}", gain(1.0));
        assert!((gain(0.25) - 0.25 * gain(1.0)).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_learnt_where_there_is_nothing_to_learn() {
        let (points, taken) = trials();
        let of = |points: &[Point], taken: &[f64], left| {
            Fits::default().thrift(&MEASURES, points, taken, left).is_some()
        };
        assert!(!of(&points[..3], &taken[..3], 1.0), "too few");
        assert!(!of(&points, &taken, 0.0), "nothing is left");
        assert!(!of(&points, &[7.0; 16], 1.0), "all take the same");
    }

    #[test]
    fn a_fit_is_of_the_trials_alone() {
        let (points, taken) = trials();
        let grown = Fits::default();
        for n in 4..=16 {
            let known = grown.thrift(&MEASURES, &points[..n], &taken[..n], 1.0);
            let cold = Fits::default().thrift(&MEASURES, &points[..n], &taken[..n], 1.0);
            let at = |thrift: Option<Thrift>| thrift.map(|thrift| thrift.log(&vec![0.3, 0.3]));
            assert_eq!(at(known), at(cold), "after {n}");
        }
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let thrift = thrift(0.7);
        for x in [[0.2, 0.4], [0.9, 0.9]] {
            let (value, slopes) = thrift.slopes(&x.to_vec(), &[0, 1]);
            assert!((value - thrift.log(&x.to_vec())).abs() < 1e-12);
            for j in 0..2 {
                let at = |step: f64| {
                    let mut x = x.to_vec();
                    x[j] += step;
                    thrift.log(&x)
                };
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((slopes[j] - expected).abs() < 1e-3 * (1.0 + expected.abs()));
            }
        }
    }
}
