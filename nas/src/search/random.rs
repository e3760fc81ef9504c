//! Random search: every architecture drawn, none twice.

use std::ops::Range;
use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::{Reader, SettingsError};
use study::{HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use super::record::Record;
use crate::architectures::Architectures;

/// What others are measured against (Li and Talwalkar 2019, arXiv:1902.07638).
pub struct RandomSearch {
    record: Record,
}

impl RandomSearch {
    /// Random search over a set.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study, architectures: Arc<dyn Architectures>) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        Ok(Self { record: Record::new(architectures) })
    }
}

impl Sampler for RandomSearch {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            self.record.take(event);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        self.record.one_by_one(slots, running, "random", |slot, begun| {
            Some((begun.random(&mut streams.stream("nas/random", slot))?, "by chance"))
        })
    }
}
