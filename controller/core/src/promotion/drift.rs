//! Whether requests are distributed as the data that a model has learnt from.
//!
//! A window of rows is compared with the trial's profile, feature by feature, and the p-values are corrected for how many
//! features there are (Holm 1979, Scand. J. Statist. 6:65), whatever their dependence: if nothing has changed, one window
//! raises a false alarm about any of its features with probability at most the threshold. Windows do not overlap; over `k`
//! of them it is at most `k` times that.
//!
//! Numbers are compared with the two-sample test of Kolmogorov and Smirnov on the classes of the profile. Classes hide part
//! of the largest distance, so the test errs on the side of silence (Noether 1963, Ann. Math. Statist. 34:1110). Categories
//! are compared with the test of homogeneity by chi squared (Press et al. 1992, Numerical Recipes in C, eq. 14.3.3), those
//! of fewer than five expected values taken together (Cochran 1954, Biometrics 10:417).
//!
//! | symbol | meaning |
//! |---|---|
//! | `n`, `m` | values in the profile, values in the window |
//! | `D` | largest distance between both distribution functions |
//! | `df` | degrees of freedom |

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::profile::{Distribution, Profile};

/// The fewest values that are expected of a category that stands for itself.
const LEAST_EXPECTED: f64 = 5.0;

/// What a window holds so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gathered {
    /// Rows.
    pub rows: u64,
    /// How many values each class of each feature has got.
    pub counts: BTreeMap<String, Vec<u64>>,
}

/// What the comparison of a feature has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The feature, such as `inputs.age`.
    pub feature: String,
    /// `ks` or `chi2`.
    pub test: String,
    /// `D` from 0 to 1, or chi squared.
    pub statistic: f64,
    /// How likely it is that any feature looks so different if none has changed: Holm's adjusted p-value.
    pub p: f64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feature, test, statistic, p } = self;
        write!(f, "{feature} ({test} {statistic:.3}, p {p:.1e})")
    }
}

impl Gathered {
    /// Adds the values of columns that the profile knows. `rows` is how many rows they are.
    pub fn add(&mut self, profile: &Profile, columns: &BTreeMap<String, Vec<serde_json::Value>>, rows: u64) {
        self.rows += rows;
        for (name, values) in columns {
            let Some(distribution) = profile.features.get(name) else { continue };
            let counts = self.counts.entry(name.clone()).or_default();
            counts.resize(distribution.counts().len(), 0);
            for class in values.iter().filter_map(|value| distribution.class(value)) {
                if let Some(count) = counts.get_mut(class) {
                    *count += 1;
                }
            }
        }
    }
}

/// Compares a window with a profile: every feature that has values in both, the most suspicious first.
pub fn judge(profile: &Profile, gathered: &Gathered) -> Vec<Finding> {
    let of = |(name, counts): (&String, &Vec<u64>)| {
        let distribution = profile.features.get(name)?;
        let there = distribution.counts();
        if counts.len() != there.len() || counts.iter().all(|count| *count == 0) {
            return None;
        }
        let (test, (statistic, p)) = match distribution {
            Distribution::Numbers { .. } => ("ks", kolmogorov_smirnov(&there, counts)),
            Distribution::Categories { .. } => ("chi2", chi_squared(&there, counts)),
        };
        Some(Finding { feature: name.clone(), test: test.into(), statistic, p })
    };
    let mut findings: Vec<Finding> = gathered.counts.iter().filter_map(of).collect();
    findings.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.statistic.total_cmp(&a.statistic)));
    // Holm 1979, section 4: the i-th smallest of m p-values, times m - i + 1, never below the one before.
    let (m, mut least) = (findings.len(), 0.0_f64);
    for (i, finding) in findings.iter_mut().enumerate() {
        least = least.max((finding.p * (m - i) as f64).min(1.0));
        finding.p = least;
    }
    findings
}

/// `D` between two samples that are counted in the same classes, and how likely such a one is.
///
/// Press et al. 1992, eqs. 14.3.5 to 14.3.10, with the correction of Stephens 1970, J. R. Stat. Soc. B 32:115.
fn kolmogorov_smirnov(there: &[u64], here: &[u64]) -> (f64, f64) {
    let (n, m) = (sum(there), sum(here));
    let (mut below, mut d) = ((0.0, 0.0), 0.0_f64);
    for (a, b) in there.iter().zip(here) {
        below = (below.0 + *a as f64 / n, below.1 + *b as f64 / m);
        d = d.max((below.0 - below.1).abs());
    }
    let root = (n * m / (n + m)).sqrt();
    (d, kolmogorov((root + 0.12 + 0.11 / root) * d))
}

/// The probability that Kolmogorov's statistic exceeds `lambda >= 0`. Source: Press et al. 1992, eq. 14.3.7.
fn kolmogorov(lambda: f64) -> f64 {
    if lambda < 0.2 {
        // Below, it is 1 to within 1e-12, and the series no longer converges in time.
        return 1.0;
    }
    let term = |j: u32| {
        let sign = if j % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * (f64::from(j) * lambda).powi(2)).exp()
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

/// Chi squared of two samples that are counted in the same categories, and how likely such a one is.
///
/// Press et al. 1992, eq. 14.3.3; both totals are given, so there is one degree of freedom fewer than categories.
fn chi_squared(there: &[u64], here: &[u64]) -> (f64, f64) {
    let (n, m) = (sum(there), sum(here));
    let (mut kept, mut rest) = (Vec::new(), (0.0, 0.0));
    for (a, b) in there.iter().zip(here).map(|(a, b)| (*a as f64, *b as f64)) {
        if (a + b) * n.min(m) / (n + m) < LEAST_EXPECTED {
            rest = (rest.0 + a, rest.1 + b);
        } else {
            kept.push((a, b));
        }
    }
    if rest.0 + rest.1 > 0.0 {
        kept.push(rest);
    }
    let ratio = (n / m).sqrt();
    let x: f64 = kept.iter().map(|(a, b)| (a / ratio - b * ratio).powi(2) / (a + b)).sum();
    (x, chi_squared_above(x, kept.len().saturating_sub(1)))
}

/// The probability that chi squared with `df` degrees of freedom exceeds `x >= 0`; 1 without a degree.
///
/// Source: Abramowitz and Stegun 1964, eqs. 26.4.4 (odd `df`) and 26.4.5 (even `df`), in logarithms.
fn chi_squared_above(x: f64, df: usize) -> f64 {
    if df == 0 || x <= 0.0 {
        return 1.0;
    }
    let (mut sum, mut log) = if df.is_multiple_of(2) {
        ((-x / 2.0).exp(), -x / 2.0)
    } else {
        // Twice the normal density at sqrt(x), over sqrt(x): the first term of the odd sum is x times that.
        (complementary_error((x / 2.0).sqrt()), -x / 2.0 + (2.0 / PI).ln() / 2.0 - x.ln() / 2.0)
    };
    // From one term to the next, x over 2, 4, 6.. or over 1, 3, 5..
    let first = if df.is_multiple_of(2) { 2 } else { 1 };
    for divisor in (first..df).step_by(2) {
        log += (x / divisor as f64).ln();
        sum += log.exp();
    }
    sum.clamp(0.0, 1.0)
}

/// `erfc(x)` of `x >= 0`, its relative error below 1.2e-7. Source: Press et al. 1992, section 6.2, `erfcc`.
fn complementary_error(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c);
    t * (polynomial - x * x).exp()
}

fn sum(counts: &[u64]) -> f64 {
    counts.iter().sum::<u64>() as f64
}

#[cfg(test)]
mod tests;
