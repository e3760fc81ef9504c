//! The median stopping rule: a trial that is worse than half of the others were by then ends (Golovin et al. 2017,
//! "Google Vizier", KDD, section 3.1).

use std::collections::BTreeMap;

use study::{Comparison, Cost, Direction, HistoryEvent, Objective, Outcome, Rule, Study, TrialIdx};

use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict};

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MedianSettings {
    /// Succeeded trials before which nobody is stopped, at least 1. 3 as in Katib.
    pub min_trials_required: usize,
    /// Reports of a trial that are looked at, at least 1. 4 as in Katib.
    pub start_step: u32,
}

impl MedianSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let nothing = study::Algorithm::default();
        let mut reader = Reader::new(study.early_stopping.as_ref().unwrap_or(&nothing));
        let allowed = "a whole number of at least 1";
        let min_trials_required = reader.get("min_trials_required", 3, allowed, |n| *n >= 1)?;
        let start_step = reader.get("start_step", 4, allowed, |n| *n >= 1)?;
        reader.finish_seedless()?;
        Ok(Self { min_trials_required, start_step })
    }
}

/// Stops trials whose best cost, after their first `start_step` reports, is above the median of what succeeded trials had
/// reported by then on average.
#[derive(Debug)]
pub struct MedianStop {
    settings: MedianSettings,
    objective: Objective,
    /// Of trials that run: reports so far.
    running: BTreeMap<TrialIdx, Reports>,
    /// Mean first reports of succeeded trials, rising.
    means: Vec<Cost>,
}

#[derive(Clone, Copy, Debug)]
struct Reports {
    n: u32,
    /// Of the first `start_step`.
    mean: Cost,
    best: Cost,
}

impl MedianStop {
    /// The rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let settings = MedianSettings::read(study)?;
        let unsuited = || SettingsError::Unsuited {
            algorithm: "medianstop".into(),
            problem: "the study has no objective".into(),
        };
        let objective = study.objectives.first().cloned().ok_or_else(unsuited)?;
        Ok(Self { settings, objective, running: BTreeMap::new(), means: Vec::new() })
    }

    fn report(&mut self, trial: TrialIdx, cost: Cost) {
        let empty = Reports { n: 0, mean: 0.0, best: f64::INFINITY };
        let reports = self.running.entry(trial).or_insert(empty);
        if reports.n < self.settings.start_step {
            reports.mean += (cost - reports.mean) / f64::from(reports.n + 1);
        }
        reports.n = reports.n.saturating_add(1);
        reports.best = reports.best.min(cost);
    }

    fn end(&mut self, trial: TrialIdx, outcome: &Outcome) {
        let Some(reports) = self.running.remove(&trial) else { return };
        if matches!(outcome, Outcome::Succeeded { .. }) && reports.n > 0 && reports.mean.is_finite() {
            let at = self.means.partition_point(|mean| *mean <= reports.mean);
            self.means.insert(at, reports.mean);
        }
    }

    /// The median cost, once there are trials enough.
    fn median(&self) -> Option<Cost> {
        let n = self.means.len();
        if n < self.settings.min_trials_required {
            return None;
        }
        let upper = *self.means.get(n / 2)?;
        Some(if n % 2 == 1 { upper } else { f64::midpoint(self.means[n / 2 - 1], upper) })
    }
}

