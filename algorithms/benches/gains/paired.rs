//! Figures of two methods from the same seeds, compared pair by pair.

use std::fmt;

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// By how much the first of each pair is above the second.
pub(super) struct Difference {
    mean: f64,
    /// Half the width of the mean's 95 % interval; no number of a single pair.
    half: f64,
    /// Pairs whose first is lower.
    lower: usize,
    pairs: usize,
}

impl Difference {
    /// Of figures in the order of their seeds; as many of both.
    pub(super) fn of(first: &[f64], second: &[f64]) -> Self {
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        let mean = mean(&differences);
        let n = differences.len() as f64;
        let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let quantile = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::NAN, |t| t.inverse_cdf(0.975));
        let lower = differences.iter().filter(|x| **x < 0.0).count();
        Self { mean, half: quantile * (variance / n).sqrt(), lower, pairs: differences.len() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, half, lower, pairs } = self;
        write!(f, "{mean:+.4} [{:+.4}, {:+.4}], lower in {lower} of {pairs}", mean - half, mean + half)
    }
}

/// The mean of some figures.
pub(super) fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}
