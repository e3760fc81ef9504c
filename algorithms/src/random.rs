//! Random search: every point drawn from the prior, knowing nothing (Bergstra and Bengio 2012, JMLR 13:281).

use std::collections::BTreeSet;
use std::ops::Range;

use study::{HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

/// Draws each point from the prior. In spaces with few points none is repeated while others are untried.
#[derive(Debug)]
pub struct Random {
    encoder: Encoder,
    /// Texts of points begun, kept only where the space is small enough to run out.
    tried: Option<BTreeSet<String>>,
}

/// Spaces with at most this many points are searched without repeats.
const SMALL: u64 = 10_000;
/// Draws in such a space before everything is taken to be tried.
const SMALL_DRAWS: usize = 1000;

impl Random {
    /// Random search over the study's space.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        let encoder = Encoder::new(&study.space);
        let small = encoder.cardinality().is_some_and(|n| n <= SMALL);
        Ok(Self { tried: small.then(BTreeSet::new), encoder })
    }
}

impl Sampler for Random {
    fn tell(&mut self, events: &[HistoryEvent]) {
        let Some(tried) = &mut self.tried else { return };
        for event in events {
            if let HistoryEvent::Started(trial) = event {
                tried.insert(key(&trial.suggestion));
            }
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let mut begun: BTreeSet<String> = running.iter().map(|trial| key(&trial.suggestion)).collect();
        let mut suggestions = Vec::new();
        for slot in slots.start.0..slots.end.0 {
            let mut rng = streams.stream("random", TrialIdx(slot));
            let draws = if self.tried.is_some() { SMALL_DRAWS } else { 1 };
            let mut drawn = std::iter::repeat_with(|| self.encoder.uniform(&mut rng)).take(draws);
            let Some(Some(first)) = drawn.next() else { break };
            let first = Suggestion { assignment: first, ..Default::default() };
            let is_new = |suggestion: &Suggestion| {
                let key = key(suggestion);
                !begun.contains(&key) && self.tried.as_ref().is_none_or(|tried| !tried.contains(&key))
            };
            let mut suggestion = first.clone();
            while !is_new(&suggestion) {
                // Once everything has been tried, the first draw is as good as any.
                suggestion = match drawn.next() {
                    Some(Some(assignment)) => Suggestion { assignment, ..Default::default() },
                    _ => break,
                };
            }
            if self.tried.is_some() && !is_new(&suggestion) {
                suggestion = first;
            }
            suggestion.notes.insert("by".into(), "random".into());
            begun.insert(key(&suggestion));
            suggestions.push(suggestion);
        }
        suggestions
    }
}

/// What makes two suggestions the same point.
fn key(suggestion: &Suggestion) -> String {
    past::key(&suggestion.assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn keeps_the_contract() {
        testing::contract(&|study| Ok(Box::new(Random::new(study)?)), &testing::spaces());
    }
}
