//! Covariance: Matern 5/2 with a length scale for each parameter, and a constant for the mean that is not known.
//!
//! | symbol | meaning |
//! |---|---|
//! | n, d | number of points and of parameters |
//! | theta | `ln l_1 .. ln l_d, ln s, ln v`: length scales, signal variance, noise variance |
//! | D_j | squared differences of all pairs of points along parameter j |

use study::{Assignment, Domain, Space};

use super::matrix::{Lower, add_scaled, dot};
use crate::encode::encode_value;

/// A point as the kernel sees it: coordinates in the unit cube, NaN where a parameter is inactive.
pub(super) type Point = Vec<f64>;

/// Least noise variance, in units of the standardised cost.
pub(super) const LEAST_NOISE: f64 = 1e-6;

/// Variance of the mean of the process, which is normal about that of the costs: where the search has settled, the told
/// points say little of what lies elsewhere (Rasmussen and Williams 2006, section 2.7).
pub(super) const MEAN_VARIANCE: f64 = 1.0;
/// Square of the difference between an inactive name and any other.
const NAME_FROM_NONE: f64 = 0.5;

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
    parameters
        .map(|(i, p)| assignment.get(i).map_or(f64::NAN, |value| encode_value(&p.domain, value)))
        .collect()
}

/// Where a number lies: in the middle if it is inactive; then the parameter that its condition names tells points apart.
fn placed(x: f64) -> f64 {
    if x.is_nan() { 0.5 } else { x }
}

/// The squared difference along a parameter.
fn squared(measure: Measure, a: f64, b: f64) -> f64 {
    match measure {
        Measure::Distance => (placed(a) - placed(b)).powi(2),
        Measure::Identity if a.is_nan() && b.is_nan() => 0.0,
        Measure::Identity if a.is_nan() || b.is_nan() => NAME_FROM_NONE,
        Measure::Identity => f64::from(u8::from((a - b).abs() > 1e-12)),
    }
}

/// Squared differences of all pairs, one matrix a parameter.
pub(super) fn differences(measures: &[Measure], points: &[Point]) -> Vec<Lower> {
    let of = |(j, measure): (usize, &Measure)| {
        Lower::from_fn(points.len(), |a, b| squared(*measure, points[a][j], points[b][j]))
    };
    measures.iter().enumerate().map(of).collect()
}

/// Sums `D_j / l_j^2` over the parameters; entries of the triangle.
pub(super) fn scaled(differences: &[Lower], theta: &[f64]) -> Vec<f64> {
    let mut r2 = vec![0.0; differences.first().map_or(0, |first| first.entries().len())];
    for (difference, log_scale) in differences.iter().zip(theta) {
        add_scaled(&mut r2, (-2.0 * log_scale).exp(), difference.entries());
    }
    r2
}

/// Matern 5/2 at a squared scaled distance, `(1 + q + q^2 / 3) exp(-q)` with `q = sqrt(5 r2)` (Rasmussen and Williams
/// 2006, eq. 4.17), and its slope: the derivative by `ln l_j` is the slope times `d2 / l_j^2` for a squared difference
/// `d2` along j, `5/3 (1 + q) exp(-q) d2 / l_j^2`.
pub(super) fn matern(r2: f64) -> (f64, f64) {
    let q = ROOT_5 * r2.sqrt();
    let decay = (-q).exp();
    ((1.0 + q + q * q / 3.0) * decay, 5.0 / 3.0 * (1.0 + q) * decay)
}

/// The covariance function with its hyperparameters.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) measures: Vec<Measure>,
    /// `1 / l_j^2`.
    weights: Vec<f64>,
    signal: f64,
    /// Variance of the noise.
    pub(super) noise: f64,
}

impl Kernel {
    pub(super) fn new(measures: &[Measure], theta: &[f64]) -> Self {
        let d = measures.len();
        Self {
            measures: measures.to_vec(),
            weights: theta[..d].iter().map(|l| (-2.0 * l).exp()).collect(),
            signal: theta[d].exp(),
            noise: theta[d + 1].exp() + LEAST_NOISE,
        }
    }

    /// Length scales.
    pub(super) fn scales(&self) -> Vec<f64> {
        self.weights.iter().map(|weight| weight.sqrt().recip()).collect()
    }

    /// The prior variance at any point, without noise.
    pub(super) fn variance(&self) -> f64 {
        self.signal + MEAN_VARIANCE
    }

    /// The squared scaled distances of a point from the first `n` of others.
    fn r2(&self, x: &[f64], others: &Columns, n: usize) -> Vec<f64> {
        let mut r2 = vec![0.0; n];
        let along = self.measures.iter().zip(&self.weights).zip(x.iter().zip(&others.0));
        for ((measure, weight), (x, column)) in along {
            let sums = r2.iter_mut().zip(column);
            match measure {
                Measure::Distance => {
                    let x = placed(*x);
                    sums.for_each(|(sum, other)| *sum += weight * ((x - other) * (x - other)));
                }
                Measure::Identity => {
                    sums.for_each(|(sum, other)| *sum += weight * squared(*measure, *x, *other));
                }
            }
        }
        r2
    }

    /// Covariances of a point with the first `n` of others, without noise.
    pub(super) fn covariances(&self, x: &[f64], others: &Columns, n: usize) -> Vec<f64> {
        let r2 = self.r2(x, others, n);
        r2.into_iter().map(|r2| self.signal * matern(r2).0 + MEAN_VARIANCE).collect()
    }

    /// Covariances of a point with all of others, and how steep they are there: see [`Kernel::slope`].
    pub(super) fn steep(&self, x: &[f64], others: &Columns) -> (Vec<f64>, Vec<f64>) {
        let of = |r2: f64| {
            let (value, slope) = matern(r2);
            (self.signal * value + MEAN_VARIANCE, self.signal * slope)
        };
        self.r2(x, others, others.len()).into_iter().map(of).unzip()
    }

    /// The slope along `axes`, which are numbers, of `sum_i w_i k(x, x_i)`.
    pub(super) fn slope(
        &self,
        x: &[f64],
        others: &Columns,
        steep: &[f64],
        w: &[f64],
        axes: &[usize],
    ) -> Vec<f64> {
        let weighted: Vec<f64> = steep.iter().zip(w).map(|(steep, w)| steep * w).collect();
        let sum: f64 = weighted.iter().sum();
        let along = |j: &usize| self.weights[*j] * (dot(&weighted, &others.0[*j]) - sum * x[*j]);
        axes.iter().map(along).collect()
    }
}

/// Points parameter by parameter. Numbers that are inactive lie in the middle.
#[derive(Clone, Debug)]
pub(super) struct Columns(Vec<Vec<f64>>);

impl Columns {
    pub(super) fn new(measures: &[Measure], points: &[Point]) -> Self {
        let mut columns = Self(vec![Vec::with_capacity(points.len()); measures.len()]);
        points.iter().for_each(|point| columns.push(measures, point));
        columns
    }

    pub(super) fn push(&mut self, measures: &[Measure], point: &Point) {
        for ((column, measure), x) in self.0.iter_mut().zip(measures).zip(point) {
            column.push(if *measure == Measure::Distance { placed(*x) } else { *x });
        }
    }

    /// Number of points.
    pub(super) fn len(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }
}
