//! Where trials fail: a second process, of success and failure.

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};

use super::ensemble::Factor;
use super::fit::{fit, mode};
use super::kernel::{Measure, Point};
use super::posterior::Posterior;

/// Share of half the gap between success and failure by which the border between them is blurred.
const BLUR: f64 = 1.0 / 3.0;
/// Power to which the probability is raised: a trial that fails teaches nothing of the cost, so its improvement is not
/// all that is lost.
const CAUTION: f64 = 5.0;

/// The probability that a trial is measured, from those that were and those that were not: least squares on the two
/// outcomes, put through the cumulative normal distribution (Rasmussen and Williams 2006, section 6.5 and eq. 6.41).
#[derive(Clone, Debug)]
pub(super) struct Feasibility {
    posterior: Posterior,
    /// Half way between failure and success.
    border: f64,
    blur: f64,
}

/// Hyperparameters of the process after these trials; at least one failed, and one did not.
pub(super) fn fitted(measures: &[Measure], points: &[Point], failed: &[bool]) -> Vec<f64> {
    fit(measures, points, &outcomes(failed).0, &[mode(measures.len())])
}

/// Outcomes with mean 0 and deviation 1, half way between failure and success, and half the gap between them.
fn outcomes(failed: &[bool]) -> (Vec<f64>, f64, f64) {
    let share = failed.iter().filter(|failed| **failed).count() as f64 / failed.len() as f64;
    let deviation = (share * (1.0 - share)).sqrt();
    let of = |failed: bool| (f64::from(u8::from(!failed)) - (1.0 - share)) / deviation;
    (failed.iter().map(|failed| of(*failed)).collect(), 0.5 * (of(true) + of(false)), 0.5 / deviation)
}

impl Feasibility {
    /// The model under these hyperparameters.
    pub(super) fn new(
        measures: &[Measure],
        theta: &[f64],
        points: &[Point],
        failed: &[bool],
    ) -> Option<Self> {
        let (y, border, half) = outcomes(failed);
        Some(Self { posterior: Posterior::new(measures, theta, points, y)?, border, blur: BLUR * half })
    }

    /// Logarithm of the probability that a trial is measured, raised to [`CAUTION`], from mean and deviation of the process,
    /// with its slopes along these.
    fn of(&self, mean: f64, std: f64) -> (f64, f64, f64) {
        let spread = self.blur.hypot(std);
        let z = (mean - self.border) / spread;
        let normal = Normal::standard();
        let probability = normal.cdf(z).max(1e-12);
        let slope = CAUTION * normal.pdf(z) / probability;
        (CAUTION * probability.ln(), slope / spread, -slope * z * std / (spread * spread))
    }
}

impl Factor for Feasibility {
    fn log(&self, x: &Point) -> f64 {
        let (mean, std) = self.posterior.at(x);
        self.of(mean, std).0
    }

    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>) {
        let at = self.posterior.slopes(x, axes);
        let (value, by_mean, by_std) = self.of(at.mean, at.std);
        let parts = at.by_mean.iter().zip(&at.by_std);
        (value, parts.map(|(m, s)| by_mean * m + by_std * s).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Feasibility {
        let points: Vec<Point> =
            (0..16).map(|i| vec![f64::from(i) / 15.0, f64::from(i * 7 % 16) / 15.0]).collect();
        let failed: Vec<bool> = points.iter().map(|x| x[0] > 0.7).collect();
        let measures = [Measure::Distance; 2];
        let theta = fitted(&measures, &points, &failed);
        Feasibility::new(&measures, &theta, &points, &failed).unwrap()
    }

    #[test]
    fn it_learns_the_border() {
        let model = model();
        assert!(model.log(&vec![0.2, 0.5]).exp() > 0.8);
        assert!(model.log(&vec![0.95, 0.5]).exp() < 0.1);
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let model = model();
        for x in [[0.2, 0.4], [0.68, 0.3], [0.9, 0.9]] {
            let (value, slopes) = model.slopes(&x.to_vec(), &[0, 1]);
            assert!((value - model.log(&x.to_vec())).abs() < 1e-12);
            for j in 0..2 {
                let at = |step: f64| {
                    let mut x = x.to_vec();
                    x[j] += step;
                    model.log(&x)
                };
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (slopes[j] - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                    "{slopes:?} {expected}"
                );
            }
        }
    }
}