impl Scheduler for MedianStop {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match event {
                HistoryEvent::Started(_) => {}
                HistoryEvent::Reported { trial, costs, .. } => {
                    if let Some(cost) = costs.first() {
                        self.report(*trial, *cost);
                    }
                }
                HistoryEvent::Ended { trial, outcome } => self.end(*trial, outcome),
            }
        }
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let Some(median) = self.median() else { return Vec::new() };
        let value = |cost| self.objective.direction.value(cost);
        let worse = self
            .running
            .iter()
            .filter(|(_, reports)| reports.n >= self.settings.start_step && reports.best > median);
        worse
            .map(|(trial, reports)| Decision {
                trial: *trial,
                verdict: Verdict::Stop,
                reason: format!(
                    "its best {} is {} after {} reports, the median of {} trials {}",
                    self.objective.metric,
                    value(reports.best),
                    reports.n,
                    self.means.len(),
                    value(median)
                ),
            })
            .collect()
    }

    fn rules(&self) -> Vec<Rule> {
        let comparison = match self.objective.direction {
            Direction::Maximize => Comparison::Less,
            Direction::Minimize => Comparison::Greater,
        };
        let rule = |median| Rule {
            metric: self.objective.metric.clone(),
            value: self.objective.direction.value(median),
            comparison,
            start_step: self.settings.start_step,
        };
        self.median().map(rule).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use study::{Suggestion, Trial};

    use super::*;
    use crate::settings::algorithm;
    use crate::testing;

    fn study(direction: Direction, settings: &[(&str, &str)]) -> Study {
        let mut study = testing::study("random", testing::tiny());
        study.objectives[0].direction = direction;
        study.early_stopping = Some(algorithm("medianstop", settings));
        study
    }

    /// A trial with these metric values, one a step.
    fn trial(idx: u64, direction: Direction, values: &[f64], outcome: Option<Outcome>) -> Vec<HistoryEvent> {
        let idx = TrialIdx(idx);
        let mut events = vec![HistoryEvent::Started(Trial { idx, suggestion: Suggestion::default() })];
        events.extend(values.iter().zip(0..).map(|(value, step)| HistoryEvent::Reported {
            trial: idx,
            step,
            costs: vec![direction.cost(*value)],
        }));
        events.extend(outcome.map(|outcome| HistoryEvent::Ended { trial: idx, outcome }));
        events
    }

    fn succeeded() -> Outcome {
        Outcome::Succeeded { costs: vec![0.0] }
    }

    #[test]
    fn the_rule_is_the_median_of_means_in_the_units_of_the_metric() {
        for (direction, comparison) in
            [(Direction::Minimize, Comparison::Greater), (Direction::Maximize, Comparison::Less)]
        {
            let study = study(direction, &[("start_step", "2")]);
            let mut median = MedianStop::new(&study).unwrap();
            // Means of the first two: 1.5, 10.5, 2.5, 3.5. What comes later does not count.
            for (idx, values) in
                (0..).zip([[1.0, 2.0, 99.0], [10.0, 11.0, 0.0], [2.0, 3.0, 0.0], [3.0, 4.0, 0.0]])
            {
                let too_few = if idx < 3 { median.rules() } else { vec![] };
                assert_eq!(too_few, [], "after {idx}");
                median.tell(&trial(idx, direction, &values, Some(succeeded())));
            }
            let rule = Rule { metric: "loss".into(), value: 3.0, comparison, start_step: 2 };
            assert_eq!(median.rules(), [rule]);
        }
    }

    #[test]
    fn only_succeeded_trials_with_reports_count() {
        let study = study(Direction::Minimize, &[("min_trials_required", "1")]);
        let mut median = MedianStop::new(&study).unwrap();
        median.tell(&trial(0, Direction::Minimize, &[1.0; 5], Some(Outcome::Failed)));
        let stopped = Outcome::EarlyStopped { costs: vec![1.0] };
        median.tell(&trial(1, Direction::Minimize, &[1.0; 5], Some(stopped)));
        median.tell(&trial(2, Direction::Minimize, &[], Some(succeeded())));
        assert_eq!(median.rules(), []);
        median.tell(&trial(3, Direction::Minimize, &[4.0], Some(succeeded())));
        let value = median.rules()[0].value;
        assert!((value - 4.0).abs() < 1e-12, "fewer reports than start_step are enough: {value}");
    }

    #[test]
    fn a_running_trial_that_is_worse_is_stopped_once_it_has_reported_enough() {
        let direction = Direction::Maximize;
        let study = study(direction, &[("min_trials_required", "1"), ("start_step", "2")]);
        let mut median = MedianStop::new(&study).unwrap();
        median.tell(&trial(0, direction, &[0.5, 0.5], Some(succeeded())));
        median.tell(&trial(1, direction, &[0.4], None));
        median.tell(&trial(2, direction, &[0.6, 0.1], None));
        assert_eq!(median.decide(&Streams::new(1)), []);
        median.tell(&trial(1, direction, &[0.3], None)[1..]);
        let decided = median.decide(&Streams::new(1));
        assert_eq!(decided.len(), 1);
        assert_eq!((decided[0].trial, decided[0].verdict), (TrialIdx(1), Verdict::Stop));
        assert!(
            decided[0].reason.contains("0.4") && decided[0].reason.contains("0.5"),
            "{}",
            decided[0].reason
        );
    }

    #[test]
    fn the_split_of_history_does_not_matter() {
        let study = study(Direction::Minimize, &[]);
        let events: Vec<HistoryEvent> = (0..9)
            .flat_map(|idx| {
                let values = [idx as f64, (idx * 5 % 9) as f64, 1.0];
                trial(idx, Direction::Minimize, &values, Some(succeeded()))
            })
            .collect();
        let mut whole = MedianStop::new(&study).unwrap();
        whole.tell(&events);
        let mut parts = MedianStop::new(&study).unwrap();
        for event in &events {
            parts.tell(std::slice::from_ref(event));
        }
        assert_eq!(whole.rules(), parts.rules());
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (name, value) in [("min_trials_required", "0"), ("start_step", "0"), ("random_state", "1")] {
            let study = study(Direction::Minimize, &[(name, value)]);
            assert!(MedianStop::new(&study).unwrap_err().to_string().contains(name));
        }
    }
}
