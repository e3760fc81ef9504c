//! Regularized evolution: the best of a few is changed in one place, and the oldest leaves, not the worst.
//!
//! Real et al. 2019, arXiv:1802.01548, algorithm 1, in its steady state: whenever a trial is wanted it gets a child of those
//! that have ended by then.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::{Reader, SettingsError};
use rand::RngExt as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use super::record::Record;
use crate::architectures::Architectures;
use crate::moves;

/// Children looked at before chance takes over, where many have been tried.
const TRIES: usize = 100;

/// Changes the best of a few.
pub struct RegularizedEvolution {
    population_size: usize,
    tournament: usize,
    crossover: f64,
    record: Record,
    /// The oldest first.
    population: VecDeque<(Assignment, f64)>,
}

impl RegularizedEvolution {
    /// Evolution over a set. Settings: `population` (15), `tournament` (10), `crossover` (0, the share of the children that
    /// have two parents). Real et al. take 100 and 25 for budgets of 20,000 trials.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study, architectures: Arc<dyn Architectures>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let population_size = reader.get("population", 15, "a whole number of at least 2", |n| *n >= 2)?;
        let tournament = reader.get("tournament", 10, "a whole number of at least 1", |n| *n >= 1)?;
        let share = |x: &f64| (0.0..=1.0).contains(x);
        let crossover = reader.get("crossover", 0.0, "a number from 0 to 1", share)?;
        reader.finish()?;
        Ok(Self {
            population_size,
            tournament,
            crossover,
            record: Record::new(architectures),
            population: VecDeque::new(),
        })
    }

    /// The best of a few.
    fn parent(&self, rng: &mut ChaCha8Rng) -> &Assignment {
        let n = self.population.len();
        let few = index::sample(rng, n, self.tournament.min(n));
        let best = few.iter().min_by(|a, b| self.population[*a].1.total_cmp(&self.population[*b].1));
        &self.population[best.unwrap_or(0)].0
    }

    fn child(&self, rng: &mut ChaCha8Rng) -> Assignment {
        let space = self.record.architectures.space();
        let parent = self.parent(rng);
        if rng.random::<f64>() < self.crossover {
            let crossed = moves::crossed(space, parent, self.parent(rng), rng);
            return moves::mutated(space, &crossed, 1, rng);
        }
        moves::mutated(space, parent, 1, rng)
    }
}

impl Sampler for RegularizedEvolution {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            let Some(ended) = self.record.take(event) else { continue };
            let Some(cost) = ended.cost else { continue };
            self.population.push_back((ended.point, cost));
            if self.population.len() > self.population_size {
                self.population.pop_front();
            }
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        self.record.one_by_one(slots, running, "evolution", |slot, begun| {
            let mut rng = streams.stream("nas/evolution", slot);
            if self.population.len() >= self.population_size {
                let mut children = (0..TRIES).map(|_| self.child(&mut rng));
                if let Some(child) = children.find(|child| begun.is_new(child)) {
                    return Some((child, "child of the best of a few"));
                }
            }
            Some((begun.random(&mut rng)?, "by chance"))
        })
    }
}
