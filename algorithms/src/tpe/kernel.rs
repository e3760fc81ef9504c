//! Kernels of one axis: how far each trial speaks for its neighbourhood.
//!
//! Kernels are densities against the prior, which is 1 everywhere in the unit cube.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::Domain;

use crate::encode::cell_bounds;

/// Lattices of more values are taken for a continuum.
const MAX_CELLS: u64 = 64;
/// No kernel is narrower than this share of its axis.
const LEAST: f64 = 0.02;

/// What an axis is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Axis {
    /// A continuum, or a lattice too fine to matter.
    Line,
    /// Cells by their bounds in `[0, 1]`, rising.
    Cells(Vec<(f64, f64)>),
    /// Names, as equal cells without an order.
    Names(usize),
}

impl Axis {
    /// The axis of a domain.
    pub(super) fn new(domain: &Domain) -> Self {
        match (domain, domain.cardinality()) {
            (Domain::Categorical { choices, ordered: false }, _) => Self::Names(choices.len()),
            (_, Some(n)) if n <= MAX_CELLS => Self::Cells((0..n).map(|k| cell_bounds(domain, k)).collect()),
            _ => Self::Line,
        }
    }

    /// The cell of a coordinate.
    fn cell(&self, x: f64) -> usize {
        match self {
            Self::Line => 0,
            Self::Cells(bounds) => bounds.partition_point(|(_, high)| *high <= x).min(bounds.len() - 1),
            Self::Names(n) => ((x * *n as f64) as usize).min(n - 1),
        }
    }

    /// The middle of a cell.
    fn centre(&self, cell: usize) -> f64 {
        match self {
            Self::Line => 0.5,
            Self::Cells(bounds) => f64::midpoint(bounds[cell].0, bounds[cell].1),
            Self::Names(n) => (cell as f64 + 0.5) / *n as f64,
        }
    }

    fn cells(&self, column: &[f64]) -> Vec<u32> {
        column.iter().map(|x| self.cell(*x) as u32).collect()
    }
}

/// How narrow kernels become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clip {
    /// The least width of one of n kernels is `(n + 1)^-exponent`: Watanabe 2023, eq. 17, generalises the "magic clip" of
    /// Bergstra et al. 2011, which has 1.
    pub(super) exponent: f64,
    /// Weight of the prior against that of one trial: names are spread by it.
    pub(super) prior: f64,
}

/// The kernels of all trials on one axis.
#[derive(Clone, Debug)]
pub(super) struct Kernel<'a> {
    axis: &'a Axis,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// Normals truncated to `[0, 1]`: mean, inverse deviation and logarithm of the scale, one a trial.
    Line { means: Vec<f64>, inverse: Vec<f64>, log_scale: Vec<f64> },
    /// The same by cell. Logarithm of the density in cell `x` of a trial in cell `m`, at `m * cells + x`; and the chances.
    Cells { of: Vec<u32>, log_density: Vec<f64>, chances: Vec<f64> },
    /// Aitchison and Aitken 1976: the share `spread` of the mass lies on all names alike, the rest on the trial's own.
    Names { of: Vec<u32>, spread: f64, log_same: f64, log_other: f64 },
}

impl<'a> Kernel<'a> {
    /// The kernels of trials by their coordinates, a column of length n.
    pub(super) fn new(axis: &'a Axis, column: Vec<f64>, clip: Clip) -> Self {
        let shape = match axis {
            Axis::Line => line(column, clip),
            Axis::Cells(bounds) => cells(bounds, axis.cells(&column), &widths(&column, clip)),
            Axis::Names(n) => names(*n, axis.cells(&column), clip.prior),
        };
        Self { axis, shape }
    }

    /// Adds the logarithm of each trial's density at `x`; `sums`: length n.
    pub(super) fn add_log_density(&self, x: f64, sums: &mut [f64]) {
        match &self.shape {
            Shape::Line { means, inverse, log_scale } => {
                let normals = means.iter().zip(inverse).zip(log_scale);
                for (sum, ((mean, inverse), log_scale)) in sums.iter_mut().zip(normals) {
                    let z = (x - mean) * inverse;
                    *sum += log_scale - 0.5 * z * z;
                }
            }
            Shape::Cells { of, log_density, chances } => {
                let n = chances.len().isqrt();
                let cell = self.axis.cell(x);
                for (sum, row) in sums.iter_mut().zip(of) {
                    *sum += log_density[*row as usize * n + cell];
                }
            }
            Shape::Names { of, log_same, log_other, .. } => {
                let cell = self.axis.cell(x) as u32;
                for (sum, own) in sums.iter_mut().zip(of) {
                    *sum += if *own == cell { log_same } else { log_other };
                }
            }
        }
    }

    /// Draws a coordinate from a trial's kernel, from the prior if there is none.
    pub(super) fn draw(&self, trial: Option<usize>, rng: &mut ChaCha8Rng) -> f64 {
        let u = rng.random::<f64>();
        let Some(i) = trial else { return u };
        match &self.shape {
            Shape::Line { means, inverse, .. } => truncated_normal(means[i], 1.0 / inverse[i], u),
            Shape::Cells { of, chances, .. } => {
                let n = chances.len().isqrt();
                let row = of[i] as usize;
                let mut left = u;
                let hit = chances[row * n..(row + 1) * n].iter().position(|chance| {
                    left -= chance;
                    left < 0.0
                });
                self.axis.centre(hit.unwrap_or(row))
            }
            Shape::Names { spread, .. } if u < *spread => u / spread,
            Shape::Names { of, .. } => self.axis.centre(of[i] as usize),
        }
    }
}

