//! Where to start when others have searched before: the distribution of the best points that there are.
//!
//! Nomura, Watanabe, Akimoto, Ozaki and Onishi 2021, "Warm Starting CMA-ES for Hyperparameter Optimization",
//! arXiv:2012.06932, section 4.2.

use ndarray::{Array1, Array2};

/// Share of the points that are promising (there gamma).
const PROMISING: f64 = 0.1;
/// Deviation around each promising point, as a share of each range (there alpha).
const AROUND: f64 = 0.1;

/// How many of `n` points, the best first, are promising: a share, but `least` if there are as many.
pub(super) fn n_promising(n: usize, least: usize) -> usize {
    ((PROMISING * n as f64) as usize).max(least).min(n)
}

/// Mean, step size and covariance of the normal distribution nearest to a mixture of round ones at these points, of which
/// there must be one. The covariance has determinant 1, and the step size takes the rest. Their eq. 9 and 10.
pub(super) fn distribution(points: &[&[f64]]) -> (Vec<f64>, f64, Array2<f64>) {
    let (n, count) = (points[0].len(), points.len() as f64);
    let points: Vec<Array1<f64>> = points.iter().map(|point| Array1::from(point.to_vec())).collect();
    let mean = points.iter().fold(Array1::zeros(n), |sum, point| sum + point) / count;
    let mut covariance = Array2::eye(n) * (AROUND * AROUND);
    for point in &points {
        let step = point - &mean;
        for (i, x) in step.iter().enumerate() {
            covariance.row_mut(i).scaled_add(x / count, &step);
        }
    }
    let (values, _) = super::eigen::eigen(&covariance);
    let square = (values.iter().map(|value| value.max(1e-30).ln()).sum::<f64>() / n as f64).exp();
    (mean.to_vec(), square.sqrt(), covariance / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_has_the_moments_of_the_mixture() {
        let (mean, sigma, shape) = distribution(&[&[0.2, 0.5], &[0.6, 0.5]]);
        assert!((mean[0] - 0.4).abs() < 1e-12 && (mean[1] - 0.5).abs() < 1e-12);
        let variance = |i: usize| sigma * sigma * shape[[i, i]];
        assert!((variance(0) - 0.05).abs() < 1e-12 && (variance(1) - 0.01).abs() < 1e-12);
        assert!((shape[[0, 0]] * shape[[1, 1]] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_tenth_is_promising() {
        assert_eq!([300, 50, 3].map(|n| n_promising(n, 6)), [30, 6, 3]);
    }
}
