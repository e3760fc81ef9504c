//! Densities estimated from points of the unit cube.
//!
//! | symbol | meaning |
//! |---|---|
//! | n, d | number of points and of axes |
//! | x | a point, length d, each coordinate in `[0, 1]`, or none where its parameter is inactive |
//! | p(x) | `sum_i w_i prod_j k_j(x_j, x_ij)`, the mixture; its first component is the prior, uniform in the cube |
//!
//! Kernels are densities against the prior, so that an inactive coordinate counts as 1.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};

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
}

/// A kernel of one axis, ready to be evaluated.
#[derive(Clone, Debug)]
enum Kernel {
    /// Truncated normals, one a component.
    Line { inverse: Vec<f64>, log_scale: Vec<f64> },
    /// Logarithm of the density in cell `x` of a component in cell `m`, at `m * cells + x`; and the chances.
    Table { cells: usize, log_density: Vec<f64>, chances: Vec<f64> },
}

/// A mixture over all points.
#[derive(Clone, Debug)]
pub(super) struct Parzen {
    axes: Vec<Axis>,
    kernels: Vec<Kernel>,
    /// Coordinates by axis, then point; NaN where inactive.
    points: Vec<Vec<f64>>,
    /// Cells by axis, then point.
    cells: Vec<Vec<u32>>,
    /// The whole density by cell, where there is one axis and it has cells.
    by_cell: Vec<f64>,
    n: usize,
    /// Weight of the prior, relative to 1 for each point.
    prior: f64,
}

/// What is less than this share of the largest term of a sum, as a logarithm, is not added.
const NEGLIGIBLE: f64 = -40.0;

/// How wide the kernels of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// By the distance of neighbours: Bergstra et al. 2011, section 4.
    Neighbours,
    /// By the number of points and axes: Scott 1992, eq. 6.42, scaled by 0.2 (Falkner et al. 2018 and Optuna).
    Scott,
}

impl Parzen {
    /// The mixture of n points: `points` are their coordinates, a column of length n for each axis, NaN where inactive.
    /// `prior` is above 0.
    pub(super) fn new(axes: &[Axis], points: Vec<Vec<f64>>, prior: f64, width: Width) -> Self {
        let n = points.first().map_or(0, Vec::len);
        let scott = 0.2 * (n.max(1) as f64).powf(-1.0 / (axes.len() as f64 + 4.0));
        let cells = axes.iter().zip(&points).map(|(axis, column)| match axis {
            Axis::Line => Vec::new(),
            _ => column.iter().map(|x| if x.is_nan() { 0 } else { axis.cell(*x) as u32 }).collect(),
        });
        let cells = cells.collect();
        let kernels = axes.iter().zip(&points).map(|(axis, column)| match axis {
            Axis::Line => line(column, scott, width),
            Axis::Cells(bounds) => table_of_cells(bounds, scott),
            Axis::Names(k) => table_of_names(*k, n, prior),
        });
        let kernels = kernels.collect();
        let mut parzen = Self { axes: axes.to_vec(), kernels, points, cells, by_cell: Vec::new(), n, prior };
        if let [Axis::Cells(_) | Axis::Names(_)] = axes {
            parzen.by_cell = parzen.sum_cells();
        }
        parzen
    }

    /// The logarithm of the density in each cell of the only axis.
    fn sum_cells(&self) -> Vec<f64> {
        let [Kernel::Table { cells, log_density, .. }] = &self.kernels[..] else { return Vec::new() };
        let mut counts = vec![0.0; *cells];
        for (row, _) in self.cells[0].iter().zip(&self.points[0]).filter(|(_, x)| !x.is_nan()) {
            counts[*row as usize] += 1.0;
        }
        let inactive = self.n as f64 - counts.iter().sum::<f64>();
        let density = |cell: usize| -> f64 {
            let rows = counts.iter().enumerate();
            rows.map(|(row, count)| count * log_density[row * cells + cell].exp()).sum()
        };
        let total = self.prior + self.n as f64;
        (0..*cells).map(|cell| ((self.prior + inactive + density(cell)) / total).ln()).collect()
    }

    /// The logarithm of the density at `x`, NaN coordinates counting as inactive.
    pub(super) fn log_density(&self, x: &[f64], scratch: &mut Vec<f64>) -> f64 {
        if let ([x], false) = (x, x[0].is_nan() || self.by_cell.is_empty()) {
            return self.by_cell[self.axes[0].cell(*x)];
        }
        scratch.clear();
        scratch.resize(self.n, 0.0);
        for (axis, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            self.add_axis(axis, *x, scratch);
        }
        // log(prior + sum exp(s_i)) - log(prior + n), with the largest term taken out; the prior's own density is 1.
        let max = scratch.iter().copied().fold(0.0, f64::max);
        let terms = scratch.iter().map(|s| s - max).filter(|s| *s > NEGLIGIBLE);
        let sum: f64 = terms.map(f64::exp).sum();
        max + (self.prior * (-max).exp() + sum).ln() - (self.prior + self.n as f64).ln()
    }

