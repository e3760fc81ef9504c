//! Patience: a trial that has not become better for so many reports ends (Prechelt 1998, Neural Networks: Tricks of the
//! Trade, the class UP).

use std::collections::BTreeMap;

use study::{Cost, HistoryEvent, Objective, Study, TrialIdx};

use super::ladder::objective;
use super::told::{News, Told};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict, Watch};

/// Ends trials that get no better.
#[derive(Debug)]
pub struct Patience {
    /// Reports without a better one after which a trial ends.
    most: u32,
    min_delta: f64,
    objective: Objective,
    told: Told,
    /// Of trials that have not ended: the best cost, and the reports since.
    best: BTreeMap<TrialIdx, (Cost, u32)>,
}

impl Patience {
    /// The rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let patience = reader.get("patience", 10, "a whole number of at least 1", |n: &u32| *n >= 1)?;
        let min_delta = reader.get("min_delta", 0.0, "a number of at least 0", |delta: &f64| {
            *delta >= 0.0 && delta.is_finite()
        })?;
        reader.finish_seedless()?;
        let objective = objective(study, "patience")?;
        Ok(Self { most: patience, min_delta, objective, told: Told::default(), best: BTreeMap::new() })
    }
}

impl Scheduler for Patience {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match self.told.take(event) {
                Some((trial, News::Reported { cost, .. })) => {
                    let (best, since) = self.best.entry(trial).or_insert((f64::INFINITY, 0));
                    let better = cost < *best - if best.is_finite() { self.min_delta } else { 0.0 };
                    (*best, *since) = if better { (cost, 0) } else { (*best, *since + 1) };
                }
                Some((trial, News::Ended { .. })) => {
                    self.best.remove(&trial);
                }
                _ => {}
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        Some(Watch::default())
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let spent = self.best.iter().filter(|(_, (_, since))| *since >= self.most);
        spent
            .map(|(trial, (best, since))| {
                let metric = &self.objective.metric;
                let reason = if best.is_finite() {
                    let value = self.objective.direction.value(*best);
                    format!("its best {metric} {value} has not been beaten in {since} reports")
                } else {
                    format!("its {metric} was no finite number in {since} reports")
                };
                Decision { trial: *trial, verdict: Verdict::Stop, reason }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::{Story, contract};

    fn story(settings: &[(&str, &str)]) -> Story {
        let mut study = testing::study("random", testing::tiny());
        study.early_stopping = Some(algorithm("patience", settings));
        Story::new(Box::new(Patience::new(&study).unwrap()))
    }

    #[test]
    fn keeps_the_contract() {
        let settings = algorithm("patience", &[("patience", "3")]);
        contract(&|study| Ok(Box::new(Patience::new(study)?)), &settings, 9);
    }

    #[test]
    fn who_gets_no_better_for_so_many_reports_ends() {
        let mut story = story(&[("patience", "2"), ("min_delta", "0.1")]);
        story.began(0).reported(0, 1, 1.0).reported(0, 2, 0.95);
        assert_eq!(story.verdicts(), []);
        story.reported(0, 2, 0.0);
        assert_eq!(story.verdicts(), [], "told twice, it counts once");
        story.reported(0, 3, 0.8).reported(0, 4, 0.75).reported(0, 5, 0.9);
        assert_eq!(story.verdicts(), [(0, Verdict::Stop)]);
        assert!(story.reasons()[0].contains("loss 0.8 has not been beaten in 2 reports"));
    }

    #[test]
    fn numbers_that_are_none_are_no_progress() {
        let mut story = story(&[("patience", "2")]);
        story.began(0).reported(0, 1, f64::NAN).reported(0, 2, f64::INFINITY);
        assert_eq!(story.verdicts(), [(0, Verdict::Stop)]);
        assert!(story.reasons()[0].contains("no finite number in 2 reports"));
    }
}
