//! What is optimised, and the one place where its sign is flipped.

use serde::{Deserialize, Serialize};

/// Smaller is better: the only sense of "good" inside algorithms.
pub type Cost = f64;

/// Whether a metric should become small or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Direction {
    /// The cost of a metric value: the value itself, or its negative if larger is better.
    pub fn cost(self, value: f64) -> Cost {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }

    /// The metric value of a cost; inverse of [`Direction::cost`].
    pub fn value(self, cost: Cost) -> f64 {
        self.cost(cost)
    }

    /// Whether metric value `a` is strictly better than `b`; false if either is NaN.
    pub fn better(self, a: f64, b: f64) -> bool {
        self.cost(a) < self.cost(b)
    }
}

/// One objective of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// Whether it should become small or large.
    pub direction: Direction,
    /// Value at which the search may stop, in the metric's own units.
    pub goal: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipping_twice_gives_the_value_back() {
        for direction in [Direction::Minimize, Direction::Maximize] {
            assert!((direction.value(direction.cost(0.25)) - 0.25).abs() < 1e-15);
        }
    }

    #[test]
    fn nan_is_never_better() {
        assert!(!Direction::Maximize.better(f64::NAN, 0.0));
        assert!(!Direction::Minimize.better(0.0, f64::NAN));
    }
}
