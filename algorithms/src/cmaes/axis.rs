//! One dimension of the normal distribution, and the parameter it stands for.
//!
//! The distribution lives on the whole line. A continuous parameter folds the line into its range, smoothly; a lattice
//! cuts it into cells, the outer two without end, and learns from the middles of its cells.

use study::{Domain, Value};

use crate::encode::{decode_value, encode_value};

/// Width of the bent ends of a continuous range, in and out of it: `BoxConstraintsLinQuadTransformation` of pycma.
const BEND: f64 = 0.05;
/// Share of a lattice's cell below which the deviation along it does not fall: a step leaves the cell in 1 of 20.
const FLOOR: f64 = 0.25;

/// A dimension.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Position of its parameter.
    pub(super) parameter: usize,
    domain: Domain,
    /// How many values a lattice has.
    cells: Option<u64>,
}

impl Axis {
    /// The dimension of a parameter with an order.
    pub(super) fn new(parameter: usize, domain: &Domain) -> Self {
        Self { parameter, domain: domain.clone(), cells: domain.cardinality() }
    }

    /// Whether every place has a value of its own.
    pub(super) fn is_continuous(&self) -> bool {
        self.cells.is_none()
    }

    /// Least deviation.
    pub(super) fn floor(&self) -> f64 {
        self.cells.map_or(0.0, |n| FLOOR / n as f64)
    }

    /// The value at a place on the line.
    pub(super) fn value(&self, v: f64) -> Value {
        decode_value(&self.domain, if self.is_continuous() { fold(v) } else { v.clamp(0.0, 1.0) })
    }

    /// The place of a value: the middle of its cell, or the one of its places that is nearest to the range.
    pub(super) fn place(&self, value: Value) -> f64 {
        let u = encode_value(&self.domain, value);
        if self.is_continuous() { unfold(u) } else { u }
    }
}

/// The line folded into [0, 1]: as it is in the middle, quadratic at the ends, mirrored beyond them again and again.
fn fold(v: f64) -> f64 {
    let half = 1.0 + 2.0 * BEND;
    let t = (v + BEND).rem_euclid(2.0 * half);
    let t = if t > half { 2.0 * half - t } else { t };
    if t < 2.0 * BEND {
        t * t / (4.0 * BEND)
    } else if t > 1.0 {
        1.0 - (half - t).powi(2) / (4.0 * BEND)
    } else {
        t - BEND
    }
}

/// Inverse of [`fold`] on [-`BEND`, 1 + `BEND`].
fn unfold(u: f64) -> f64 {
    if u < BEND {
        (4.0 * BEND * u).sqrt() - BEND
    } else if u > 1.0 - BEND {
        1.0 + BEND - (4.0 * BEND * (1.0 - u)).sqrt()
    } else {
        u
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use study::Distribution;

    use super::*;

    proptest! {
        #[test]
        fn every_place_folds_into_the_range_and_unfolds_to_the_same(v in -20.0..20.0_f64) {
            let u = fold(v);
            prop_assert!((0.0..=1.0).contains(&u), "{u}");
            prop_assert!((fold(unfold(u)) - u).abs() < 1e-12);
            prop_assert!((fold(-2.0 * BEND - v) - u).abs() < 1e-9, "mirrored at the lower end");
        }
    }

    #[test]
    fn the_middle_of_a_range_is_as_it_is() {
        for v in [0.05, 0.3, 0.95] {
            assert!((fold(v) - v).abs() < 1e-15 && (unfold(v) - v).abs() < 1e-15);
        }
        assert!(fold(-0.05).abs() < 1e-15 && (fold(1.05) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn outer_cells_have_no_end() {
        let axis =
            Axis::new(0, &Domain::Int { min: 1, max: 4, step: 1, distribution: Distribution::Uniform });
        let values: Vec<Value> = [-9.0, 0.1, 0.3, 0.6, 0.9, 9.0].map(|v| axis.value(v)).to_vec();
        assert_eq!(values, [1, 1, 2, 3, 4, 4].map(Value::Int));
        assert!((axis.place(Value::Int(2)) - 0.375).abs() < 1e-12);
    }
}
