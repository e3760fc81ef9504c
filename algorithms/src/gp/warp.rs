//! Costs on the scale that the model expects.
//!
//! Two candidates; which one describes a study best is decided by how well the model foretells each of the better
//! costs from the others.

/// A way to put costs on the model's scale. All keep the order of costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warp {
    /// The worse half pulled in where it is far out.
    Tail,
    /// A power that makes the costs look normal (Yeo and Johnson 2000, Biometrika 87:954; Cowen-Rivers et al. 2022,
    /// JAIR 74:1269).
    Power,
}

/// Costs on the model's scale, with mean 0 and deviation 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Warped {
    pub(super) y: Vec<f64>,
    /// Logarithm of the slope of the warp at each cost; says nothing of the worse half.
    pub(super) log_slopes: Vec<f64>,
    /// The way back; `None` if nothing but the order was kept.
    pub(super) back: Option<Back>,
}

/// The way back from the model's scale to costs. Costs that were pulled in come back as they were pulled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Back {
    line: Line,
    /// An exponent, and where what was raised to it lies.
    power: Option<(f64, Line)>,
}

/// `mean + deviation y`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    mean: f64,
    deviation: f64,
}

impl Line {
    fn at(self, y: f64) -> f64 {
        self.mean + self.deviation * y
    }
}

impl Back {
    /// The cost of a value on the model's scale; infinite where the scale ends.
    fn of(self, y: f64) -> f64 {
        self.line.at(self.power.map_or(y, |(p, line)| yeo_johnson_back(line.at(y), p)))
    }

    /// Mean and deviation in units of the cost; `None` where the scale ends.
    pub(super) fn spread(self, (mean, std): (f64, f64)) -> Option<(f64, f64)> {
        let (middle, spread) = (self.of(mean), 0.5 * (self.of(mean + std) - self.of(mean - std)));
        (middle.is_finite() && spread.is_finite()).then_some((middle, spread))
    }
}

/// Deviations of the better half above the median beyond which costs are pulled in.
const TAIL: f64 = 3.0;
/// Exponents that are tried: beyond them the better half would vanish.
const POWERS: [f64; 13] = [-2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0];

impl Warp {
    /// All there are.
    pub(super) const ALL: [Self; 2] = [Self::Tail, Self::Power];

    /// Warps costs.
    pub(super) fn of(self, costs: &[f64]) -> Warped {
        let sorted = sorted(costs);
        match self {
            Self::Tail => tail(costs, &sorted),
            Self::Power => power(costs, &sorted),
        }
        .unwrap_or_else(|| by_rank_alone(costs, &sorted))
    }
}

