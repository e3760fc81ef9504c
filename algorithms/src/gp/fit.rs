//! Fitting: the most probable hyperparameters given the points, and the posterior that follows.

use std::cell::RefCell;
use std::rc::Rc;

use argmin::core::{CostFunction, Executor, Gradient, State as _};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::kernel::{Measure, Point, covariances, differences, matern, scaled};
use super::matrix::{Lower, cholesky, dot, inverse, solve_lower, solve_upper};

/// Steps of the optimizer.
const MAX_ITERATIONS: u64 = 40;
/// Least noise variance, in units of the standardised cost.
const LEAST_NOISE: f64 = 1e-6;
/// Bounds of all logarithms of hyperparameters: beyond them nothing changes but rounding.
const BOUND: f64 = 12.0;

/// A Gaussian process with its data.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    measures: Vec<Measure>,
    theta: Vec<f64>,
    points: Vec<Point>,
    y: Vec<f64>,
    factor: Lower,
    /// `K^-1 y`.
    alpha: Vec<f64>,
}

/// Normal priors of the logarithms: length scales after Hvarfner et al. 2024, arXiv:2402.02229, eq. 5, which grow with
/// the square root of the dimension; signal variance near 1, since costs are standardised; noise small.
fn priors(dims: usize) -> Vec<(f64, f64)> {
    let scale = (2.0_f64.sqrt() + 0.5 * (dims as f64).ln(), 3.0_f64.sqrt());
    let mut priors = vec![scale; dims];
    priors.extend([(0.0, 0.5), (-4.0, 1.0)]);
    priors
}

/// Negative logarithm of the posterior of the hyperparameters (Rasmussen and Williams 2006, eq. 5.8 and 5.9).
struct Problem<'a> {
    differences: &'a [Lower],
    y: &'a [f64],
    priors: &'a [(f64, f64)],
    /// The last point asked about; value and slope are wanted one after the other.
    last: RefCell<Option<Asked>>,
}

/// Where, and what was found there if the covariance matrix could be factored.
type Asked = (Vec<f64>, Option<Rc<Evaluation>>);

/// What value and slope have in common.
struct Evaluation {
    /// Covariances without noise.
    signal: Vec<f64>,
    /// Their slopes, see [`matern`].
    slopes: Vec<f64>,
    factor: Lower,
}

impl<'a> Problem<'a> {
    fn new(differences: &'a [Lower], y: &'a [f64], priors: &'a [(f64, f64)]) -> Self {
        Self { differences, y, priors, last: RefCell::new(None) }
    }

    /// `None` if the covariance matrix cannot be factored.
    fn at(&self, theta: &[f64]) -> Option<Rc<Evaluation>> {
        if let Some((last, evaluation)) = &*self.last.borrow()
            && last == theta
        {
            return evaluation.clone();
        }
        let evaluation = self.evaluate(theta).map(Rc::new);
        *self.last.borrow_mut() = Some((theta.to_vec(), evaluation.clone()));
        evaluation
    }

    fn evaluate(&self, theta: &[f64]) -> Option<Evaluation> {
        let d = self.differences.len();
        let variance = theta[d].exp();
        let r2 = scaled(self.differences, theta);
        let (signal, slopes): (Vec<f64>, Vec<f64>) = r2
            .into_iter()
            .map(|r2| {
                let (value, slope) = matern(r2);
                (variance * value, variance * slope)
            })
            .unzip();
        let noise = theta[d + 1].exp() + LEAST_NOISE;
        let n = self.y.len();
        let factor = cholesky(&Lower::new(n, signal.clone()).plus_diagonal(noise))?;
        Some(Evaluation { signal, slopes, factor })
    }

    fn penalty(&self, theta: &[f64]) -> f64 {
        let square = |(theta, (mean, sd)): (&f64, &(f64, f64))| 0.5 * ((theta - mean) / sd).powi(2);
        theta.iter().zip(self.priors).map(square).sum()
    }

