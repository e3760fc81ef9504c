//! A threshold: a trial whose best is still worse after so many reports ends. The bound is known from the start, so whoever
//! watches a trial applies it on the spot.

use study::{Comparison, Direction, HistoryEvent, Rule, Study};

use super::ladder::objective;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler};

/// Ends trials that are worse than a bound.
#[derive(Debug)]
pub struct Threshold {
    rule: Rule,
}

impl Threshold {
    /// The rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is missing, unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let value = reader.optional("value", "a number", |value: &f64| value.is_finite())?;
        let start_step = reader.get("start_step", 4, "a whole number of at least 1", |n: &u32| *n >= 1)?;
        reader.finish_seedless()?;
        let objective = objective(study, "threshold")?;
        let value = value.ok_or_else(|| SettingsError::Unsuited {
            algorithm: "threshold".into(),
            problem: format!("it needs the setting value, the worst {} that may go on", objective.metric),
        })?;
        let comparison = match objective.direction {
            Direction::Maximize => Comparison::Less,
            Direction::Minimize => Comparison::Greater,
        };
        Ok(Self { rule: Rule { metric: objective.metric, value, comparison, start_step } })
    }
}

impl Scheduler for Threshold {
    fn tell(&mut self, _: &[HistoryEvent]) {}

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        Vec::new()
    }

    fn rules(&self) -> Vec<Rule> {
        vec![self.rule.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::contract;

    fn study(direction: Direction, settings: &[(&str, &str)]) -> Study {
        let mut study = testing::study("random", testing::tiny());
        study.objectives[0].direction = direction;
        study.early_stopping = Some(algorithm("threshold", settings));
        study
    }

    #[test]
    fn keeps_the_contract() {
        let settings = algorithm("threshold", &[("value", "0.5")]);
        contract(&|study| Ok(Box::new(Threshold::new(study)?)), &settings, 9);
    }

    #[test]
    fn the_bound_is_a_rule_in_the_units_of_the_metric_from_the_start() {
        for (direction, comparison) in
            [(Direction::Minimize, Comparison::Greater), (Direction::Maximize, Comparison::Less)]
        {
            let rules =
                Threshold::new(&study(direction, &[("value", "0.5"), ("start_step", "2")])).unwrap().rules();
            assert_eq!(rules, [Rule { metric: "loss".into(), value: 0.5, comparison, start_step: 2 }]);
        }
    }

    #[test]
    fn without_a_bound_it_is_refused() {
        let refused = |settings: &[(&str, &str)]| {
            Threshold::new(&study(Direction::Minimize, settings)).unwrap_err().to_string()
        };
        assert!(refused(&[]).contains("needs the setting value, the worst loss"));
        assert!(refused(&[("value", "nan")]).contains("`nan`; it takes a number"));
    }
}
