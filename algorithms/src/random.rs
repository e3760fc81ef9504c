//! Random search: every point drawn from the prior, learning nothing (Bergstra and Bengio 2012, JMLR 13:281).

use std::ops::Range;

use study::{HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::{Tried, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

/// Draws each point from the prior. In spaces with few points none is repeated while others are untried.
#[derive(Debug)]
pub struct Random {
    encoder: Encoder,
    tried: Tried,
}

impl Random {
    /// Random search over the study's space.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        let encoder = Encoder::new(&study.space);
        Ok(Self { tried: Tried::new(&encoder), encoder })
    }
}

impl Sampler for Random {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let mut begun = self.tried.with(running.iter().map(|trial| &trial.suggestion));
        let mut suggestions = Vec::new();
        for slot in (slots.start.0..slots.end.0).map(TrialIdx) {
            let mut rng = streams.stream("random", slot);
            let Some(assignment) = begun.believed(&self.encoder, &mut rng) else { break };
            begun.insert(&assignment);
            suggestions.push(suggestion(assignment, "random"));
        }
        suggestions
    }
}

#[cfg(test)]
mod tests {
    use study::{Parameter, Prior, Space, Value};

    use super::*;
    use crate::testing;

    #[test]
    fn keeps_the_contract() {
        let random: testing::Make<'_> = &|study| Ok(Box::new(Random::new(study)?));
        testing::contract(random, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(random);
        testing::hostile(random);
    }

    #[test]
    fn points_lie_where_the_user_believes() {
        let prior = Prior::Normal { mean: 0.25, std: 0.01 };
        let space =
            Space::new(vec![Parameter { prior: Some(prior), ..testing::float("x") }], vec![]).unwrap();
        let study = testing::study("random", space);
        let points = Random::new(&study).unwrap().ask(TrialIdx(0)..TrialIdx(200), &[], &Streams::new(1));
        let near = points.iter().filter(|point| match point.assignment.get(0) {
            Some(Value::Float(x)) => (x - 0.25).abs() < 0.03,
            _ => false,
        });
        // Three standard deviations: 199.5 are expected.
        assert!(near.count() >= 195);
    }
}