    fn add_axis(&self, axis: usize, x: f64, sums: &mut [f64]) {
        let points = &self.points[axis];
        match &self.kernels[axis] {
            Kernel::Line { inverse, log_scale } => {
                for (((sum, mean), inverse), log_scale) in
                    sums.iter_mut().zip(points).zip(inverse).zip(log_scale)
                {
                    let z = (x - mean) * inverse;
                    *sum += if mean.is_nan() { 0.0 } else { log_scale - 0.5 * z * z };
                }
            }
            Kernel::Table { cells, log_density, .. } => {
                let cell = self.axes[axis].cell(x);
                for ((sum, mean), row) in sums.iter_mut().zip(points).zip(&self.cells[axis]) {
                    *sum += if mean.is_nan() { 0.0 } else { log_density[*row as usize * cells + cell] };
                }
            }
        }
    }

    /// Draws a point; inactive coordinates of its component are drawn from the prior.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let component = rng.random::<f64>() * (self.prior + self.n as f64) - self.prior;
        let component = (component >= 0.0).then(|| (component as usize).min(self.n - 1));
        (0..self.axes.len()).map(|axis| self.draw_axis(axis, component, rng)).collect()
    }

    fn draw_axis(&self, axis: usize, component: Option<usize>, rng: &mut ChaCha8Rng) -> f64 {
        let u = rng.random::<f64>();
        let mean = component.map(|i| self.points[axis][i]).filter(|mean| !mean.is_nan());
        let (Some(component), Some(mean)) = (component, mean) else { return u };
        match &self.kernels[axis] {
            Kernel::Line { inverse, .. } => truncated_normal(mean, 1.0 / inverse[component], u),
            Kernel::Table { cells, chances, .. } => {
                let row = self.cells[axis][component] as usize;
                let mut left = u;
                for cell in 0..*cells {
                    left -= chances[row * cells + cell];
                    if left < 0.0 {
                        return self.axes[axis].centre(cell);
                    }
                }
                self.axes[axis].centre(row)
            }
        }
    }
}

/// Deviations beyond which a normal has no mass that matters.
const FAR: f64 = 8.0;

/// The mass of a normal with this mean and deviation in `[low, high]`.
fn mass(mean: f64, sigma: f64, low: f64, high: f64) -> f64 {
    if mean - low > FAR * sigma && high - mean > FAR * sigma {
        return 1.0;
    }
    let normal = Normal::standard();
    normal.cdf((high - mean) / sigma) - normal.cdf((low - mean) / sigma)
}

/// The `u`-quantile of a normal truncated to `[0, 1]`.
fn truncated_normal(mean: f64, sigma: f64, u: f64) -> f64 {
    let normal = Normal::standard();
    let (low, high) = (normal.cdf(-mean / sigma), normal.cdf((1.0 - mean) / sigma));
    let z = normal.inverse_cdf((low + u * (high - low)).clamp(1e-300, 1.0 - 1e-16));
    (mean + sigma * z).clamp(0.0, 1.0)
}

fn line(means: &[f64], scott: f64, width: Width) -> Kernel {
    let n = means.iter().filter(|mean| !mean.is_nan()).count();
    // Narrower kernels than these would repeat what has been tried: Bergstra et al. 2011's "magic clip".
    let least = 1.0 / (1.0 + n as f64).min(100.0);
    let sigmas = match width {
        Width::Scott => vec![scott.max(least.min(0.1)); means.len()],
        Width::Neighbours => neighbours(means, least),
    };
    let log_scale = means.iter().zip(&sigmas).map(|(mean, sigma)| {
        if mean.is_nan() {
            return 0.0;
        }
        let inside = mass(*mean, *sigma, 0.0, 1.0).max(1e-12);
        -(sigma * inside).ln() - 0.5 * std::f64::consts::TAU.ln()
    });
    Kernel::Line { log_scale: log_scale.collect(), inverse: sigmas.iter().map(|sigma| 1.0 / sigma).collect() }
}

/// For each mean the larger distance to its neighbours, the middle of the axis counting as one; within `[least, 1]`.
fn neighbours(means: &[f64], least: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..means.len()).filter(|i| !means[*i].is_nan()).collect();
    order.sort_unstable_by(|a, b| means[*a].total_cmp(&means[*b]));
    let mut sorted: Vec<f64> = order.iter().map(|i| means[*i]).collect();
    sorted.insert(sorted.partition_point(|mean| *mean < 0.5), 0.5);
    let mut sigmas = vec![1.0; means.len()];
    let mut at = 0;
    for i in order {
        // The first of those alike.
        while sorted[at] < means[i] {
            at += 1;
        }
        let below = if at > 0 { means[i] - sorted[at - 1] } else { 0.0 };
        let above = sorted.get(at + 1).map_or(0.0, |other| other - means[i]);
        sigmas[i] = below.max(above).clamp(least, 1.0);
    }
    sigmas
}

