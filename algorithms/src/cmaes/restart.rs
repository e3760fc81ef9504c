//! What comes after a search distribution that has converged: another, wider or elsewhere.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// How to start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Never.
    None,
    /// With twice the population each time (Auger and Hansen 2005, CEC).
    Ipop,
    /// Also with small ones and small steps, for as many trials as the large ones took (Hansen 2009, GECCO).
    Bipop,
}

/// Populations of the runs so far and of the next.
#[derive(Clone, Debug)]
pub(super) struct Restarts {
    strategy: Strategy,
    /// Population of the first run.
    first: usize,
    /// Of the largest so far.
    large: usize,
    /// Whether the current run is a small one; the first is, as in pycma.
    small: bool,
    /// Trials that large and small runs have taken.
    taken: [u64; 2],
}

impl Restarts {
    /// Before the first run, of population `first`.
    pub(super) fn new(strategy: Strategy, first: usize) -> Self {
        Self { strategy, first, large: first, small: true, taken: [0, 0] }
    }

    /// Counts trials of the current run.
    pub(super) fn count(&mut self, n: usize) {
        self.taken[usize::from(self.small)] += n as u64;
    }

    /// Population of the next run, and its step size relative to the first; `None` if there is none.
    pub(super) fn next(&mut self, rng: &mut ChaCha8Rng) -> Option<(usize, f64)> {
        match self.strategy {
            Strategy::None => return None,
            Strategy::Ipop => self.small = false,
            Strategy::Bipop => self.small = self.taken[1] < self.taken[0],
        }
        if self.small {
            let (u, v) = (rng.random::<f64>(), rng.random::<f64>());
            let ratio = 0.5 * self.large as f64 / self.first as f64;
            let population = (self.first as f64 * ratio.powf(u * u)).floor() as usize;
            return Some((population.max(self.first), 10_f64.powf(-2.0 * v)));
        }
        self.large *= 2;
        Some((self.large, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use study::TrialIdx;

    use super::*;
    use crate::rng::Streams;

    #[test]
    fn populations_double() {
        let mut rng = Streams::new(1).stream("test", TrialIdx(0));
        let mut ipop = Restarts::new(Strategy::Ipop, 6);
        let sizes: Vec<usize> = (0..3).map(|_| ipop.next(&mut rng).unwrap().0).collect();
        assert_eq!(sizes, [12, 24, 48]);
        assert_eq!(Restarts::new(Strategy::None, 6).next(&mut rng), None);
    }

    #[test]
    fn small_runs_take_as_much_as_large_ones() {
        let mut rng = Streams::new(1).stream("test", TrialIdx(0));
        let mut bipop = Restarts::new(Strategy::Bipop, 6);
        bipop.count(100);
        for _ in 0..30 {
            let (population, sigma) = bipop.next(&mut rng).unwrap();
            assert!(population >= 6 && (0.01..=1.0).contains(&sigma));
            bipop.count(20 * population);
        }
        let [large, small] = bipop.taken;
        assert!(small > large / 4 && bipop.large > 6, "{small} of {large}");
    }
}