    fn value(&self, theta: &[f64]) -> f64 {
        if theta.iter().any(|t| t.abs() > BOUND) {
            return f64::INFINITY;
        }
        let Some(evaluation) = self.at(theta) else { return f64::INFINITY };
        let l = &evaluation.factor;
        let z = solve_lower(l, self.y);
        let log_determinant: f64 = l.diagonal().map(|at| l.entries()[at].ln()).sum();
        0.5 * dot(&z, &z) + log_determinant + self.penalty(theta)
    }

    fn slope(&self, theta: &[f64]) -> Vec<f64> {
        let d = self.differences.len();
        let Some(evaluation) = self.at(theta) else { return vec![0.0; theta.len()] };
        let alpha = solve_upper(&evaluation.factor, &solve_lower(&evaluation.factor, self.y));
        // dF/dt = 1/2 tr(W dK/dt), W = K^-1 - a a': over the triangle, each entry off the diagonal counting twice.
        let k_inverse = inverse(&evaluation.factor);
        let w = Lower::from_fn(k_inverse.n(), |a, b| {
            let w = k_inverse.row(a)[b] - alpha[a] * alpha[b];
            if a == b { 0.5 * w } else { w }
        });
        let weighted: Vec<f64> =
            w.entries().iter().zip(&evaluation.slopes).map(|(w, slope)| w * slope).collect();
        let scales = self.differences.iter().zip(theta);
        let mut slope: Vec<f64> = scales
            .map(|(difference, log_scale)| (-2.0 * log_scale).exp() * dot(&weighted, difference.entries()))
            .collect();
        slope.push(dot(w.entries(), &evaluation.signal));
        slope.push(theta[d + 1].exp() * w.diagonal().map(|at| w.entries()[at]).sum::<f64>());
        for ((slope, theta), (mean, sd)) in slope.iter_mut().zip(theta).zip(self.priors) {
            *slope += (theta - mean) / (sd * sd);
        }
        slope
    }
}

impl CostFunction for Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, theta: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        Ok(self.value(theta).min(1e10))
    }
}

impl Gradient for Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, theta: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        Ok(self.slope(theta))
    }
}

/// Fits a process to standardised costs. Always starts at the mode of the priors, so that the result depends on the
/// data alone. `None` if no covariance matrix can be factored, which a noise of 1e-6 rules out but for overflow.
pub(super) fn fit(measures: &[Measure], points: Vec<Point>, y: Vec<f64>) -> Option<Posterior> {
    let differences = differences(measures, &points);
    let priors = priors(measures.len());
    let start: Vec<f64> = priors.iter().map(|(mean, _)| *mean).collect();
    // Where the line search breaks off the priors are still a sound choice.
    let problem = || Problem::new(&differences, &y, &priors);
    let better = |theta: &Vec<f64>| problem().value(theta) <= problem().value(&start);
    let theta = descend(problem(), start.clone()).filter(better).unwrap_or_else(|| start.clone());
    Posterior::new(measures.to_vec(), theta, points, y)
}

/// Where L-BFGS ends from a start.
fn descend(problem: Problem<'_>, start: Vec<f64>) -> Option<Vec<f64>> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 8).with_tolerance_grad(1e-3).ok()?;
    let executor = Executor::new(problem, solver);
    let result = executor.configure(|state| state.param(start).max_iters(MAX_ITERATIONS)).run().ok()?;
    result.state.get_best_param().cloned()
}

impl Posterior {
    fn new(measures: Vec<Measure>, theta: Vec<f64>, points: Vec<Point>, y: Vec<f64>) -> Option<Self> {
        let differences = differences(&measures, &points);
        let factor = Problem::new(&differences, &y, &[]).evaluate(&theta)?.factor;
        let alpha = solve_upper(&factor, &solve_lower(&factor, &y));
        Some(Self { measures, theta, points, y, factor, alpha })
    }

    /// Mean and standard deviation of the latent function at a point, in units of the standardised cost (Rasmussen and
    /// Williams 2006, eq. 2.25 and 2.26).
    pub(super) fn at(&self, x: &Point) -> (f64, f64) {
        let k = covariances(&self.measures, &self.theta, x, &self.points);
        let v = solve_lower(&self.factor, &k);
        let signal = self.theta[self.measures.len()].exp();
        (dot(&k, &self.alpha), (signal - dot(&v, &v)).max(1e-12).sqrt())
    }

