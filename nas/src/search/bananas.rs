//! Bayesian optimisation over paths: a model of the cost from what paths an architecture has, and a draw from it.
//!
//! After BANANAS (White et al. 2021, arXiv:1910.11858): path encoding, candidates that are changes of the best ones, and
//! independent Thompson sampling. Its ensemble of networks is a Gaussian process here, which is exact for the few hundred
//! architectures that a search can pay for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use algorithms::rng::Streams;
use algorithms::settings::{Reader, SettingsError};
use algorithms::{Prediction, Sampler};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use super::kernel::{Features, Model};
use super::record::{Begun, Record};
use crate::architectures::Architectures;
use crate::moves;

/// The best architectures, of which candidates are changes.
const PARENTS: usize = 10;
/// Candidates that are changes of them, in one place or, every third, in two.
const CHANGED: usize = 80;
/// Candidates by chance.
const DRAWN: usize = 20;

/// Draws from a model of paths.
pub struct Bananas {
    n_startup: usize,
    record: Record,
    features: Features,
    model: Model,
    /// The best first; of like ones the earlier.
    best: Vec<(Assignment, f64)>,
}

impl Bananas {
    /// Bayesian optimisation over a set. Setting: `n_startup_trials` (10), drawn before the first model, at least 8.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study, architectures: Arc<dyn Architectures>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let n_startup = reader.get("n_startup_trials", 10, "a whole number of at least 8", |n| *n >= 8)?;
        reader.finish()?;
        Ok(Self {
            n_startup,
            record: Record::new(architectures),
            features: Features::default(),
            model: Model::default(),
            best: Vec::new(),
        })
    }

    fn candidates(&self, begun: &Begun<'_>, rng: &mut ChaCha8Rng) -> Vec<Assignment> {
        let architectures = &self.record.architectures;
        let space = architectures.space();
        let changed =
            (0..CHANGED).map(|i| (Some(&self.best[i % self.best.len()].0), if i % 3 == 2 { 2 } else { 1 }));
        let all = changed.chain(std::iter::repeat_n((None, 0), DRAWN));
        let mut known = BTreeSet::new();
        let mut candidates = Vec::new();
        for (parent, n) in all {
            let candidate = match parent {
                Some(parent) => moves::mutated(space, parent, n, rng),
                None => moves::random(space, rng),
            };
            if begun.is_new(&candidate) && known.insert(architectures.key(&candidate)) {
                candidates.push(candidate);
            }
        }
        candidates
    }

    /// The candidate whose cost, drawn from what is believed of it, is the least.
    fn promising(&self, begun: &Begun<'_>, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let candidates = self.candidates(begun, rng);
        let bits: Vec<_> = candidates
            .iter()
            .map(|candidate| self.features.read(&self.record.architectures.features(candidate)))
            .collect();
        let drawn = self.model.predict(&bits)?.into_iter().map(|(mean, deviation)| {
            mean + deviation * Normal::standard().inverse_cdf(rng.random_range(1e-9..1.0))
        });
        let best = candidates.into_iter().zip(drawn).min_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(candidate, _)| candidate)
    }
}

impl Sampler for Bananas {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            let Some(ended) = self.record.take(event) else { continue };
            let Some(cost) = ended.cost else { continue };
            let bits = self.features.learn(self.record.architectures.features(&ended.point));
            self.model.add(bits, cost);
            let at = self.best.partition_point(|(_, other)| *other <= cost);
            self.best.insert(at, (ended.point, cost));
            self.best.truncate(PARENTS);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        self.record.one_by_one(slots, running, "bananas", |slot, begun| {
            let mut rng = streams.stream("nas/bananas", slot);
            if self.model.len() < self.n_startup {
                return Some((begun.random(&mut rng)?, "first architectures"));
            }
            match self.promising(begun, &mut rng) {
                Some(point) => Some((point, "the least cost of a draw from the model")),
                None => Some((begun.random(&mut rng)?, "by chance")),
            }
        })
    }

    fn predict(&self, points: &[Assignment]) -> Option<Vec<Prediction>> {
        let space = self.record.architectures.space();
        if self.model.len() < self.n_startup || !points.iter().all(|point| space.contains(point)) {
            return None;
        }
        let features = points.iter().map(|point| self.record.architectures.features(point));
        let bits: Vec<_> = features.map(|features| self.features.read(&features)).collect();
        let predicted = self.model.predict(&bits)?;
        Some(predicted.into_iter().map(|(mean, std)| Prediction { mean, std }).collect())
    }
}
