//! What a fitted process says of a point.

use super::kernel::{Columns, Kernel, LEAST_NOISE, Measure, Point};
use super::matrix::{Lower, cholesky, dot, inverse, solve_lower, solve_upper};

/// A Gaussian process with its data.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    kernel: Kernel,
    points: Columns,
    y: Vec<f64>,
    factor: Lower,
    /// `K^-1 y`.
    alpha: Vec<f64>,
}

/// Mean and standard deviation of the latent function at a point, in units of the standardised cost, and their slopes
/// along the asked axes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slopes {
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) by_mean: Vec<f64>,
    pub(super) by_std: Vec<f64>,
}

/// Least variance of a prediction.
const LEAST_VARIANCE: f64 = 1e-12;

impl Posterior {
    /// The posterior of these hyperparameters; `None` if the covariance matrix cannot be factored, which the least noise
    /// rules out but for overflow.
    pub(super) fn new(measures: &[Measure], theta: &[f64], points: &[Point], y: Vec<f64>) -> Option<Self> {
        let kernel = Kernel::new(measures, theta);
        let columns = Columns::new(measures, points);
        let mut entries = Vec::with_capacity(points.len() * (points.len() + 1) / 2);
        for (i, x) in points.iter().enumerate() {
            entries.extend(kernel.covariances(x, &columns, i));
            entries.push(kernel.variance() + kernel.noise);
        }
        let factor = cholesky(&Lower::new(points.len(), entries))?;
        let alpha = solve_upper(&factor, &solve_lower(&factor, &y));
        Some(Self { kernel, points: columns, y, factor, alpha })
    }

    /// Mean and standard deviation of the latent function at a point, in units of the standardised cost (Rasmussen and
    /// Williams 2006, eq. 2.25 and 2.26).
    pub(super) fn at(&self, x: &[f64]) -> (f64, f64) {
        let k = self.covariances(x);
        let v = solve_lower(&self.factor, &k);
        let variance = self.kernel.variance() - dot(&v, &v);
        (dot(&k, &self.alpha), variance.max(LEAST_VARIANCE).sqrt())
    }

    /// The mean alone.
    pub(super) fn mean(&self, x: &[f64]) -> f64 {
        dot(&self.covariances(x), &self.alpha)
    }

    /// The same with slopes along some axes.
    pub(super) fn slopes(&self, x: &[f64], axes: &[usize]) -> Slopes {
        let (k, steep) = self.kernel.steep(x, &self.points);
        let v = solve_lower(&self.factor, &k);
        let std = (self.kernel.variance() - dot(&v, &v)).max(LEAST_VARIANCE).sqrt();
        let slope = |w: &[f64]| self.kernel.slope(x, &self.points, &steep, w, axes);
        // d(var) = - 2 (K^-1 k)' dk, since the prior variance is the same everywhere.
        let explained = slope(&solve_upper(&self.factor, &v));
        let by_std = explained.iter().map(|explained| -explained / std).collect();
        Slopes { mean: dot(&k, &self.alpha), std, by_mean: slope(&self.alpha), by_std }
    }

    fn covariances(&self, x: &[f64]) -> Vec<f64> {
        self.kernel.covariances(x, &self.points, self.points.len())
    }

    /// The posterior after a trial whose result is not known yet is taken to be what is expected of it (Ginsbourger et
    /// al. 2010, the kriging believer).
    pub(super) fn believe(&mut self, x: &Point) {
        let k = self.covariances(x);
        let row = solve_lower(&self.factor, &k);
        let corner = self.kernel.variance() + self.kernel.noise - dot(&row, &row);
        self.y.push(dot(&k, &self.alpha));
        self.points.push(&self.kernel.measures, x);
        self.factor.push(&row, corner.max(LEAST_NOISE).sqrt());
        self.alpha = solve_upper(&self.factor, &solve_lower(&self.factor, &self.y));
    }

    /// The smallest mean at the points themselves: the incumbent without its noise.
    pub(super) fn incumbent(&self) -> f64 {
        // K a = y with K = k + v I, so the mean k a at the points themselves is y - v a.
        let means = self.y.iter().zip(&self.alpha).map(|(y, alpha)| y - self.kernel.noise * alpha);
        means.fold(f64::INFINITY, f64::min)
    }

