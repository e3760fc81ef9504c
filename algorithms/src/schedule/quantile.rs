//! The median stopping rule and its like: a trial that is worse than so many of the others were by then ends (Golovin et
//! al. 2017, "Google Vizier", KDD, section 3.1).

use std::collections::BTreeMap;

use study::{Comparison, Cost, Direction, HistoryEvent, Objective, Rule, Study, TrialIdx};

use super::ladder::objective;
use super::told::{News, Told};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict};

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
struct QuantileSettings {
    /// Succeeded trials before which nobody is stopped, at least 1. 3 as in Katib.
    min_trials_required: usize,
    /// Reports of a trial that are looked at, at least 1. 4 as in Katib.
    start_step: u32,
    /// Percent of the others that a trial must be among, above 0 and below 100; 50 for the median.
    percentile: f64,
}

impl QuantileSettings {
    fn read(mut reader: Reader<'_>, percentile: f64) -> Result<Self, SettingsError> {
        let allowed = "a whole number of at least 1";
        let min_trials_required = reader.get("min_trials_required", 3, allowed, |n| *n >= 1)?;
        let start_step = reader.get("start_step", 4, allowed, |n| *n >= 1)?;
        reader.finish_seedless()?;
        Ok(Self { min_trials_required, start_step, percentile })
    }
}

/// Stops trials whose best cost, after their first `start_step` reports, is above a quantile of what succeeded trials had
/// reported by then on average.
#[derive(Debug)]
pub struct QuantileStop {
    settings: QuantileSettings,
    /// What the bound is called.
    bound_name: String,
    objective: Objective,
    told: Told,
    /// Of trials that have not ended: reports so far.
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

impl QuantileStop {
    /// The median rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn median(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, "medianstop", |_| Ok(50.0))
    }

    /// The same for another share than half.
    ///
    /// # Errors
    /// As [`QuantileStop::median`].
    pub fn percentile(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, "percentile", |reader| {
            let within = |percent: &f64| *percent > 0.0 && *percent < 100.0;
            reader.get("percentile", 25.0, "a number above 0 and below 100", within)
        })
    }

    fn new(
        study: &Study,
        name: &str,
        percentile: impl FnOnce(&mut Reader<'_>) -> Result<f64, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let percentile = percentile(&mut reader)?;
        Ok(Self {
            settings: QuantileSettings::read(reader, percentile)?,
            bound_name: if name == "medianstop" {
                "median".into()
            } else {
                format!("{percentile}th percentile")
            },
            objective: objective(study, name)?,
            told: Told::default(),
            running: BTreeMap::new(),
            means: Vec::new(),
        })
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

    fn end(&mut self, trial: TrialIdx, succeeded: bool) {
        let Some(reports) = self.running.remove(&trial) else { return };
        if succeeded && reports.mean.is_finite() {
            let at = self.means.partition_point(|mean| *mean <= reports.mean);
            self.means.insert(at, reports.mean);
        }
    }

    /// The bound, once there are trials enough: between two of them in proportion.
    fn bound(&self) -> Option<Cost> {
        let n = self.means.len();
        if n < self.settings.min_trials_required {
            return None;
        }
        let at = self.settings.percentile / 100.0 * (n - 1) as f64;
        let lower = *self.means.get(at as usize)?;
        let upper = self.means.get(at as usize + 1).copied().unwrap_or(lower);
        Some((1.0 - at.fract()) * lower + at.fract() * upper)
    }
}

impl Scheduler for QuantileStop {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match self.told.take(event) {
                Some((trial, News::Reported { cost, .. })) => self.report(trial, cost),
                Some((trial, News::Ended { cost, stopped })) => self.end(trial, cost.is_some() && !stopped),
                _ => {}
            }
        }
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let Some(bound) = self.bound() else { return Vec::new() };
        let value = |cost| self.objective.direction.value(cost);
        let worse = self
            .running
            .iter()
            .filter(|(_, reports)| reports.n >= self.settings.start_step && reports.best > bound);
        worse
            .map(|(trial, reports)| Decision {
                trial: *trial,
                verdict: Verdict::Stop,
                reason: format!(
                    "its best {} is {} after {} reports, the {} of {} trials {}",
                    self.objective.metric,
                    value(reports.best),
                    reports.n,
                    self.bound_name,
                    self.means.len(),
                    value(bound)
                ),
            })
            .collect()
    }

    fn rules(&self) -> Vec<Rule> {
        let comparison = match self.objective.direction {
            Direction::Maximize => Comparison::Less,
            Direction::Minimize => Comparison::Greater,
        };
        let rule = |bound| Rule {
            metric: self.objective.metric.clone(),
            value: self.objective.direction.value(bound),
            comparison,
            start_step: self.settings.start_step,
        };
        self.bound().map(rule).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use study::{Outcome, Suggestion, Trial};

    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::contract;

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
            let mut median = QuantileStop::median(&study).unwrap();
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
        let mut median = QuantileStop::median(&study).unwrap();
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
        let mut median = QuantileStop::median(&study).unwrap();
        median.tell(&trial(0, direction, &[0.5, 0.5], Some(succeeded())));
        median.tell(&trial(1, direction, &[0.4], None));
        median.tell(&trial(2, direction, &[0.6, 0.1], None));
        assert_eq!(median.decide(&Streams::new(1)), []);
        let costs = vec![direction.cost(0.3)];
        median.tell(&[HistoryEvent::Reported { trial: TrialIdx(1), step: 1, costs }]);
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
        let mut whole = QuantileStop::median(&study).unwrap();
        whole.tell(&events);
        let mut parts = QuantileStop::median(&study).unwrap();
        for event in &events {
            parts.tell(std::slice::from_ref(event));
        }
        assert_eq!(whole.rules(), parts.rules());
    }

    #[test]
    fn keep_the_contract() {
        let settings = algorithm("medianstop", &[]);
        contract(&|study| Ok(Box::new(QuantileStop::median(study)?)), &settings, 9);
        let settings = algorithm("percentile", &[("percentile", "75")]);
        contract(&|study| Ok(Box::new(QuantileStop::percentile(study)?)), &settings, 9);
    }

    #[test]
    fn a_percentile_is_stricter_the_lower_it_is() {
        let bound = |percentile: &str| {
            let settings = [("percentile", percentile), ("start_step", "1")];
            let study = study(Direction::Minimize, &settings);
            let mut rule = QuantileStop::percentile(&study).unwrap();
            for idx in 0..5 {
                rule.tell(&trial(idx, Direction::Minimize, &[idx as f64], Some(succeeded())));
            }
            rule.rules()[0].value
        };
        let bounds = ["25", "50", "80"].map(bound);
        assert!(bounds.iter().zip([1.0, 2.0, 3.2]).all(|(a, b)| (a - b).abs() < 1e-12), "{bounds:?}");
        let refused = QuantileStop::percentile(&study(Direction::Minimize, &[("percentile", "100")]));
        assert!(refused.unwrap_err().to_string().contains("below 100"));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for (name, value) in [("min_trials_required", "0"), ("start_step", "0"), ("random_state", "1")] {
            let study = study(Direction::Minimize, &[(name, value)]);
            assert!(QuantileStop::median(&study).unwrap_err().to_string().contains(name));
        }
    }
}
