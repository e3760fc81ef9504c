//! Evidence from totals, as often as one likes.
//!
//! The likelihood of everything that was seen under a mixture of rates (Jeffreys' prior, one rate for each version), over
//! the largest that any rate of the null hypothesis reaches. That ratio never exceeds the one over the true rate, which
//! is a martingale that begins at 1, and so exceeds `1 / alpha` at any time at all with probability at most `alpha`
//! (Wasserman, Ramdas and Balakrishnan 2020, PNAS 117:16880, section 7). It is no more than a look at totals: the champion's
//! requests may all have come before the candidate's.

use super::Batch;

/// The largest logarithm that is told: more would be no surer.
const MOST: f64 = 50.0;

/// The logarithm of the evidence that more than `limit` of all are bad.
pub(super) fn above(bad: u64, all: u64, limit: f64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    let rate = (bad as f64 / all as f64).min(limit);
    (log_mixture(bad, all) - log_likelihood(bad, all, rate)).min(MOST)
}

/// The logarithm of the evidence that two versions do not have bad requests alike.
pub(super) fn differ(batch: Batch) -> f64 {
    let Batch { m, x, n, y } = batch;
    if m == 0 || n == 0 {
        return 0.0;
    }
    let rate = (x + y) as f64 / (m + n) as f64;
    (log_mixture(x, m) + log_mixture(y, n) - log_likelihood(x + y, m + n, rate)).min(MOST)
}

/// The logarithm of the likelihood of one order of so many bad ones among all, if each is bad with this probability.
fn log_likelihood(bad: u64, all: u64, rate: f64) -> f64 {
    // Of what does not happen any probability is possible.
    let term = |count: u64, p: f64| if count == 0 { 0.0 } else { count as f64 * p.ln() };
    term(bad, rate) + term(all - bad, 1.0 - rate)
}

/// The same, averaged over all probabilities by Jeffreys' prior: `B(x + 1/2, n - x + 1/2) / B(1/2, 1/2)`.
fn log_mixture(bad: u64, all: u64) -> f64 {
    let good = all - bad;
    ln_gamma(bad as f64 + 0.5) + ln_gamma(good as f64 + 0.5)
        - ln_gamma(all as f64 + 1.0)
        - std::f64::consts::PI.ln()
}

/// The logarithm of the gamma function of a positive number, by Stirling's series above 10 and the recurrence below.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_function_is_as_in_tables() {
        for (x, gamma) in [(0.5, std::f64::consts::PI.sqrt()), (1.0, 1.0), (5.0, 24.0), (10.0, 362_880.0)] {
            assert!((ln_gamma(x) - f64::ln(gamma)).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn what_never_happens_may_not_happen_once() {
        assert!(above(0, 0, 0.0).abs() < 1e-9);
        assert!(above(0, 1000, 0.0) < 0.0 && above(1, 1000, 0.0) >= MOST);
    }

    #[test]
    fn evidence_comes_with_what_is_worse_and_not_with_what_is_alike() {
        let sure = 100_f64.ln();
        assert!(above(40, 1000, 0.01) > sure && above(12, 1000, 0.01) < sure);
        let of = |x, y| differ(Batch { m: 300, x, n: 1000, y });
        assert!(of(30, 10) > sure && of(4, 10) < 0.0);
    }

    #[test]
    fn looking_at_every_request_misleads_no_more_often_than_is_said() {
        let mut random = 7_u64;
        let mut uniform = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut misled = 0;
        for _ in 0..500 {
            let y = (0..400).filter(|_| uniform() < 0.05).count() as u64;
            let mut batch = Batch { m: 0, x: 0, n: 400, y };
            misled += u64::from((0..400).any(|_| {
                batch.m += 1;
                batch.x += u64::from(uniform() < 0.05);
                differ(batch) >= 20_f64.ln()
            }));
        }
        // One in twenty is the most that is borne.
        assert!(misled <= 25, "{misled}");
    }
}
