//! Costs on the scale that the model expects.

/// Costs with mean 0 and deviation 1, after the worse half has been pulled in to at most 3 deviations of the better half
/// above the median, so that one wild cost does not flatten everything else. Where that overflows or sets
/// nothing apart, their ranks.
pub(super) fn standardised(costs: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(median) = sorted.get(costs.len().saturating_sub(1) / 2).copied() else { return Vec::new() };
    let better = &sorted[..=(costs.len() - 1) / 2];
    let below: f64 = better.iter().map(|cost| (cost / 2.0 - median / 2.0).powi(2)).sum();
    let spread = 2.0 * (below / better.len() as f64).sqrt();
    let top = if spread.is_finite() { median + 3.0 * spread } else { median };
    let pulled: Vec<f64> = costs.iter().map(|cost| cost.min(top)).collect();
    let n = costs.len() as f64;
    let mean: f64 = pulled.iter().map(|cost| cost / n).sum();
    let square: f64 = pulled.iter().map(|cost| (cost / 2.0 - mean / 2.0).powi(2) / n).sum();
    let deviation = 2.0 * square.sqrt();
    if !deviation.is_finite() || deviation <= 0.0 {
        return ranks(costs, &sorted);
    }
    pulled.iter().map(|cost| (cost - mean) / deviation).collect()
}

/// Ranks in [-1, 1]; all 0 if all costs are alike.
fn ranks(costs: &[f64], sorted: &[f64]) -> Vec<f64> {
    let rank = |cost: &f64| {
        let below = sorted.partition_point(|other| other < cost);
        let above = sorted.len() - sorted.partition_point(|other| other <= cost);
        (below as f64 - above as f64) / sorted.len() as f64
    };
    costs.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_flatten_the_rest() {
        let y = standardised(&[1.0, 2.0, 3.0, 4.0, 1e12]);
        assert!(y[1] - y[0] > 0.05, "{y:?}");
        assert!(standardised(&[5.0; 4]).iter().all(|y| *y == 0.0));
        assert!(standardised(&[1e300, -1e300, 1e300]).iter().all(|y| y.is_finite()));
    }

    #[test]
    fn tame_costs_have_mean_0_and_deviation_1() {
        let y = standardised(&[3.0, 1.0, 2.0, 4.0]);
        let mean = y.iter().sum::<f64>() / 4.0;
        let square = y.iter().map(|y| y * y).sum::<f64>() / 4.0;
        assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12, "{y:?}");
    }
}
