//! What the user would try first is tried first.

use std::ops::Range;

use study::{Assignment, HistoryEvent, Space, Study, Suggestion, Trial, TrialIdx};

use crate::encode::decode_value;
use crate::past::noted;
use crate::rng::Streams;
use crate::{Prediction, Sampler};

/// A sampler whose first suggestion carries the defaults of the parameters that have one; all else is the inner's.
pub struct DefaultsFirst {
    inner: Box<dyn Sampler>,
    space: Space,
    /// Position of a parameter that the inner sampler alone decides.
    kept: Option<usize>,
    /// Whether anything has been suggested before. Points that people queued carry no notes.
    begun: bool,
}

impl DefaultsFirst {
    /// `inner`, with the defaults first if the study's space has any. The parameter named by the setting
    /// `resource_name` is left to the inner sampler.
    pub fn wrap(study: &Study, inner: Box<dyn Sampler>) -> Box<dyn Sampler> {
        if study.space.parameters().iter().all(|parameter| parameter.default.is_none()) {
            return inner;
        }
        let resource = study.algorithm.settings.get("resource_name");
        let kept = resource.and_then(|name| study.space.position(name.trim()));
        Box::new(Self { inner, space: study.space.clone(), kept, begun: false })
    }

    /// The inner sampler's suggestion with the defaults in place; as it is where they break a constraint.
    fn first(&self, suggestion: Suggestion) -> Suggestion {
        let mut assignment = Assignment(vec![None; self.space.parameters().len()]);
        for &i in self.space.parents_first() {
            let parameter = &self.space.parameters()[i];
            if self.space.is_active(i, &assignment) {
                let default = parameter.default.filter(|_| self.kept != Some(i));
                let value = default.or(suggestion.assignment.get(i));
                assignment.0[i] = Some(value.unwrap_or_else(|| decode_value(&parameter.domain, 0.5)));
            }
        }
        if !self.space.is_feasible(&assignment) {
            return suggestion;
        }
        noted(Suggestion { assignment, ..suggestion }, "the defaults")
    }
}

impl Sampler for DefaultsFirst {
    fn tell(&mut self, events: &[HistoryEvent]) {
        let suggested =
            |event: &HistoryEvent| matches!(event, HistoryEvent::Started(trial) if is_suggested(trial));
        self.begun |= events.iter().any(suggested);
        self.inner.tell(events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        if self.begun || slots.is_empty() || running.iter().any(is_suggested) {
            return self.inner.ask(slots, running, streams);
        }
        let second = TrialIdx(slots.start.0 + 1);
        let Some(first) = self.inner.ask(slots.start..second, running, streams).pop() else {
            return Vec::new();
        };
        let first = self.first(first);
        let mut running = running.to_vec();
        running.push(Trial { idx: slots.start, suggestion: first.clone() });
        let mut suggestions = vec![first];
        suggestions.extend(self.inner.ask(second..slots.end, &running, streams));
        suggestions
    }

    fn predict(&self, points: &[Assignment]) -> Option<Vec<Prediction>> {
        self.inner.predict(points)
    }
}

fn is_suggested(trial: &Trial) -> bool {
    !trial.suggestion.notes.is_empty()
}

#[cfg(test)]
mod tests {
    use study::{Parameter, Value};

    use super::*;
    use crate::grid::Grid;
    use crate::random::Random;
    use crate::settings::SettingsError;
    use crate::testing;
    use crate::tpe::Tpe;

    fn with_defaults(space: &Space, defaults: &[(&str, Value)]) -> Space {
        let default = |name: &str| defaults.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        let parameters = space.parameters().iter();
        let parameters =
            parameters.map(|parameter| Parameter { default: default(&parameter.name), ..parameter.clone() });
        Space::new(parameters.collect(), space.constraints().to_vec()).unwrap()
    }

    fn spaces() -> Vec<Space> {
        vec![
            with_defaults(&testing::mixed(), &[("x", Value::Float(1.5)), ("c", Value::Choice(2))]),
            with_defaults(
                &testing::conditional(),
                &[("optimizer", Value::Choice(0)), ("momentum", Value::Float(0.25))],
            ),
            with_defaults(&testing::tiny(), &[("n", Value::Int(2)), ("c", Value::Choice(1))]),
        ]
    }

    fn random(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(DefaultsFirst::wrap(study, Box::new(Random::new(study)?)))
    }

    fn tpe(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(DefaultsFirst::wrap(study, Box::new(Tpe::new(study)?)))
    }

    fn grid(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(DefaultsFirst::wrap(study, Box::new(Grid::new(study)?)))
    }

    #[test]
    fn keeps_the_contract() {
        for make in [&random as testing::Make<'_>, &tpe, &grid] {
            testing::contract(make, &spaces());
        }
    }

    #[test]
    fn the_first_trial_has_the_defaults_and_no_other_is_made_to() {
        let study = testing::study("random", spaces()[0].clone());
        let (sampler, plain) = (random(&study).unwrap(), Random::new(&study).unwrap());
        let streams = Streams::new(1);
        let slots = TrialIdx(0)..TrialIdx(3);
        let (got, expected) = (sampler.ask(slots.clone(), &[], &streams), plain.ask(slots, &[], &streams));
        let y = expected[0].assignment.get(2);
        assert_eq!(got[0].assignment.0, [Some(Value::Float(1.5)), Some(Value::Choice(2)), y]);
        assert_eq!(got[1..], expected[1..]);
    }

    #[test]
    fn queued_points_come_before_the_defaults_and_do_not_replace_them() {
        let study = testing::study("random", spaces()[0].clone());
        let (mut sampler, streams) = (random(&study).unwrap(), Streams::new(1));
        let queued = Trial { idx: TrialIdx(0), suggestion: Suggestion::default() };
        sampler.tell(&[HistoryEvent::Started(queued)]);
        let next = sampler.ask(TrialIdx(1)..TrialIdx(2), &[], &streams).remove(0);
        assert_eq!(next.assignment.get(0), Some(Value::Float(1.5)));
        let later =
            sampler.ask(TrialIdx(2)..TrialIdx(3), &[Trial { idx: TrialIdx(1), suggestion: next }], &streams);
        assert_ne!(later[0].assignment.get(0), Some(Value::Float(1.5)));
    }

    #[test]
    fn a_grid_tries_the_defaults_once() {
        let study = testing::study("grid", spaces()[2].clone());
        let all = grid(&study).unwrap().ask(TrialIdx(0)..TrialIdx(10), &[], &Streams::new(1));
        assert_eq!(all.len(), 6, "every combination once");
        assert_eq!(all[0].assignment.0, [Some(Value::Int(2)), Some(Value::Choice(1))]);
    }
}
