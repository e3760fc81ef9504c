//! Other hyperparameters that the points allow.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::fit::{BOUND, Problem, priors};
use super::kernel::{Measure, Point, differences};
use super::matrix::{Lower, cholesky, dot, solve_upper};

/// Draws beside the fit itself.
const DRAWS: usize = 7;
/// Least weight of a draw that is kept.
const LEAST_WEIGHT: f64 = 1e-3;
/// Step of the finite differences of the slope.
const STEP: f64 = 1e-2;
/// Share of the prior's precision that is added, at first, where the posterior is not curved enough to have a normal
/// approximation.
const RIDGE: f64 = 0.3;
/// Times that it is doubled.
const DOUBLINGS: usize = 20;

/// The most probable hyperparameters with draws from a normal distribution about them, which has the curvature of the
/// posterior there (Laplace's approximation), each with its weight: the ratio of posterior and normal density, both
/// relative to the fit, at most 1.
///
/// The same numbers are drawn each time, so that the draws change only as the posterior does.
pub(super) fn draws(
    measures: &[Measure],
    points: &[Point],
    y: &[f64],
    theta: &[f64],
) -> Vec<(f64, Vec<f64>)> {
    let (differences, priors) = (differences(measures, points), priors(measures.len()));
    let problem = Problem::new(&differences, y, &priors);
    let mut kept = vec![(1.0, theta.to_vec())];
    let Some(factor) = curvature(&problem, theta, &priors) else { return kept };
    let least = problem.value(theta);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..DRAWS {
        let z: Vec<f64> = theta.iter().map(|_| normal(rng.random())).collect();
        let step = solve_upper(&factor, &z);
        let drawn: Vec<f64> =
            theta.iter().zip(step).map(|(t, step)| (t + step).clamp(-BOUND, BOUND)).collect();
        let weight = (least - problem.value(&drawn) + 0.5 * dot(&z, &z)).min(0.0).exp();
        if weight >= LEAST_WEIGHT {
            kept.push((weight, drawn));
        }
    }
    kept
}

/// The factor of the matrix of second derivatives, by differences of the slope.
fn curvature(problem: &Problem<'_>, theta: &[f64], priors: &[(f64, f64)]) -> Option<Lower> {
    let here = problem.slope(theta);
    let row = |i: usize| {
        let mut moved = theta.to_vec();
        moved[i] += STEP;
        problem.slope(&moved).iter().zip(&here).map(|(there, here)| (there - here) / STEP).collect()
    };
    let rows: Vec<Vec<f64>> = (0..theta.len()).map(row).collect();
    let curved = Lower::from_fn(theta.len(), |i, j| 0.5 * (rows[i][j] + rows[j][i]));
    let ridged = |ridge: f64| {
        let ridge = |i: usize, j: usize| if i == j { ridge / priors[i].1.powi(2) } else { 0.0 };
        cholesky(&Lower::from_fn(theta.len(), |i, j| curved.row(i)[j] + ridge(i, j)))
    };
    let ridges = std::iter::successors(Some(RIDGE), |ridge| Some(2.0 * ridge)).take(DOUBLINGS);
    std::iter::once(0.0).chain(ridges).find_map(ridged)
}

fn normal(u: f64) -> f64 {
    Normal::standard().inverse_cdf(u.clamp(1e-9, 1.0 - 1e-9))
}

#[cfg(test)]
mod tests {
    use super::super::fit::{fit, mode};
    use super::super::testing::data;
    use super::*;

    #[test]
    fn draws_lie_about_the_fit_and_the_fit_comes_first() {
        let (measures, points, y) = data();
        let theta = fit(&measures, &points, &y, &[mode(3)]);
        let drawn = draws(&measures, &points, &y, &theta);
        assert_eq!(drawn[0], (1.0, theta.clone()));
        assert!(drawn.iter().all(|(weight, _)| (LEAST_WEIGHT..=1.0).contains(weight)));
        assert!(drawn[1..].iter().all(|(_, drawn)| *drawn != theta));
    }

    /// Without points the posterior is the prior, whose curvature is known.
    #[test]
    fn the_curvature_of_the_prior_is_its_precision() {
        let priors = priors(2);
        let differences = vec![Lower::default(); 2];
        let problem = Problem::new(&differences, &[], &priors);
        let factor = curvature(&problem, &mode(2), &priors).unwrap();
        for (at, (_, sd)) in factor.diagonal().zip(&priors) {
            assert!((factor.entries()[at] - 1.0 / sd).abs() < 1e-9);
        }
    }
}