    fn mean(&self, x: &Point) -> f64 {
        dot(&covariances(&self.measures, &self.theta, x, &self.points), &self.alpha)
    }

    /// The posterior after a trial whose result is not known yet is taken to be what is expected of it (Ginsbourger et
    /// al. 2010, the kriging believer).
    pub(super) fn believe(&mut self, x: &Point) {
        let k = covariances(&self.measures, &self.theta, x, &self.points);
        let row = solve_lower(&self.factor, &k);
        let d = self.measures.len();
        let corner = self.theta[d].exp() + self.theta[d + 1].exp() + LEAST_NOISE - dot(&row, &row);
        self.y.push(dot(&k, &self.alpha));
        self.points.push(x.clone());
        self.factor.push(&row, corner.max(LEAST_NOISE).sqrt());
        self.alpha = solve_upper(&self.factor, &solve_lower(&self.factor, &self.y));
    }

    /// The smallest mean at the points themselves: the incumbent without its noise.
    pub(super) fn incumbent(&self) -> f64 {
        self.points.iter().map(|x| self.mean(x)).fold(f64::INFINITY, f64::min)
    }

    /// Length scales.
    pub(super) fn scales(&self) -> Vec<f64> {
        self.theta.iter().take(self.measures.len()).map(|l| l.exp()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (Vec<Measure>, Vec<Point>, Vec<f64>) {
        let points: Vec<Point> = (0..12)
            .map(|i| {
                let (a, b) = (f64::from(i) / 11.0, f64::from(i * 5 % 12) / 11.0);
                vec![Some(a), Some(b), (i % 3 != 0).then_some(if i % 2 == 0 { 0.25 } else { 0.75 })]
            })
            .collect();
        let y = points
            .iter()
            .map(|x| (6.0 * x[0].unwrap()).sin() + x[1].unwrap() + x[2].unwrap_or(0.0))
            .collect();
        (vec![Measure::Distance, Measure::Distance, Measure::Identity], points, y)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (measures, points, y) = data();
        let (differences, priors) = (differences(&measures, &points), priors(3));
        let problem = Problem::new(&differences, &y, &priors);
        let theta = vec![-0.5, 0.3, 0.8, 0.2, -2.0];
        let slope = problem.slope(&theta);
        for i in 0..theta.len() {
            let (mut up, mut down) = (theta.clone(), theta.clone());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let expected = (problem.value(&up) - problem.value(&down)) / 2e-5;
            assert!(
                (slope[i] - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{i}: {} {expected}",
                slope[i]
            );
        }
    }

    #[test]
    fn a_fit_passes_near_its_points_and_knows_little_far_away() {
        let (measures, points, y) = data();
        let posterior = fit(&measures, points.clone(), y.clone()).unwrap();
        for (x, y) in points.iter().zip(&y) {
            let (mean, std) = posterior.at(x);
            assert!((mean - y).abs() < 0.2 && std < 0.3, "{mean} {std} {y}");
        }
        let (_, near) = posterior.at(&points[4]);
        let (_, far) = posterior.at(&vec![Some(0.5), Some(-9.0), Some(0.25)]);
        assert!(far > 2.0 * near);
    }

    #[test]
    fn believing_equals_a_posterior_with_the_point() {
        let (measures, points, y) = data();
        let posterior = fit(&measures, points.clone(), y.clone()).unwrap();
        let x = vec![Some(0.33), Some(0.9), None];
        let mut believing = posterior.clone();
        believing.believe(&x);
        let (mut more, mut y) = (points, y);
        more.push(x.clone());
        y.push(posterior.at(&x).0);
        let whole = Posterior::new(measures, posterior.theta.clone(), more, y).unwrap();
        let probe = vec![Some(0.4), Some(0.4), Some(0.75)];
        let (a, b) = (believing.at(&probe), whole.at(&probe));
        assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9);
    }
}
