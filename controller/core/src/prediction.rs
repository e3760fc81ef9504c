//! What algorithms have predicted of trials, and how it compares with what came.
//!
//! An algorithm with a model writes the notes `mean` and `std` beside a suggestion: the posterior of its cost before it
//! was measured.

use study::{Direction, Notes};

/// Half the width of the interval that holds half of a normal distribution, in standard deviations.
const HALF: f64 = 0.674_489_750_196_081_7;
/// The same for nine tenths.
const NINE_TENTHS: f64 = 1.644_853_626_951_472_2;

/// What was predicted of an objective, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Expected value.
    pub mean: f64,
    /// Standard deviation, not below 0.
    pub std: f64,
}

impl Prediction {
    /// The prediction that a suggestion's notes hold, if they hold one. They speak of costs.
    pub fn of_notes(notes: &Notes, direction: Direction) -> Option<Self> {
        let mean = number(notes, "mean")?;
        let std = number(notes, "std").filter(|std| *std >= 0.0)?;
        Some(Self { mean: direction.value(mean), std })
    }

    /// The interval that holds the value nine times in ten.
    pub fn nine_tenths(&self) -> (f64, f64) {
        (self.mean - NINE_TENTHS * self.std, self.mean + NINE_TENTHS * self.std)
    }

    /// By how many standard deviations a value lies above the mean; `None` without a deviation.
    pub fn z(&self, value: f64) -> Option<f64> {
        (self.std > 0.0).then(|| (value - self.mean) / self.std).filter(|z| z.is_finite())
    }
}

/// A finite number among notes.
pub fn number(notes: &Notes, name: &str) -> Option<f64> {
    notes.get(name).and_then(|text| text.trim().parse().ok()).filter(|x: &f64| x.is_finite())
}

/// How well predictions have met what came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Predictions compared.
    pub n: u64,
    /// Share of values within the interval that should hold half of them.
    pub within_half: f64,
    /// Share of values within the interval that should hold nine tenths.
    pub within_nine_tenths: f64,
    /// Root of the mean squared distance in standard deviations: 1 is right, more says that the model was too sure.
    pub rms_z: f64,
}

/// Compares predictions with the values that came; `None` if there is nothing to compare.
pub fn calibration(seen: impl IntoIterator<Item = (Prediction, f64)>) -> Option<Calibration> {
    let z: Vec<f64> = seen.into_iter().filter_map(|(prediction, value)| prediction.z(value)).collect();
    if z.is_empty() {
        return None;
    }
    let n = z.len() as f64;
    let within = |width: f64| z.iter().filter(|z| z.abs() <= width).count() as f64 / n;
    Some(Calibration {
        n: z.len() as u64,
        within_half: within(HALF),
        within_nine_tenths: within(NINE_TENTHS),
        rms_z: (z.iter().map(|z| z * z).sum::<f64>() / n).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(mean: &str, std: &str) -> Notes {
        [("mean".to_owned(), mean.to_owned()), ("std".to_owned(), std.to_owned())].into()
    }

    #[test]
    fn notes_hold_costs_and_people_see_their_own_unit() {
        let read = |direction| Prediction::of_notes(&notes("-0.9", "0.1"), direction);
        assert_eq!(read(Direction::Maximize), Some(Prediction { mean: 0.9, std: 0.1 }));
        assert_eq!(read(Direction::Minimize), Some(Prediction { mean: -0.9, std: 0.1 }));
        for (mean, std) in [("x", "1"), ("1", "-1"), ("NaN", "1"), ("1", "")] {
            assert_eq!(Prediction::of_notes(&notes(mean, std), Direction::Minimize), None);
        }
    }

    #[test]
    fn shares_and_distances_are_counted_in_deviations() {
        let predicted = Prediction { mean: 1.0, std: 2.0 };
        let seen = [1.0, 2.0, 4.0, 9.0].map(|value| (predicted, value));
        let found = calibration(seen).unwrap();
        assert_eq!((found.n, found.within_half, found.within_nine_tenths), (4, 0.5, 0.75));
        assert!((found.rms_z - (18.5_f64 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(calibration([(Prediction { mean: 1.0, std: 0.0 }, 1.0)]), None);
    }
}