fn table_of_cells(bounds: &[(f64, f64)], scott: f64) -> Kernel {
    let cells = bounds.len();
    let (mut log_density, mut chances) = (Vec::new(), Vec::new());
    for (low, high) in bounds {
        let (mean, sigma) = (f64::midpoint(*low, *high), scott.max(0.5 * (high - low)));
        let inside = mass(mean, sigma, 0.0, 1.0).max(1e-12);
        for (low, high) in bounds {
            let chance = (mass(mean, sigma, *low, *high) / inside).max(1e-12);
            chances.push(chance);
            log_density.push((chance / (high - low).max(1e-12)).ln());
        }
    }
    Kernel::Table { cells, log_density, chances }
}

/// Aitchison and Aitken 1976 with a bandwidth that falls with the number of points, as in Optuna.
fn table_of_names(k: usize, n: usize, prior: f64) -> Kernel {
    let spread = prior / (n as f64 + 1.0);
    let all = 1.0 + k as f64 * spread;
    let (mut log_density, mut chances) = (Vec::new(), Vec::new());
    for row in 0..k {
        for column in 0..k {
            let chance = (if row == column { 1.0 + spread } else { spread }) / all;
            chances.push(chance);
            log_density.push((chance * k as f64).ln());
        }
    }
    Kernel::Table { cells: k, log_density, chances }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Streams;

    fn axes() -> Vec<Axis> {
        vec![Axis::Line, Axis::Cells(vec![(0.0, 0.1), (0.1, 0.6), (0.6, 1.0)]), Axis::Names(4)]
    }

    /// Three points, by axis.
    fn points() -> Vec<Vec<f64>> {
        vec![vec![0.1, 0.12, 0.9], vec![0.3, 0.8, f64::NAN], vec![0.1, 0.9, 0.6]]
    }

    /// Against the mean of the density over a fine lattice of the cube, which is 1.
    #[test]
    fn a_density_integrates_to_one() {
        for width in [Width::Neighbours, Width::Scott] {
            let parzen = Parzen::new(&axes(), points(), 1.0, width);
            let (mut sum, mut n, mut scratch) = (0.0, 0.0, Vec::new());
            for i in 0..400 {
                for j in 0..40 {
                    for k in 0..4 {
                        let x = [
                            (f64::from(i) + 0.5) / 400.0,
                            (f64::from(j) + 0.5) / 40.0,
                            (f64::from(k) + 0.5) / 4.0,
                        ];
                        sum += parzen.log_density(&x, &mut scratch).exp();
                        n += 1.0;
                    }
                }
            }
            assert!((sum / n - 1.0_f64).abs() < 1e-3, "{width:?}: {}", sum / n);
        }
    }

    #[test]
    fn draws_follow_the_density() {
        let parzen = Parzen::new(&axes(), points(), 1.0, Width::Scott);
        let mut rng = Streams::new(1).stream("test", study::TrialIdx(0));
        let draws: Vec<Vec<f64>> = (0..20_000).map(|_| parzen.draw(&mut rng)).collect();
        let mut scratch = Vec::new();
        let mut expected = 0.0;
        for i in 0..200 {
            let x = [(f64::from(i) + 0.5) / 1000.0, f64::NAN, f64::NAN];
            expected += parzen.log_density(&x, &mut scratch).exp() / 1000.0;
        }
        let share = draws.iter().filter(|draw| draw[0] < 0.2).count() as f64 / draws.len() as f64;
        assert!((share - expected).abs() < 0.02, "{share} against {expected}");
    }

    #[test]
    fn one_axis_of_cells_has_the_density_of_its_sum() {
        for (axis, column) in axes().into_iter().zip(points()).skip(1) {
            let one = Parzen::new(std::slice::from_ref(&axis), vec![column], 1.5, Width::Neighbours);
            let summed = Parzen { by_cell: Vec::new(), ..one.clone() };
            for i in 0..20 {
                let x = [(f64::from(i) + 0.5) / 20.0];
                let (a, b) = (one.log_density(&x, &mut vec![]), summed.log_density(&x, &mut vec![]));
                assert!((a - b).abs() < 1e-12, "{axis:?} {x:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn kernels_reach_to_the_farther_neighbour() {
        let sigmas = neighbours(&[0.1, f64::NAN, 0.9, 0.2, 0.2], 0.01);
        let expected = [0.1, 1.0, 0.4, 0.1, 0.1];
        assert!(
            sigmas.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12),
            "{sigmas:?}"
        );
    }
}
