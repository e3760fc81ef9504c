//! How much a point promises, from mean and deviation; all larger is better.

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};
use statrs::function::erf::erfc;

/// What is maximised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acquisition {
    /// Logarithm of the expected improvement.
    LogEi,
    /// Probability of improvement.
    Pi,
    /// Lower confidence bound, turned around.
    Lcb,
}

/// Deviations below the mean of the confidence bound, as in scikit-optimize.
const KAPPA: f64 = 1.96;
/// Least improvement that counts for its probability, in units of the standardised cost, as in scikit-optimize.
const XI: f64 = 0.01;

impl Acquisition {
    /// What a point with this posterior promises below the incumbent `best`; `std` above 0.
    pub(super) fn value(self, mean: f64, std: f64, best: f64) -> f64 {
        match self {
            Self::LogEi => log_expected_improvement(mean, std, best),
            Self::Pi => Normal::standard().cdf((best - XI - mean) / std),
            Self::Lcb => KAPPA * std - mean,
        }
    }
}

/// Logarithm of the expected improvement below `best`.
///
/// `mean`, `std`: of the posterior, in cost units, `std > 0`. Finite wherever they are: far above the incumbent the
/// asymptotic branch takes over. Source: Ament et al. 2023, arXiv:2310.20708, eq. 9.
pub(super) fn log_expected_improvement(mean: f64, std: f64, best: f64) -> f64 {
    log_h((best - mean) / std) + std.ln()
}

/// `log(phi(z) + z Phi(z))`.
fn log_h(z: f64) -> f64 {
    let normal = Normal::standard();
    if z > -1.0 {
        return (normal.pdf(z) + z * normal.cdf(z)).ln();
    }
    let log_phi = -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
    // 1 - |z| Phi(z) / phi(z), with Phi / phi = sqrt(pi / 2) erfcx(|z| / sqrt 2).
    let ratio = |x: f64| {
        (std::f64::consts::PI / 2.0).sqrt() * (0.5 * x * x).exp() * erfc(x / std::f64::consts::SQRT_2)
    };
    if z > -20.0 {
        let rest = 1.0 - z.abs() * ratio(z.abs());
        return log_phi + rest.max(1e-300).ln();
    }
    // The asymptotic series of that rest: 1 / z^2 - 3 / z^4.
    log_phi - 2.0 * z.abs().ln() + (-3.0 / (z * z)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By 50-digit arithmetic: `python3 -c "from mpmath import *; mp.dps=50; print(log(npdf(z)+z*ncdf(z)))"`.
    #[test]
    fn agrees_with_exact_arithmetic() {
        for (z, expected) in [
            (2.0, 0.697_382_901_990_354_2),
            (0.0, -0.918_938_533_204_672_7),
            (-2.0, -4.767_687_098_926_371),
            (-10.0, -55.553_132_361_286_25),
            (-19.0, -187.322_151_394_427_5),
            (-30.0, -457.724_655_303_602_7),
        ] {
            let got = log_h(z);
            assert!((got - expected).abs() < 2e-3 * f64::abs(expected).max(1.0), "{z}: {got} {expected}");
        }
    }

    #[test]
    fn rises_without_a_jump() {
        let mut last = f64::NEG_INFINITY;
        for i in 0..8000 {
            let value = log_h(-40.0 + f64::from(i) * 0.005);
            assert!(value.is_finite() && value > last, "at {}", -40.0 + f64::from(i) * 0.005);
            last = value;
        }
    }
}
