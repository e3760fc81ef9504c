//! What is optimised.

use serde::{Deserialize, Serialize};
use study::Direction;

/// `spec.objective`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectiveSpec {
    /// `minimize` or `maximize`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Value at which the search has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<f64>,
    /// The metric that counts.
    pub objective_metric_name: String,
    /// Metrics kept beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_metric_names: Vec<String>,
    /// Which value of each metric's rows counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_strategies: Vec<MetricStrategy>,
}

impl ObjectiveSpec {
    /// Whether larger is better.
    pub fn is_maximize(&self) -> bool {
        self.kind == "maximize"
    }

    /// Its direction.
    pub fn direction(&self) -> Direction {
        if self.is_maximize() { Direction::Maximize } else { Direction::Minimize }
    }

    /// All metrics wanted, the objective first.
    pub fn metrics(&self) -> Vec<String> {
        std::iter::once(&self.objective_metric_name).chain(&self.additional_metric_names).cloned().collect()
    }
}

/// Which value of a metric's rows counts: `min`, `max` or `latest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricStrategy {
    /// Metric.
    pub name: String,
    /// `min`, `max` or `latest`.
    pub value: String,
}
