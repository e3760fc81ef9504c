//! Densities estimated from trials.
//!
//! | symbol | meaning |
//! |---|---|
//! | n, d | number of trials and of axes |
//! | x | a point, length d, each coordinate in `[0, 1]` |
//! | w | weights of the trials, length n; that of the prior is relative to a mean of 1 |
//! | p(x) | `w_0 + sum_i w_i prod_j k_j(x_j, x_ij)` over the sum of weights: a mixture with the prior, which is 1 everywhere |

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::kernel::{Axis, Clip, Kernel};

/// A mixture of the kernels of all trials and the prior.
#[derive(Clone, Debug)]
pub(super) struct Parzen<'a> {
    kernels: Vec<Kernel<'a>>,
    /// Logarithms of the trials' shares.
    log_shares: Vec<f64>,
    /// Sums of the shares up to each trial; what is left to 1 is the prior's.
    sums: Vec<f64>,
    log_prior: f64,
}

/// What is less than this share of the largest term of a sum, as a logarithm, is not added.
const NEGLIGIBLE: f64 = -40.0;

impl<'a> Parzen<'a> {
    /// The mixture of trials: `columns` has their coordinates, a column of length n for each axis.
    pub(super) fn new(axes: &'a [Axis], columns: Vec<Vec<f64>>, weights: &[f64], clip: Clip) -> Self {
        let total = clip.prior + weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let sums = weights.iter().map(|weight| {
            sum += weight / total;
            sum
        });
        Self {
            sums: sums.collect(),
            kernels: axes.iter().zip(columns).map(|(axis, column)| Kernel::new(axis, column, clip)).collect(),
            log_shares: weights.iter().map(|weight| (weight / total).ln()).collect(),
            log_prior: (clip.prior / total).ln(),
        }
    }

    /// The logarithm of the density at `x`.
    pub(super) fn log_density(&self, x: &[f64], scratch: &mut Vec<f64>) -> f64 {
        scratch.clone_from(&self.log_shares);
        for (kernel, x) in self.kernels.iter().zip(x) {
            kernel.add_log_density(*x, scratch);
        }
        let max = scratch.iter().copied().fold(self.log_prior, f64::max);
        let terms = scratch.iter().map(|term| term - max).filter(|term| *term > NEGLIGIBLE);
        max + (terms.map(f64::exp).sum::<f64>() + (self.log_prior - max).exp()).ln()
    }

    /// Draws a point: each coordinate from a trial of its own, so that what good trials have is combined anew.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        self.kernels.iter().map(|kernel| kernel.draw(self.component(rng), rng)).collect()
    }

    /// A trial by its share; `None`: the prior.
    fn component(&self, rng: &mut ChaCha8Rng) -> Option<usize> {
        let u = rng.random::<f64>();
        let i = self.sums.partition_point(|sum| *sum <= u);
        (i < self.sums.len()).then_some(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Streams;

    const CLIP: Clip = Clip { exponent: 1.0, prior: 1.0 };

    fn axes() -> Vec<Axis> {
        vec![Axis::Line, Axis::Cells(vec![(0.0, 0.1), (0.1, 0.6), (0.6, 1.0)]), Axis::Names(4)]
    }

    /// Three points, by axis.
    fn columns() -> Vec<Vec<f64>> {
        vec![vec![0.1, 0.12, 0.9], vec![0.3, 0.8, 0.05], vec![0.1, 0.9, 0.6]]
    }

    /// Against the mean of the density over a fine lattice of the cube, which is 1.
    #[test]
    fn a_density_integrates_to_one() {
        let axes = axes();
        let parzen = Parzen::new(&axes, columns(), &[2.0, 1.0, 0.5], CLIP);
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
        assert!((sum / n - 1.0_f64).abs() < 1e-3, "{}", sum / n);
    }

    /// One axis at a time, where drawing each coordinate on its own makes no difference.
    #[test]
    fn draws_of_an_axis_follow_its_density() {
        let mut rng = Streams::new(1).stream("test", study::TrialIdx(0));
        for ((axis, column), bound) in axes().into_iter().zip(columns()).zip([0.25, 0.1, 0.25]) {
            let axes = [axis];
            let parzen = Parzen::new(&axes, vec![column], &[2.0, 1.0, 0.5], CLIP);
            let mut scratch = Vec::new();
            let below = (0..1000).map(|i| bound * (f64::from(i) + 0.5) / 1000.0);
            let expected: f64 = below.map(|x| parzen.log_density(&[x], &mut scratch).exp()).sum();
            let n = 20_000;
            let hits = (0..n).filter(|_| parzen.draw(&mut rng)[0] < bound).count();
            let (share, expected) = (hits as f64 / f64::from(n), expected * bound / 1000.0);
            assert!((share - expected).abs() < 0.02, "{axes:?}: {share} against {expected}");
        }
    }

    #[test]
    fn heavy_trials_are_dense() {
        let axes = [Axis::Line];
        let of = |weights: &[f64]| {
            let parzen = Parzen::new(&axes, vec![vec![0.1, 0.9]], weights, CLIP);
            parzen.log_density(&[0.1], &mut Vec::new())
        };
        assert!(of(&[1.5, 0.5]) > of(&[1.0, 1.0]));
    }
}
