//! A little data for the tests of the model.

use super::kernel::{Measure, Point};

/// Twelve points of two numbers and a name that some do not have, with costs.
pub(super) fn data() -> (Vec<Measure>, Vec<Point>, Vec<f64>) {
    let points: Vec<Point> = (0..12)
        .map(|i| {
            let (a, b) = (f64::from(i) / 11.0, f64::from(i * 5 % 12) / 11.0);
            let name = if i % 2 == 0 { 0.25 } else { 0.75 };
            vec![a, b, if i % 3 == 0 { f64::NAN } else { name }]
        })
        .collect();
    let y =
        points.iter().map(|x| (6.0 * x[0]).sin() + x[1] + if x[2].is_nan() { 0.0 } else { x[2] }).collect();
    (vec![Measure::Distance, Measure::Distance, Measure::Identity], points, y)
}
