//! What algorithms are told of an experiment whose study has been edited.
//!
//! Trials keep the points they were made with; whoever is told of them in another space is told where they lie in that
//! one. Those that lie outside are left out: the results keep them, the model does not know them.

use std::collections::BTreeMap;

use study::{HistoryEvent, Space, Study, Trial, TrialIdx, Unit};

use crate::experiment::{ExperimentRecord, Spent};
use crate::trial::TrialRecord;

/// One of the studies that an experiment has had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Version<'a> {
    /// What its algorithm sees.
    pub study: &'a Study,
    /// The first trial that was made in its space. Those before must be translated.
    pub from: TrialIdx,
}

impl ExperimentRecord {
    /// Which study was in force when the log had this many events; they are counted from 0.
    pub fn version_at(&self, seq: u64) -> usize {
        self.earlier.iter().position(|earlier| seq <= earlier.until).unwrap_or(self.earlier.len())
    }

    /// A study by its number; `current` is that of the spec.
    pub fn version<'a>(&'a self, number: usize, current: &'a Study) -> Version<'a> {
        let study = |number: usize| self.earlier.get(number).map_or(current, |earlier| &earlier.study);
        let space = &study(number).space;
        let first = (0..number).rev().take_while(|before| study(*before).space == *space).last();
        let from = match first.unwrap_or(number) {
            0 => TrialIdx(0),
            first => TrialIdx(self.earlier[first - 1].n_trials),
        };
        Version { study: study(number), from }
    }
}

/// Translates trials into the space of one study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Telling {
    space: Option<Space>,
    /// Points of the trials that were made in other spaces: texts by parameter.
    others: BTreeMap<TrialIdx, Vec<(String, String)>>,
    live: bool,
    /// Of what is told how much trials have taken.
    unit: Option<Unit>,
}

impl Telling {
    /// For one study of an experiment with these trials.
    pub fn new(version: Version<'_>, trials: impl IntoIterator<Item = TrialRecord>) -> Self {
        let others = trials.into_iter().filter(|trial| trial.idx < version.from);
        Self {
            space: Some(version.study.space.clone()),
            others: others.map(|trial| (trial.idx, trial.assignments)).collect(),
            live: false,
            unit: None,
        }
    }

    /// The same for somebody who heeds what trials take of this.
    #[must_use]
    pub fn heeding(mut self, unit: Option<Unit>) -> Self {
        self.unit = unit;
        self
    }

    /// What a trial's end tells of what it has taken; nothing where that was more than one run.
    pub(crate) fn spent(&self, trial: TrialIdx, attempt: u32, spent: &Spent) -> Option<HistoryEvent> {
        let amount = spent.of(self.unit.filter(|_| attempt == 1)?);
        amount.is_finite().then_some(HistoryEvent::Spent { trial, amount })
    }

    /// The same for somebody who judges trials while they run, if so.
    #[must_use]
    pub fn live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// Whether trials are told of while they run.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// The trial as it is told; `None` if it lies outside of the space.
    pub fn trial(&self, trial: &Trial) -> Option<Trial> {
        let (Some(space), Some(texts)) = (&self.space, self.others.get(&trial.idx)) else {
            return Some(trial.clone());
        };
        let assignment = space.project(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
        let mut told = trial.clone();
        told.suggestion.assignment = assignment;
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use study::Expense;

    use super::*;
    use crate::experiment::Earlier;

    fn study(max: &str, trials: i32) -> Study {
        let spec = serde_json::from_value(json!({
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": max}}],
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "maxTrialCount": trials,
        }));
        crate::study::of_spec(&spec.unwrap(), "s", 1).0.unwrap()
    }

    fn record(earlier: Vec<Earlier>) -> ExperimentRecord {
        let record = json!({
            "id": 1, "uid": "", "cluster": "", "namespace": "", "name": "s", "labels": {}, "annotations": {},
            "spec": {}, "specDigest": "", "seed": 1, "baseDir": null, "created": 0,
        });
        ExperimentRecord { earlier, ..serde_json::from_value(record).unwrap() }
    }

    #[test]
    fn each_question_has_the_study_of_its_time_and_trials_of_one_space_stay_as_they_are() {
        let edit = |until, n_trials, study| Earlier { until, n_trials, study };
        let record =
            record(vec![edit(10, 2, study("1", 5)), edit(20, 4, study("1", 9)), edit(30, 6, study("2", 9))]);
        let current = study("1", 9);
        let of = |seq| {
            let number = record.version_at(seq);
            (number, record.version(number, &current).from.0)
        };
        // The second edit was of the budget alone.
        assert_eq!(
            [of(0), of(10), of(11), of(20), of(21), of(31)],
            [(0, 0), (0, 0), (1, 0), (1, 0), (2, 4), (3, 6)]
        );
        assert_eq!(*record.version(2, &current).study, study("2", 9));
        assert_eq!(*record.version(3, &current).study, current);
    }

    #[test]
    fn what_trials_take_is_told_where_it_is_bounded_and_was_one_run() {
        let of = |budget: &str, price: f64| {
            let mut spec = json!({
                "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
                "objective": {"type": "minimize", "objectiveMetricName": "loss"},
                "parallelTrialCount": 4, "maxDuration": "1h", "pricePerSlotHour": price,
            });
            if !budget.is_empty() {
                spec[budget] = json!(2.0);
            }
            let study = crate::study::of_spec(&serde_json::from_value(spec).unwrap(), "s", 1).0.unwrap();
            study.expense.unwrap()
        };
        assert_eq!(of("", 0.0), Expense { unit: Unit::Seconds, most: 4.0 * 3600.0 });
        assert_eq!(of("maxGpuHours", 0.0), Expense { unit: Unit::GpuSeconds, most: 2.0 * 3600.0 });
        assert_eq!(of("maxCost", 3.0), Expense { unit: Unit::Money, most: 2.0 });

        let spent = Spent { run_seconds: 30.0, gpu_seconds: 60.0, cost: 0.5 };
        let told = |unit, attempt| Telling::default().heeding(unit).spent(TrialIdx(3), attempt, &spent);
        let amount = |amount| Some(HistoryEvent::Spent { trial: TrialIdx(3), amount });
        assert_eq!(told(Some(Unit::GpuSeconds), 1), amount(60.0));
        assert_eq!(told(Some(Unit::Seconds), 1), amount(30.0));
        assert_eq!(told(None, 1), None, "nobody asks");
        assert_eq!(told(Some(Unit::Seconds), 2), None, "what the first run took is not among it");
    }
}
