//! Costs without those that say nothing but "it failed": a trial that diverged may report 1e30, and next to that all others
//! are alike.

/// A cost is far off if it lies so many times the spread of the best quarter away, and so many times their size.
const FAR: f64 = 100.0;
/// Fewer costs have no spread.
const FEW: usize = 4;

/// Costs in their order, the far ones drawn in to the last that is not (winsorised): first those that are far too large, by
/// what the best quarter is like, then those that are far too small, by the worst quarter of what is left. Costs are finite.
/// Ordinary ones come back bit for bit.
pub(super) fn winsorised(costs: &[f64]) -> Vec<f64> {
    let mut ranked = costs.to_vec();
    ranked.sort_by(f64::total_cmp);
    let high = last_near(&ranked);
    ranked.retain(|cost| *cost <= high);
    let mirrored: Vec<f64> = ranked.iter().rev().map(|cost| -cost).collect();
    let low = -last_near(&mirrored);
    costs.iter().map(|cost| cost.clamp(low, high)).collect()
}

/// The largest of rising numbers that is not far from the first quarter; infinite for few numbers, and for a quarter of zeros.
fn last_near(rising: &[f64]) -> f64 {
    if rising.len() < FEW {
        return f64::INFINITY;
    }
    let quarter = &rising[..=rising.len() / 4];
    let (first, last) = (quarter[0], quarter[quarter.len() - 1]);
    // Halves do not overflow.
    let (spread, size) = (last / 2.0 - first / 2.0, first.abs().max(last.abs()) / 2.0);
    if size == 0.0 {
        return f64::INFINITY;
    }
    let is_near = |x: &&f64| **x / 2.0 - first / 2.0 <= (FAR * spread).max(FAR * size);
    rising.iter().rev().find(is_near).copied().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn ordinary_costs_are_left_alone() {
        for costs in [
            vec![],
            vec![1e30, 0.5],
            vec![0.1, 0.9, 0.2, 0.8, 0.3, 0.7],
            vec![90.0, 90.0, 90.0, 90.0, 90.0, 0.5],
            vec![1e-4, 1e-3, 1e-2, 1e-3, 1e-4],
            vec![-3.0, -2.0, 5.0, 0.0, 0.0, 0.0],
            vec![1.0; 9],
            vec![0.0, 0.0, 0.0, 0.0, 0.1],
        ] {
            assert_eq!(winsorised(&costs), costs);
        }
    }

    #[test]
    fn what_failed_counts_as_the_worst_of_the_others_however_many() {
        let ordinary = [0.5, 0.4, 0.6, 0.3];
        for n in 1..=8 {
            let mut costs = ordinary.to_vec();
            costs.extend(vec![1e30; n]);
            let drawn_in = winsorised(&costs);
            assert_eq!(drawn_in[..4], ordinary);
            assert!(drawn_in[4..].iter().all(|cost| is(*cost, 0.6)), "{n}: {drawn_in:?}");
        }
        assert!(is(winsorised(&[0.5, 0.4, f64::MIN, 0.6, 0.3, 0.5])[2], 0.3));
        assert!(is(winsorised(&[0.5, 0.4, f64::MAX, 0.6, 0.3, 0.5])[2], 0.6));
    }
}
