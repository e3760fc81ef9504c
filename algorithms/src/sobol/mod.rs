//! Sobol search: a low-discrepancy sequence, scrambled.
//!
//! Sobol 1967, USSR Comput. Math. Math. Phys. 7:86, with the direction numbers of Joe and Kuo 2008 and the hash-based
//! Owen scrambling of Burley 2020, J. Comput. Graph. Tech. 9(4):1. Any 2^k successive points starting at a multiple
//! of 2^k meet every elementary interval of that size alike, so the cube is filled far more evenly than by chance.

mod directions;

use std::ops::Range;

use rand::Rng as _;
use study::{HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::suggestion;
use crate::prior;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

/// Bits of a coordinate.
const BITS: usize = 32;
/// How far apart the points lie that are tried for one slot where constraints refuse some.
const STRIDE: u64 = 1 << 24;
/// How many of them are tried before chance takes over.
const TRIES: u64 = 255;

/// A scrambled Sobol sequence in the unit cube.
#[derive(Clone, Debug)]
pub struct Sequence {
    directions: Vec<[u32; BITS]>,
    seeds: Vec<u32>,
}

impl Sequence {
    /// The sequence of `dims` dimensions, scrambled by the streams of `purpose`. Dimensions beyond the 256 of the table
    /// repeat it under another scrambling.
    pub fn new(dims: usize, streams: &Streams, purpose: &str) -> Self {
        let directions = (0..dims).map(|dim| directions(dim % (directions::DIRECTIONS.len() + 1))).collect();
        let seeds = (0..dims).map(|dim| streams.stream(purpose, TrialIdx(dim as u64)).next_u32()).collect();
        Self { directions, seeds }
    }

    /// The point of an index; each coordinate in (0, 1).
    pub fn point(&self, index: u32) -> Vec<f64> {
        let coordinate = |(directions, seed): (&[u32; BITS], &u32)| {
            let bits = (0..BITS).filter(|bit| index >> bit & 1 == 1).fold(0, |x, bit| x ^ directions[bit]);
            (f64::from(scramble(bits, *seed)) + 0.5) / 2.0_f64.powi(BITS as i32)
        };
        self.directions.iter().zip(&self.seeds).map(coordinate).collect()
    }
}

/// Direction numbers of a dimension: `v_k = m_k * 2^(32 - k)`, continued by the recurrence of its polynomial (Joe and
/// Kuo 2008, eq. 2).
fn directions(dim: usize) -> [u32; BITS] {
    let mut v = [0_u32; BITS];
    let Some((polynomial, initial)) = dim.checked_sub(1).map(|i| directions::DIRECTIONS[i]) else {
        // The first dimension is van der Corput's sequence.
        v.iter_mut().enumerate().for_each(|(k, v)| *v = 1 << (BITS - 1 - k));
        return v;
    };
    let degree = initial.len();
    for k in 0..BITS {
        v[k] = if k < degree {
            initial[k] << (BITS - 1 - k)
        } else {
            let leading = v[k - degree] ^ (v[k - degree] >> degree);
            (1..degree).filter(|j| polynomial >> (degree - j) & 1 == 1).fold(leading, |sum, j| sum ^ v[k - j])
        };
    }
    v
}

/// Nested uniform scrambling: each bit is flipped by a hash of the bits above it (Laine and Karras 2011 on reversed
/// bits, with the constants of Burley 2020, listing 3).
fn scramble(x: u32, seed: u32) -> u32 {
    let mut x = x.reverse_bits();
    x ^= x.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(seed);
    x = x.wrapping_mul(seed >> 16 | 1);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    x.reverse_bits()
}

/// Takes the points of the sequence in the order of trial numbers.
#[derive(Debug)]
pub struct Sobol {
    encoder: Encoder,
    sequence: Sequence,
}

impl Sobol {
    /// Sobol search over the study's space.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        let encoder = Encoder::new(&study.space);
        let sequence = Sequence::new(encoder.dims(), &Streams::new(study.seed), "sobol");
        Ok(Self { encoder, sequence })
    }
}

impl Sampler for Sobol {
    fn tell(&mut self, _: &[HistoryEvent]) {}

    fn ask(&self, slots: Range<TrialIdx>, _: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let slots = (slots.start.0..slots.end.0).map(TrialIdx);
        slots.map_while(|slot| design(&self.encoder, &self.sequence, slot, *streams, "sobol")).collect()
    }
}

/// The point of a slot that meets the constraints, drawn towards where the user believes the best; `None` if none was
/// found.
pub(crate) fn design(
    encoder: &Encoder,
    sequence: &Sequence,
    slot: TrialIdx,
    streams: Streams,
    by: &str,
) -> Option<Suggestion> {
    let space = encoder.space();
    let point = |k| prior::draw(space, &sequence.point((slot.0 + k * STRIDE) as u32));
    let mut tries = (0..=TRIES).map(|k| encoder.decode(&point(k)));
    let found = tries.find(|assignment| space.is_feasible(assignment));
    let found = found.or_else(|| encoder.believed(&mut streams.stream("sobol/feasible", slot)));
    found.map(|assignment| suggestion(assignment, by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Made by `scipy.stats.qmc.Sobol(5, scramble=False, bits=32).random(8)`, as a set: the order there is that of the
    /// Gray code.
    #[test]
    fn unscrambled_points_are_those_of_others() {
        let plain = |index: u32, dim: usize| {
            let directions = directions(dim);
            let bits = (0..BITS).filter(|bit| index >> bit & 1 == 1).fold(0, |x, bit| x ^ directions[bit]);
            f64::from(bits) / 2.0_f64.powi(32)
        };
        let mut points: Vec<Vec<f64>> = (0..8).map(|i| (0..5).map(|dim| plain(i, dim)).collect()).collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let expected = [
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [0.125, 0.625, 0.375, 0.125, 0.125],
            [0.25, 0.75, 0.75, 0.75, 0.25],
            [0.375, 0.375, 0.625, 0.875, 0.375],
            [0.5, 0.5, 0.5, 0.5, 0.5],
            [0.625, 0.125, 0.875, 0.625, 0.625],
            [0.75, 0.25, 0.25, 0.25, 0.75],
            [0.875, 0.875, 0.125, 0.375, 0.875],
        ];
        assert_eq!(points, expected);
    }

    #[test]
    fn scrambled_points_meet_every_interval_once() {
        let sequence = Sequence::new(300, &Streams::new(3), "test");
        for dim in [0, 1, 7, 100, 255, 299] {
            let mut hit = [false; 64];
            for index in 64..128 {
                hit[(sequence.point(index)[dim] * 64.0) as usize] = true;
            }
            assert!(hit.iter().all(|hit| *hit), "dimension {dim}");
        }
    }

    #[test]
    fn keeps_the_contract() {
        let sobol: testing::Make<'_> = &|study| Ok(Box::new(Sobol::new(study)?));
        testing::contract(sobol, &testing::spaces());
        testing::hostile(sobol);
    }

    #[test]
    fn points_do_not_depend_on_history() {
        testing::in_any_order(&|study| Ok(Box::new(Sobol::new(study)?)));
    }
}