/// Whether each cost belongs to the better half.
pub(super) fn better_half(costs: &[f64]) -> Vec<bool> {
    let sorted = sorted(costs);
    let median = sorted.get(costs.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    costs.iter().map(|cost| *cost <= median).collect()
}

fn sorted(costs: &[f64]) -> Vec<f64> {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Median, and root mean square distance of the better half from it; of at least one cost. Halves keep huge costs from overflowing.
fn middle(sorted: &[f64]) -> (f64, f64) {
    let at = (sorted.len() - 1) / 2;
    let median = sorted[at];
    let square: f64 = sorted[..=at].iter().map(|cost| (cost / 2.0 - median / 2.0).powi(2)).sum();
    (median, 2.0 * (square / (at + 1) as f64).sqrt())
}

fn tail(costs: &[f64], sorted: &[f64]) -> Option<Warped> {
    if sorted.is_empty() {
        return None;
    }
    let (median, spread) = middle(sorted);
    let top = if spread.is_finite() { median + TAIL * spread } else { median };
    let pulled: Vec<f64> = costs.iter().map(|cost| cost.min(top)).collect();
    let (y, line) = standardised(&pulled)?;
    let log_slopes = vec![-line.deviation.ln(); costs.len()];
    Some(Warped { y, log_slopes, back: Some(Back { line, power: None }) })
}

fn power(costs: &[f64], sorted: &[f64]) -> Option<Warped> {
    let plain = tail(costs, sorted)?;
    let best = POWERS.iter().map(|p| (fitness(&plain.y, *p), *p)).max_by(|a, b| a.0.total_cmp(&b.0));
    let p = best.map_or(1.0, |(_, p)| p);
    let raised: Vec<f64> = plain.y.iter().map(|y| yeo_johnson(*y, p)).collect();
    let (y, line) = standardised(&raised)?;
    let slopes = plain.y.iter().zip(plain.log_slopes);
    Some(Warped {
        y,
        log_slopes: slopes.map(|(y, slope)| slope + log_slope(*y, p) - line.deviation.ln()).collect(),
        back: plain.back.map(|back| Back { power: Some((p, line)), ..back }),
    })
}

/// Logarithm of the likelihood that costs raised to this power are normal.
fn fitness(y: &[f64], p: f64) -> f64 {
    let warped: Vec<f64> = y.iter().map(|y| yeo_johnson(*y, p)).collect();
    let n = y.len() as f64;
    let mean = warped.iter().sum::<f64>() / n;
    let variance = warped.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / n;
    y.iter().map(|y| log_slope(*y, p)).sum::<f64>() - 0.5 * n * variance.max(1e-300).ln()
}

fn yeo_johnson(y: f64, p: f64) -> f64 {
    let raised = |y: f64, p: f64| if p.abs() < 1e-9 { y.ln_1p() } else { ((1.0 + y).powf(p) - 1.0) / p };
    if y >= 0.0 { raised(y, p) } else { -raised(-y, 2.0 - p) }
}

/// Inverse of [`yeo_johnson`]; infinite beyond the values that it takes.
fn yeo_johnson_back(w: f64, p: f64) -> f64 {
    let lowered = |w: f64, p: f64| {
        if p.abs() < 1e-9 {
            w.exp_m1()
        } else {
            let base = 1.0 + p * w;
            if base > 0.0 { base.powf(p.recip()) - 1.0 } else { f64::INFINITY }
        }
    };
    if w >= 0.0 { lowered(w, p) } else { -lowered(-w, 2.0 - p) }
}

fn log_slope(y: f64, p: f64) -> f64 {
    (p - 1.0) * y.signum() * y.abs().ln_1p()
}

/// With mean 0 and deviation 1, and what they were; `None` where that overflows or nothing is set apart.
fn standardised(values: &[f64]) -> Option<(Vec<f64>, Line)> {
    let n = values.len() as f64;
    let mean: f64 = values.iter().map(|value| value / n).sum();
    let square: f64 = values.iter().map(|value| (value / 2.0 - mean / 2.0).powi(2) / n).sum();
    let deviation = 2.0 * square.sqrt();
    let apart = deviation.is_finite() && deviation > 0.0;
    apart.then(|| (values.iter().map(|value| (value - mean) / deviation).collect(), Line { mean, deviation }))
}

/// Ranks in [-1, 1]; all 0 if all costs are alike.
fn by_rank_alone(costs: &[f64], sorted: &[f64]) -> Warped {
    let rank = |cost: &f64| {
        let below = sorted.partition_point(|other| other < cost);
        let above = sorted.len() - sorted.partition_point(|other| other <= cost);
        (below as f64 - above as f64) / sorted.len() as f64
    };
    Warped { y: costs.iter().map(rank).collect(), log_slopes: vec![0.0; costs.len()], back: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_flatten_the_rest() {
        for warp in Warp::ALL {
            let y = warp.of(&[1.0, 2.0, 3.0, 4.0, 1e12]).y;
            assert!(y[1] - y[0] > 0.05, "{warp:?} {y:?}");
            assert!(warp.of(&[5.0; 4]).y.iter().all(|y| *y == 0.0), "{warp:?}");
            assert!(warp.of(&[1e300, -1e300, 1e300]).y.iter().all(|y| y.is_finite()), "{warp:?}");
        }
    }

    #[test]
    fn costs_keep_their_order_and_get_mean_0_and_deviation_1() {
        let costs = [3.0, 1.0, 2.0, 4.0, -7.0, 2.5, 11.0];
        for warp in Warp::ALL {
            let y = warp.of(&costs).y;
            let mean = y.iter().sum::<f64>() / 7.0;
            let square = y.iter().map(|y| y * y).sum::<f64>() / 7.0;
            assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12, "{warp:?} {y:?}");
            for (i, j) in (0..7).flat_map(|i| (0..7).map(move |j| (i, j))) {
                assert!(costs[i] > costs[j] || y[i] <= y[j], "{warp:?} {y:?}");
            }
        }
    }

    #[test]
    fn there_is_a_way_back() {
        let costs = [3.0, 1.0, 2.0, 4.0, -7.0, 2.5, 5.0];
        for warp in Warp::ALL {
            let warped = warp.of(&costs);
            for (cost, y) in costs.iter().zip(&warped.y) {
                let back = warped.back.unwrap().of(*y);
                assert!((back - cost).abs() < 1e-9, "{warp:?} {cost} {back}");
            }
        }
        for p in POWERS {
            for y in [-3.0, -0.4, 0.0, 0.7, 2.0] {
                assert!((yeo_johnson_back(yeo_johnson(y, p), p) - y).abs() < 1e-9, "{p} {y}");
            }
        }
        assert_eq!(Warp::Tail.of(&[5.0; 4]).back, None, "costs that are all alike have no scale");
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let costs = [3.0, 1.0, 2.0, 4.0, -7.0, 2.5, 11.0];
        // A cost among the better ones moves; what it moves of mean and deviation is left out of account.
        for warp in Warp::ALL {
            let warped = warp.of(&costs);
            let (a, b) = (warp.of(&costs).y[1], warped.y[2]);
            let slope = (b - a) / (costs[2] - costs[1]);
            let (low, high) = (warped.log_slopes[1].exp(), warped.log_slopes[2].exp());
            assert!(
                slope >= 0.95 * low.min(high) && slope <= 1.05 * low.max(high),
                "{warp:?} {slope} {low} {high}"
            );
        }
    }
}
