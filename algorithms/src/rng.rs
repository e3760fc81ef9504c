//! Named random streams: adding a draw in one place moves nothing elsewhere, and a restart continues the same sequence.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use study::TrialIdx;

/// All chance of one study.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of a study's seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream of a purpose for a trial. Different purposes and trials have independent streams (ChaCha8, keyed by
    /// seed and purpose, with the trial as stream number).
    pub fn stream(&self, purpose: &str, trial: TrialIdx) -> ChaCha8Rng {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        for (i, salt) in
            [0xcbf2_9ce4_8422_2325_u64, 0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f].iter().enumerate()
        {
            key[8 * (i + 1)..8 * (i + 2)].copy_from_slice(&fnv1a(purpose, *salt).to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(trial.0);
        rng
    }
}

/// FNV-1a from a given start.
fn fnv1a(text: &str, start: u64) -> u64 {
    text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_trial() {
        let draw = |seed, purpose, trial| Streams::new(seed).stream(purpose, TrialIdx(trial)).next_u64();
        let draws = [draw(1, "a", 0), draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1)];
        for (i, x) in draws.iter().enumerate() {
            assert!(!draws[i + 1..].contains(x));
        }
        assert_eq!(draw(1, "a", 0), draws[0]);
    }
}