    /// Variance of the noise.
    pub(super) fn noise(&self) -> f64 {
        self.kernel.noise
    }

    /// Length scales.
    pub(super) fn scales(&self) -> Vec<f64> {
        self.kernel.scales()
    }

    /// For each point: logarithm of the density that the others give to its cost (Rasmussen and Williams 2006, eq. 5.10
    /// to 5.12).
    pub(super) fn left_out(&self) -> Vec<f64> {
        let inverse = inverse(&self.factor);
        let parts = inverse.diagonal().map(|at| inverse.entries()[at]).zip(&self.alpha);
        let density = |(precision, alpha): (f64, &f64)| {
            0.5 * (precision.ln() - std::f64::consts::TAU.ln() - alpha * alpha / precision)
        };
        parts.map(density).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fit::{fit, mode};
    use super::super::testing::data;
    use super::*;

    fn fitted() -> (Vec<Measure>, Vec<f64>, Vec<Point>, Vec<f64>) {
        let (measures, points, y) = data();
        let theta = fit(&measures, &points, &y, &[mode(3)]);
        (measures, theta, points, y)
    }

    fn posterior() -> Posterior {
        let (measures, theta, points, y) = fitted();
        Posterior::new(&measures, &theta, &points, y).unwrap()
    }

    #[test]
    fn it_passes_near_its_points_and_knows_little_far_away() {
        let (_, points, y) = data();
        let posterior = posterior();
        for (x, y) in points.iter().zip(&y) {
            let (mean, std) = posterior.at(x);
            assert!((mean - y).abs() < 0.2 && std < 0.3, "{mean} {std} {y}");
        }
        let (_, near) = posterior.at(&points[4]);
        let (_, far) = posterior.at(&[0.5, -9.0, 0.25]);
        assert!(far > 2.0 * near);
    }

    #[test]
    fn believing_equals_a_posterior_with_the_point() {
        let (measures, theta, mut points, mut y) = fitted();
        let posterior = posterior();
        let x = vec![0.33, 0.9, f64::NAN];
        let mut believing = posterior.clone();
        believing.believe(&x);
        points.push(x.clone());
        y.push(posterior.at(&x).0);
        let whole = Posterior::new(&measures, &theta, &points, y).unwrap();
        let probe = [0.4, 0.4, 0.75];
        let (a, b) = (believing.at(&probe), whole.at(&probe));
        assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9);
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let posterior = posterior();
        for x in [[0.31, 0.77, 0.25], [0.05, 0.5, f64::NAN], [0.9, 0.1, 0.75]] {
            let slopes = posterior.slopes(&x, &[0, 1]);
            for j in 0..2 {
                let at = |step: f64| {
                    let mut x = x;
                    x[j] += step;
                    posterior.at(&x)
                };
                let (up, down) = (at(1e-6), at(-1e-6));
                let (mean, std) = ((up.0 - down.0) / 2e-6, (up.1 - down.1) / 2e-6);
                assert!((slopes.by_mean[j] - mean).abs() < 1e-4 * (1.0 + mean.abs()), "{slopes:?} {mean}");
                assert!((slopes.by_std[j] - std).abs() < 1e-4 * (1.0 + std.abs()), "{slopes:?} {std}");
            }
        }
    }

    #[test]
    fn a_point_left_out_is_as_likely_as_one_that_was_never_there() {
        let (measures, theta, mut points, mut y) = fitted();
        let densities = posterior().left_out();
        let (x, cost) = (points.remove(5), y.remove(5));
        let noise = Kernel::new(&measures, &theta).noise;
        let (mean, std) = Posterior::new(&measures, &theta, &points, y).unwrap().at(&x);
        let variance = std * std + noise;
        let expected = -0.5 * (variance.ln() + std::f64::consts::TAU.ln() + (cost - mean).powi(2) / variance);
        assert!((densities[5] - expected).abs() < 1e-6, "{} {expected}", densities[5]);
    }
}
