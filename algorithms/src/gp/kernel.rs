//! Covariance: Matern 5/2 with a length scale for each parameter.
//!
//! | symbol | meaning |
//! |---|---|
//! | n, d | number of points and of parameters |
//! | theta | `ln l_1 .. ln l_d, ln s, ln v`: length scales, signal variance, noise variance |
//! | D_j | squared differences of all pairs of points along parameter j |

use study::{Assignment, Domain, Space};

use super::matrix::{Lower, add_scaled};
use crate::encode::encode_value;

/// A point as the kernel sees it: a coordinate for each active parameter.
pub(super) type Point = Vec<Option<f64>>;

/// Square root of 5.
const ROOT_5: f64 = 2.236_067_977_499_79;

/// How differences along a parameter are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// By the distance in the unit cube.
    Distance,
    /// Same or not (Hamming).
    Identity,
}

/// How the parameters of a space are measured.
pub(super) fn measures(space: &Space) -> Vec<Measure> {
    let of = |domain: &Domain| match domain {
        Domain::Categorical { ordered: false, .. } => Measure::Identity,
        _ => Measure::Distance,
    };
    space.parameters().iter().map(|parameter| of(&parameter.domain)).collect()
}

/// An assignment as the kernel sees it. Values are those of the space, so integers and steps count as rounded.
pub(super) fn point(space: &Space, assignment: &Assignment) -> Point {
    let parameters = space.parameters().iter().enumerate();
    parameters.map(|(i, p)| assignment.get(i).map(|value| encode_value(&p.domain, value))).collect()
}

/// The squared difference along a parameter. A parameter that only one of the points has makes them differ by 1, one
/// that neither has by nothing.
fn squared(measure: Measure, a: Option<f64>, b: Option<f64>) -> f64 {
    match (a, b) {
        (Some(a), Some(b)) => match measure {
            Measure::Distance => (a - b) * (a - b),
            Measure::Identity => f64::from(u8::from((a - b).abs() > 1e-12)),
        },
        (None, None) => 0.0,
        _ => 1.0,
    }
}

/// Squared differences of all pairs, one matrix a parameter.
pub(super) fn differences(measures: &[Measure], points: &[Point]) -> Vec<Lower> {
    let of = |(j, measure): (usize, &Measure)| {
        Lower::from_fn(points.len(), |a, b| squared(*measure, points[a][j], points[b][j]))
    };
    measures.iter().enumerate().map(of).collect()
}

/// Matern 5/2 at a squared scaled distance, `(1 + q + q^2 / 3) exp(-q)` with `q = sqrt(5 r2)` (Rasmussen and Williams
/// 2006, eq. 4.17), and its slope: the derivative by `ln l_j` is the slope times `d2 / l_j^2` for a squared difference
/// `d2` along j, `5/3 (1 + q) exp(-q) d2 / l_j^2`.
pub(super) fn matern(r2: f64) -> (f64, f64) {
    let q = ROOT_5 * r2.sqrt();
    let decay = (-q).exp();
    ((1.0 + q + q * q / 3.0) * decay, 5.0 / 3.0 * (1.0 + q) * decay)
}

/// Sums `D_j / l_j^2` over the parameters; entries of the triangle.
pub(super) fn scaled(differences: &[Lower], theta: &[f64]) -> Vec<f64> {
    let mut r2 = vec![0.0; differences.first().map_or(0, |first| first.entries().len())];
    for (difference, log_scale) in differences.iter().zip(theta) {
        add_scaled(&mut r2, (-2.0 * log_scale).exp(), difference.entries());
    }
    r2
}

/// Covariances of one point with others, without noise.
pub(super) fn covariances(measures: &[Measure], theta: &[f64], x: &Point, points: &[Point]) -> Vec<f64> {
    let weights: Vec<f64> = theta.iter().take(measures.len()).map(|l| (-2.0 * l).exp()).collect();
    let signal = theta[measures.len()].exp();
    let of = |other: &Point| {
        let parts = measures.iter().zip(&weights).zip(x.iter().zip(other));
        signal * matern(parts.map(|((measure, weight), (a, b))| weight * squared(*measure, *a, *b)).sum()).0
    };
    points.iter().map(of).collect()
}
