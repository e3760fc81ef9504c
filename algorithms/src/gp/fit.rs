//! Fitting: the most probable hyperparameters given the points.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use argmin::core::{CostFunction, Executor, Gradient, State as _};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::kernel::{LEAST_NOISE, MEAN_VARIANCE, Measure, Point, differences, matern, scaled};
use super::matrix::{Lower, cholesky, dot, inverse, solve_lower, solve_upper};

/// Most steps of the optimizer, and most of them times the points of a fit: nobody waits for a large one much longer.
const MAX_ITERATIONS: u64 = 40;
const MAX_WORK: u64 = 3_000;
/// A step that gains less, as a logarithm of the posterior, is the last.
const LEAST_GAIN: f64 = 1e-3;
/// Bounds of all logarithms of hyperparameters: beyond them nothing changes but rounding.
pub(super) const BOUND: f64 = 12.0;
/// Share of the shift from the mean of a logarithm to the most probable value of what it is the logarithm of.
const SHORTER: f64 = 0.5;

/// Normal priors of the logarithms: length scales after Hvarfner et al. 2024, arXiv:2402.02229, eq. 5, which grow with
/// the square root of the dimension; signal variance near 1, since costs are standardised; little noise, but wide open.
///
/// Theirs is a prior of the length scale itself, whose most probable value lies [`SHORTER`] deviations squared below the
/// mean of its logarithm; half of that shift did best.
pub(super) fn priors(dims: usize) -> Vec<(f64, f64)> {
    let scale = (2.0_f64.sqrt() - SHORTER * 3.0 + 0.5 * (dims as f64).ln(), 3.0_f64.sqrt());
    let mut priors = vec![scale; dims];
    priors.extend([(0.0, 0.5), (-10.0, 3.0)]);
    priors
}

/// The mode of the priors.
pub(super) fn mode(dims: usize) -> Vec<f64> {
    priors(dims).into_iter().map(|(mean, _)| mean).collect()
}

/// Negative logarithm of the posterior of the hyperparameters (Rasmussen and Williams 2006, eq. 5.8 and 5.9).
pub(super) struct Problem<'a> {
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
    /// Covariances without noise and mean.
    signal: Vec<f64>,
    /// Their slopes, see [`matern`].
    slopes: Vec<f64>,
    factor: Lower,
    /// The gradient, once it was asked for: an optimizer asks again where its line search has ended.
    gradient: OnceCell<Vec<f64>>,
}

impl<'a> Problem<'a> {
    pub(super) fn new(differences: &'a [Lower], y: &'a [f64], priors: &'a [(f64, f64)]) -> Self {
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
        let function = signal.iter().map(|signal| signal + MEAN_VARIANCE).collect();
        let factor = cholesky(&Lower::new(self.y.len(), function).plus_diagonal(noise))?;
        Some(Evaluation { signal, slopes, factor, gradient: OnceCell::new() })
    }

    fn penalty(&self, theta: &[f64]) -> f64 {
        let square = |(theta, (mean, sd)): (&f64, &(f64, f64))| 0.5 * ((theta - mean) / sd).powi(2);
        theta.iter().zip(self.priors).map(square).sum()
    }

    pub(super) fn value(&self, theta: &[f64]) -> f64 {
        if theta.iter().any(|t| t.abs() > BOUND) {
            return f64::INFINITY;
        }
        let Some(evaluation) = self.at(theta) else { return f64::INFINITY };
        let l = &evaluation.factor;
        let z = solve_lower(l, self.y);
        let log_determinant: f64 = l.diagonal().map(|at| l.entries()[at].ln()).sum();
        0.5 * dot(&z, &z) + log_determinant + self.penalty(theta)
    }

    pub(super) fn slope(&self, theta: &[f64]) -> Vec<f64> {
        let Some(evaluation) = self.at(theta) else { return vec![0.0; theta.len()] };
        evaluation.gradient.get_or_init(|| self.gradient(theta, &evaluation)).clone()
    }

    fn gradient(&self, theta: &[f64], evaluation: &Evaluation) -> Vec<f64> {
        let d = self.differences.len();
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

/// The hyperparameters of a process that is fitted to standardised costs: the best end of descents from these starts,
/// of the first start where none ends better.
pub(super) fn fit(measures: &[Measure], points: &[Point], y: &[f64], starts: &[Vec<f64>]) -> Vec<f64> {
    let differences = differences(measures, points);
    let priors = priors(measures.len());
    let problem = || Problem::new(&differences, y, &priors);
    // Where the line search breaks off the start is still a sound choice.
    let steps = (MAX_WORK / (points.len() as u64).max(1)).min(MAX_ITERATIONS);
    let ends = starts.iter().filter_map(|start| descend(problem(), start.clone(), steps));
    let candidates = starts.iter().take(1).cloned().chain(ends);
    let best = candidates.map(|theta| (problem().value(&theta), theta)).min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(|| mode(measures.len()), |(_, theta)| theta)
}

/// Where L-BFGS ends from a start, after at most so many steps.
fn descend(problem: Problem<'_>, start: Vec<f64>, steps: u64) -> Option<Vec<f64>> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 8);
    let solver = solver.with_tolerance_grad(1e-3).ok()?.with_tolerance_cost(LEAST_GAIN).ok()?;
    let executor = Executor::new(problem, solver);
    let result = executor.configure(|state| state.param(start).max_iters(steps)).run().ok()?;
    result.state.get_best_param().cloned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::data;
    use super::*;

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
    fn a_fit_is_no_worse_than_any_of_its_starts() {
        let (measures, points, y) = data();
        let (differences, priors) = (differences(&measures, &points), priors(3));
        let starts = [mode(3), vec![-1.0, -1.0, 0.0, 0.0, -6.0]];
        let theta = fit(&measures, &points, &y, &starts);
        let value = |theta: &[f64]| Problem::new(&differences, &y, &priors).value(theta);
        assert!(starts.iter().all(|start| value(&theta) <= value(start)));
    }
}
