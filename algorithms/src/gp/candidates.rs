//! Where the search for the most promising point begins.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::TrialIdx;

use super::kernel::Measure;
use super::search::Axes;
use crate::sobol::Sequence;

/// Best trials that are looked around.
pub(super) const BEST: usize = 5;
/// Points of the whole space.
const GLOBAL: u64 = 1024;
/// Points around each of the best trials, for each of the step sizes.
const AROUND: usize = 16;
/// Step sizes in length scales.
const STEP_SIZES: [f64; 4] = [0.3, 0.1, 0.03, 0.01];
/// Points with some coordinates of the best moved to a bound.
const AT_BOUNDS: usize = 64;
/// Pairs of values of the best that are changed at once.
const PAIRS: usize = 64;

/// What candidates are made from.
pub(super) struct Candidates<'a> {
    pub(super) measures: &'a [Measure],
    pub(super) axes: &'a Axes,
    pub(super) sequence: &'a Sequence,
    /// Coordinates of the best trials, the best first.
    pub(super) best: Vec<&'a [f64]>,
    /// Length scales.
    pub(super) scales: Vec<f64>,
}

impl Candidates<'_> {
    /// Points of the unit cube: spread over the whole space, around the best trials, at bounds, and with names changed.
    pub(super) fn all(&self, slot: TrialIdx, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let first = slot.0.wrapping_mul(GLOBAL);
        let mut all: Vec<Vec<f64>> =
            (0..GLOBAL).map(|i| self.sequence.point(first.wrapping_add(i) as u32)).collect();
        for best in &self.best {
            all.push(best.to_vec());
            for size in STEP_SIZES {
                all.extend((0..AROUND).map(|_| self.around(best, size, rng)));
            }
        }
        if let Some(best) = self.best.first() {
            all.extend((0..AT_BOUNDS).map(|_| self.at_bounds(best, rng)));
            all.extend(self.changed(best, rng));
        }
        all
    }

    /// A step from a point along some of the parameters, longer where the model is smooth; names are drawn anew.
    fn around(&self, from: &[f64], size: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut x = from.to_vec();
        let dims = x.len();
        let chance = (2.0 / dims as f64).min(1.0);
        let forced = rng.random_range(0..dims);
        for (i, x) in x.iter_mut().enumerate() {
            let (moves, u) = (rng.random::<f64>() < chance, rng.random::<f64>());
            if !moves && i != forced {
                continue;
            }
            *x = match self.measures[i] {
                Measure::Identity => u,
                Measure::Distance => {
                    let z = Normal::standard().inverse_cdf(u.clamp(1e-9, 1.0 - 1e-9));
                    (*x + size * self.scales[i].clamp(0.1, 3.0) * z).clamp(0.0, 1.0)
                }
            };
        }
        x
    }

    /// The best with one to three numbers at a bound.
    fn at_bounds(&self, best: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut x = best.to_vec();
        for _ in 0..rng.random_range(1..=3) {
            let axis = rng.random_range(0..x.len());
            let bound = f64::from(u8::from(rng.random::<bool>()));
            if self.measures[axis] == Measure::Distance {
                x[axis] = bound;
            }
        }
        x
    }

    /// The best with each other level of each list, and with some pairs of levels.
    fn changed(&self, best: &[f64], rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let listed: Vec<usize> = (0..best.len()).filter(|axis| self.axes.levels(*axis).is_some()).collect();
        let mut all = Vec::new();
        let with = |changes: &[(usize, f64)]| {
            let mut x = best.to_vec();
            changes.iter().for_each(|(axis, level)| x[*axis] = *level);
            x
        };
        for &axis in &listed {
            let levels = self.axes.levels(axis).unwrap_or_default();
            all.extend(levels.iter().take(BEST * AROUND).map(|level| with(&[(axis, *level)])));
        }
        let any = |rng: &mut ChaCha8Rng| {
            let axis = listed[rng.random_range(0..listed.len())];
            let levels = self.axes.levels(axis).unwrap_or_default();
            (axis, levels[rng.random_range(0..levels.len())])
        };
        if listed.len() > 1 {
            all.extend((0..PAIRS).map(|_| with(&[any(rng), any(rng)])));
        }
        all
    }
}
