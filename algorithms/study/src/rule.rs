//! Rules that stop a trial on the spot.

use serde::{Deserialize, Serialize};

/// A rule for the spot: once the compared value of `metric` meets it at or after `start_step` rows, the trial stops.
/// For an objective the compared value is the best so far, in the metric's own units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Metric.
    pub metric: String,
    /// Threshold.
    pub value: f64,
    /// How the metric's value is compared with the threshold, strictly.
    pub comparison: Comparison,
    /// Rows of this metric before which the rule is not looked at.
    pub start_step: u32,
}

/// How a value is compared with a rule's threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// Stop when equal.
    Equal,
    /// Stop when less.
    Less,
    /// Stop when greater.
    Greater,
}

impl Comparison {
    /// Whether `value` compared with `threshold` meets it; NaN never does.
    #[expect(clippy::float_cmp, reason = "the rule asks for equality")]
    pub fn met(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Equal => value == threshold,
            Self::Less => value < threshold,
            Self::Greater => value > threshold,
        }
    }
}