/// Deviations beyond which a normal has no mass that matters.
const FAR: f64 = 8.0;

/// The mass of a normal of this mean and deviation in `[0, 1]`.
fn inside(mean: f64, sigma: f64) -> f64 {
    if mean > FAR * sigma && 1.0 - mean > FAR * sigma {
        return 1.0;
    }
    let normal = Normal::standard();
    (normal.cdf((1.0 - mean) / sigma) - normal.cdf(-mean / sigma)).max(1e-12)
}

/// The `u`-quantile of a normal truncated to `[0, 1]`.
fn truncated_normal(mean: f64, sigma: f64, u: f64) -> f64 {
    let normal = Normal::standard();
    let (low, high) = (normal.cdf(-mean / sigma), normal.cdf((1.0 - mean) / sigma));
    let z = normal.inverse_cdf((low + u * (high - low)).clamp(1e-300, 1.0 - 1e-16));
    (mean + sigma * z).clamp(0.0, 1.0)
}

fn line(means: Vec<f64>, clip: Clip) -> Shape {
    let sigmas = widths(&means, clip);
    let log_scale = means
        .iter()
        .zip(&sigmas)
        .map(|(mean, sigma)| -(sigma * inside(*mean, *sigma)).ln() - 0.5 * std::f64::consts::TAU.ln());
    Shape::Line {
        log_scale: log_scale.collect(),
        inverse: sigmas.iter().map(|sigma| 1.0 / sigma).collect(),
        means,
    }
}

fn cells(bounds: &[(f64, f64)], of: Vec<u32>, sigmas: &[f64]) -> Shape {
    let n = bounds.len();
    let mut widths = vec![None; n];
    for (row, sigma) in of.iter().zip(sigmas) {
        widths[*row as usize] = Some(*sigma);
    }
    let (mut log_density, mut chances) = (vec![0.0; n * n], vec![0.0; n * n]);
    let normal = Normal::standard();
    for (row, width) in widths.into_iter().enumerate() {
        let Some(width) = width else { continue };
        let (low, high) = bounds[row];
        let (mean, sigma) = (f64::midpoint(low, high), width.max(0.5 * (high - low)));
        let all = inside(mean, sigma);
        let mut below = normal.cdf((bounds[0].0 - mean) / sigma);
        for (cell, (low, high)) in bounds.iter().enumerate() {
            let up_to = normal.cdf((high - mean) / sigma);
            let chance = ((up_to - below) / all).max(1e-12);
            chances[row * n + cell] = chance;
            log_density[row * n + cell] = (chance / (high - low).max(1e-12)).ln();
            below = up_to;
        }
    }
    Shape::Cells { of, log_density, chances }
}

/// Each name gets the prior's weight over the number of kernels beside the trial's own weight of 1, as in Optuna.
fn names(n: usize, of: Vec<u32>, prior: f64) -> Shape {
    let n = n as f64;
    let each = prior / (of.len() as f64 + 1.0);
    let spread = n * each / (1.0 + n * each);
    Shape::Names { of, spread, log_same: ((1.0 - spread) * n + spread).ln(), log_other: spread.ln() }
}

/// For each mean the larger distance to its neighbours (Bergstra et al. 2011, section 4, without the prior among them),
/// clipped.
fn widths(means: &[f64], clip: Clip) -> Vec<f64> {
    let least = (means.len() as f64 + 1.0).powf(-clip.exponent).max(LEAST);
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_unstable_by(|a, b| means[*a].total_cmp(&means[*b]));
    let mut distinct: Vec<f64> = order.iter().map(|i| means[*i]).collect();
    distinct.dedup();
    let mut sigmas = vec![1.0; means.len()];
    if let [mean] = distinct[..] {
        sigmas.fill(mean.max(1.0 - mean).max(least));
        return sigmas;
    }
    let mut at = 0;
    for i in order {
        while distinct[at] < means[i] {
            at += 1;
        }
        let below = if at > 0 { means[i] - distinct[at - 1] } else { 0.0 };
        let above = distinct.get(at + 1).map_or(0.0, |other| other - means[i]);
        sigmas[i] = below.max(above).clamp(least, 1.0);
    }
    sigmas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_reach_to_the_farther_neighbour() {
        let clip = Clip { exponent: 2.0, prior: 1.0 };
        let sigmas = widths(&[0.1, 0.9, 0.2, 0.2], clip);
        let expected = [0.1, 0.7, 0.7, 0.7];
        assert!(sigmas.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12));
        assert_eq!(widths(&[0.3, 0.3], clip), [0.7, 0.7]);
        assert_eq!(widths(&[], clip), [0.0; 0]);
    }

    #[test]
    fn close_neighbours_do_not_make_needles() {
        let sigmas = |exponent| widths(&[0.5, 0.501, 0.502], Clip { exponent, prior: 1.0 });
        assert_eq!(sigmas(1.0), [0.25; 3]);
        assert_eq!(sigmas(9.0), [LEAST; 3]);
    }

    #[test]
    fn ordered_names_have_an_order() {
        let choices = ["a", "b", "c"].map(String::from).to_vec();
        let axis = Axis::new(&Domain::Categorical { choices, ordered: true });
        let kernel = Kernel::new(&axis, vec![1.0 / 6.0], Clip { exponent: 1.0, prior: 1.0 });
        let density = |x| {
            let mut sums = [0.0];
            kernel.add_log_density(x, &mut sums);
            sums[0]
        };
        assert!(density(1.0 / 6.0) > density(0.5) && density(0.5) > density(5.0 / 6.0));
    }
}
