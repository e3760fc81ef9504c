//! Local search: all neighbours of an architecture are tried, and the first that is better takes its place.
//!
//! White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search", arXiv:2005.02960, in the form that moves
//! at once. When no neighbour is better it begins anew somewhere else.

use std::ops::Range;
use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::{Reader, SettingsError};
use rand::seq::SliceRandom as _;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use super::record::Record;
use crate::architectures::Architectures;
use crate::moves::{self, Step};

/// Tries the neighbours of the best of the current search.
pub struct LocalSearch {
    n_startup: usize,
    n_measured: usize,
    record: Record,
    centre: Option<(Assignment, f64)>,
    /// What leads to the neighbours of the centre; they themselves would be large.
    steps: Vec<Step>,
}

impl LocalSearch {
    /// Local search over a set. Setting: `n_startup_trials` (10), drawn architectures of which the best is the first centre.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study, architectures: Arc<dyn Architectures>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let n_startup = reader.get("n_startup_trials", 10, "a whole number of at least 1", |n| *n >= 1)?;
        reader.finish()?;
        let record = Record::new(architectures);
        Ok(Self { n_startup, n_measured: 0, record, centre: None, steps: Vec::new() })
    }

    fn neighbour(&self, centre: &Assignment, step: Step) -> Assignment {
        moves::stepped(self.record.architectures.space(), centre, step)
    }

    /// Whether an architecture takes the centre's place: it is better, or begins a new search after one that is spent.
    fn takes_over(&self, point: &Assignment, cost: f64) -> bool {
        let Some((centre, best)) = &self.centre else { return true };
        let is_spent = || {
            let mut neighbours = self.steps.iter().map(|step| self.neighbour(centre, *step));
            neighbours.all(|neighbour| self.record.has_begun(&neighbour) && neighbour != *point)
        };
        cost < *best || (self.n_measured >= self.n_startup && is_spent())
    }
}

impl Sampler for LocalSearch {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            let Some(ended) = self.record.take(event) else { continue };
            let Some(cost) = ended.cost else { continue };
            if self.takes_over(&ended.point, cost) {
                self.steps = moves::steps(self.record.architectures.space(), &ended.point);
                self.centre = Some((ended.point, cost));
            }
            self.n_measured += 1;
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        self.record.one_by_one(slots, running, "local-search", |slot, begun| {
            let mut rng = streams.stream("nas/local-search", slot);
            if self.n_measured < self.n_startup {
                return Some((begun.random(&mut rng)?, "first architectures"));
            }
            let mut steps = self.steps.clone();
            steps.shuffle(&mut rng);
            let centre = self.centre.as_ref().map(|(centre, _)| centre);
            let mut near = centre
                .into_iter()
                .flat_map(|centre| steps.iter().map(move |step| self.neighbour(centre, *step)));
            match near.find(|point| begun.is_new(point)) {
                Some(point) => Some((point, "neighbour of the best of this search")),
                None => Some((begun.random(&mut rng)?, "a new search")),
            }
        })
    }
}
