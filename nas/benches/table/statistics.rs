//! Ranks, and what is read from them.

use statrs::distribution::{ContinuousCDF as _, Normal};

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Ranks from 1; like values share theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for alike in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let before = values.iter().filter(|value| **value < values[alike[0]]).count();
        let rank = before as f64 + (alike.len() + 1) as f64 / 2.0;
        alike.iter().for_each(|i| ranks[*i] = rank);
    }
    ranks
}

/// Spearman's rank correlation.
pub(crate) fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let product = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>()
    };
    let own = product(&a, mean_a, &a, mean_a) * product(&b, mean_b, &b, mean_b);
    product(&a, mean_a, &b, mean_b) / own.sqrt()
}

/// Wilcoxon's signed-rank test of pairs: the chance of differences so far below 0 if `a` were like `b`, by the normal
/// approximation with its correction for ties; pairs without a difference are left out.
pub(crate) fn wilcoxon(a: &[f64], b: &[f64]) -> f64 {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).filter(|d| *d != 0.0).collect();
    let n = differences.len() as f64;
    if differences.is_empty() {
        return 1.0;
    }
    let ranks = ranks(&differences.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let above: f64 = differences.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();
    // With ties the variance is a quarter of the sum of squared ranks.
    let variance = ranks.iter().map(|rank| rank * rank).sum::<f64>() / 4.0;
    let z = (above - n * (n + 1.0) / 4.0) / variance.sqrt();
    Normal::standard().cdf(z)
}
