//! How much a point promises, from mean and deviation; all larger is better.

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};
use statrs::function::erf::erfc;

/// What is maximised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acquisition {
    /// Logarithm of the expected improvement.
    LogEi,
    /// Logarithm of the probability of improvement.
    Pi,
    /// Lower confidence bound, turned around.
    Lcb,
}

/// What a point promises, and how that changes with its mean and its deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Promise {
    pub(super) value: f64,
    pub(super) by_mean: f64,
    pub(super) by_std: f64,
}

/// Deviations below the mean of the confidence bound, as in scikit-optimize.
const KAPPA: f64 = 1.96;
/// Least improvement that counts for its probability, in units of the standardised cost, as in scikit-optimize.
const XI: f64 = 0.01;

/// Least probability of improvement that is told from none.
const LEAST_PROBABILITY: f64 = 1e-300;

impl Acquisition {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LogEi => "expected improvement",
            Self::Pi => "probability of improvement",
            Self::Lcb => "confidence bound",
        }
    }

    /// What a point with this posterior promises below the incumbent `best`; `std` above 0.
    pub(super) fn of(self, mean: f64, std: f64, best: f64) -> Promise {
        match self {
            Self::LogEi => log_expected_improvement(mean, std, best),
            Self::Pi => {
                let z = (best - XI - mean) / std;
                let probability = Normal::standard().cdf(z).max(LEAST_PROBABILITY);
                let slope = Normal::standard().pdf(z) / (std * probability);
                Promise { value: probability.ln(), by_mean: -slope, by_std: -z * slope }
            }
            Self::Lcb => Promise { value: KAPPA * std - mean, by_mean: -1.0, by_std: KAPPA },
        }
    }
}

/// Logarithm of the expected improvement below `best`.
///
/// `mean`, `std`: of the posterior, in cost units, `std > 0`. Finite wherever they are: far above the incumbent the
/// asymptotic branch takes over. Source: Ament et al. 2023, arXiv:2310.20708, eq. 9.
fn log_expected_improvement(mean: f64, std: f64, best: f64) -> Promise {
    let (log_h, pdf_by_h, cdf_by_h) = improvement((best - mean) / std);
    Promise { value: log_h + std.ln(), by_mean: -cdf_by_h / std, by_std: pdf_by_h / std }
}

/// `log h`, `phi / h` and `Phi / h` at z for `h = phi(z) + z Phi(z)`.
fn improvement(z: f64) -> (f64, f64, f64) {
    let normal = Normal::standard();
    if z > -1.0 {
        let (pdf, cdf) = (normal.pdf(z), normal.cdf(z));
        let h = pdf + z * cdf;
        return (h.ln(), pdf / h, cdf / h);
    }
    let a = z.abs();
    let log_pdf = -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
    // h / phi = 1 - a Phi / phi, and Phi / phi = sqrt(pi / 2) erfcx(a / sqrt 2): by series where both are tiny.
    let (mills, rest) = if z > -20.0 {
        let scaled = (0.5 * a * a).exp() * erfc(a / std::f64::consts::SQRT_2);
        let mills = (std::f64::consts::PI / 2.0).sqrt() * scaled;
        (mills, (1.0 - a * mills).max(1e-300))
    } else {
        let square = 1.0 / (a * a);
        ((1.0 - square) / a, square * (1.0 - 3.0 * square))
    };
    (log_pdf + rest.ln(), 1.0 / rest, mills / rest)
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
            let got = improvement(z).0;
            assert!((got - expected).abs() < 2e-3 * f64::abs(expected).max(1.0), "{z}: {got} {expected}");
        }
    }

    #[test]
    fn rises_without_a_jump() {
        let mut last = f64::NEG_INFINITY;
        for i in 0..8000 {
            let value = improvement(-40.0 + f64::from(i) * 0.005).0;
            assert!(value.is_finite() && value > last, "at {}", -40.0 + f64::from(i) * 0.005);
            last = value;
        }
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        for acquisition in [Acquisition::LogEi, Acquisition::Pi, Acquisition::Lcb] {
            for (mean, std) in [(0.0, 1.0), (0.5, 0.3), (-1.0, 0.2), (3.0, 0.4), (8.0, 0.3)] {
                let at = |mean: f64, std: f64| acquisition.of(mean, std, 0.2).value;
                let promise = acquisition.of(mean, std, 0.2);
                let step = 1e-6;
                let by_mean = (at(mean + step, std) - at(mean - step, std)) / (2.0 * step);
                let by_std = (at(mean, std + step) - at(mean, std - step)) / (2.0 * step);
                let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + b.abs());
                assert!(
                    close(promise.by_mean, by_mean),
                    "{acquisition:?} {mean} {std}: {promise:?} {by_mean}"
                );
                assert!(close(promise.by_std, by_std), "{acquisition:?} {mean} {std}: {promise:?} {by_std}");
            }
        }
    }
}
