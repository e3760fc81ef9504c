//! Points with all their runs, for experiments that repeat: which point is the best by its mean, and which is to be run
//! again.
//!
//! The rule: the point of the lowest mean is run again until it has had `repeats` runs, one at a time beside the search.
//! A point that was only lucky is overtaken on the way and costs no more; one that holds is trusted. Other points are
//! not run again, so repeating costs little.

use std::collections::{BTreeMap, BTreeSet};

use study::{Cost, TrialIdx};

use crate::trial::{MetricSummary, TrialRecord, TrialState};

/// Texts by parameter: what makes two trials runs of one point.
type Texts = Vec<(String, String)>;

/// A measured run of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its cost.
    pub cost: Cost,
    /// Its metrics.
    pub observation: Vec<MetricSummary>,
}

/// A point with its runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Its parameters as text.
    pub assignments: Texts,
    /// Trials of it, however they ended or go on.
    tries: BTreeSet<TrialIdx>,
    active: u32,
    /// Those that were measured. In the order of their numbers, so that sums do not depend on the order of ends.
    pub runs: BTreeMap<TrialIdx, Run>,
}

impl Point {
    /// Mean cost of its runs; NaN without any.
    pub fn mean(&self) -> Cost {
        self.runs.values().map(|run| run.cost).sum::<f64>() / self.runs.len() as f64
    }

    /// Standard error of the mean, from two runs on.
    pub fn std_error(&self) -> Option<f64> {
        let (n, mean) = (self.runs.len() as f64, self.mean());
        let squares: f64 = self.runs.values().map(|run| (run.cost - mean).powi(2)).sum();
        (self.runs.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
    }

    /// The run that is nearest to the mean, the earliest of those: it speaks for the point, as its luckiest would not.
    pub fn nearest(&self) -> Option<(TrialIdx, &Run)> {
        let mean = self.mean();
        let off = |run: &Run| (run.cost - mean).abs();
        self.runs.iter().map(|(idx, run)| (*idx, run)).min_by(|(_, a), (_, b)| off(a).total_cmp(&off(b)))
    }

    /// The trial that tried it first.
    pub fn first(&self) -> TrialIdx {
        self.tries.first().copied().unwrap_or_default()
    }
}

/// All points of an experiment that repeats; of another nothing is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    repeats: u32,
    all: BTreeMap<Texts, Point>,
    /// Measured points by their mean, then by their first trial.
    lowest: BTreeSet<(i64, TrialIdx, Texts)>,
    /// Those of them that have had all their runs.
    trusted: BTreeSet<(i64, TrialIdx, Texts)>,
}

impl Points {
    /// No points; each may be run so many times in all.
    pub fn new(repeats: u32) -> Self {
        Self { repeats, ..Self::default() }
    }

    /// The points of stored trials.
    pub fn of_trials<'a>(
        repeats: u32,
        trials: impl IntoIterator<Item = &'a TrialRecord>,
        cost: impl Fn(f64) -> Cost,
    ) -> Self {
        let mut points = Self::new(repeats);
        for trial in trials {
            points.began(trial.idx, &trial.assignments);
            if trial.state.is_final() {
                points.ended(trial, &cost);
            }
        }
        points
    }

    /// Whether points are run again at all.
    pub fn repeat(&self) -> bool {
        self.repeats > 1
    }

    /// A trial came into being.
    pub fn began(&mut self, idx: TrialIdx, assignments: &Texts) {
        if !self.repeat() {
            return;
        }
        self.change(assignments, |point| {
            point.active += 1;
            point.tries.insert(idx);
        });
    }

    /// A trial ended. What it measured counts if it is a finite number.
    pub fn ended(&mut self, trial: &TrialRecord, cost: impl Fn(f64) -> Cost) {
        if !self.repeat() {
            return;
        }
        let counts = matches!(trial.state, TrialState::Succeeded | TrialState::EarlyStopped);
        let value = trial.objectives.first().filter(|value| counts && value.is_finite());
        self.change(&trial.assignments, |point| {
            point.active = point.active.saturating_sub(1);
            if let Some(value) = value {
                let run = Run { cost: cost(*value), observation: trial.observation.clone() };
                point.runs.insert(trial.idx, run);
            }
        });
    }

    /// The best point: the lowest mean of those that have had all their runs, as long as there are none of all.
    pub fn best(&self) -> Option<&Point> {
        let (_, _, texts) = self.trusted.first().or_else(|| self.lowest.first())?;
        self.all.get(texts)
    }

    /// Whether the best point has had all its runs. Without repeats every result is taken as it is.
    pub fn is_trusted(&self) -> bool {
        !self.repeat() || !self.trusted.is_empty()
    }

    /// The point that is to be run once more: the lowest mean of those that `may` be run, unless it has had all its runs
    /// or is being run.
    pub fn challenger(&self, may: impl Fn(&Texts) -> bool) -> Option<&Point> {
        let (_, _, texts) = self.lowest.iter().find(|(_, _, texts)| may(texts))?;
        let point = self.all.get(texts)?;
        (point.active == 0 && !self.is_done(point)).then_some(point)
    }

    fn is_done(&self, point: &Point) -> bool {
        point.tries.len() >= self.repeats as usize
    }

    /// Changes a point and its places in the order.
    fn change(&mut self, assignments: &Texts, change: impl FnOnce(&mut Point)) {
        let mut point = self.all.remove(assignments).unwrap_or_default();
        let place = |point: &Point| (ascending(point.mean()), point.first(), assignments.clone());
        if !point.runs.is_empty() {
            let old = place(&point);
            self.lowest.remove(&old);
            self.trusted.remove(&old);
        }
        point.assignments.clone_from(assignments);
        change(&mut point);
        if !point.runs.is_empty() {
            let new = place(&point);
            if self.is_done(&point) && point.active == 0 {
                self.trusted.insert(new.clone());
            }
            self.lowest.insert(new);
        }
        self.all.insert(assignments.clone(), point);
    }
}

/// A whole number that is ordered as the number, as `f64::total_cmp` does it.
fn ascending(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(x: &str) -> Texts {
        vec![("x".to_owned(), x.to_owned())]
    }

    fn trial(idx: u64, x: &str, state: TrialState, value: f64) -> TrialRecord {
        let record = serde_json::json!({
            "idx": idx, "name": "t", "state": state, "assignments": texts(x), "labels": {}, "rules": [],
            "suggestion": {"assignment": [], "fidelity": null, "parent": null, "notes": {}},
            "origin": {"by": "search"}, "attempt": 1, "failures": 0, "reason": "", "message": "",
            "observation": [], "objectives": [value], "model": null, "created": 0, "started": null, "ended": null,
        });
        serde_json::from_value(record).unwrap()
    }

    /// Points after runs of (point, value), one after the other; NaN: it failed.
    fn after(repeats: u32, runs: &[(&str, f64)]) -> Points {
        let trials = (0..).zip(runs).map(|(idx, (x, value))| {
            let state = if value.is_nan() { TrialState::Failed } else { TrialState::Succeeded };
            trial(idx, x, state, *value)
        });
        Points::of_trials(repeats, &trials.collect::<Vec<_>>(), |value| value)
    }

    fn challenger(points: &Points) -> Option<&str> {
        points.challenger(|_| true).map(|point| &*point.assignments[0].1)
    }

    #[test]
    fn the_lowest_mean_is_run_again_until_it_has_had_its_runs() {
        let mut runs = vec![("a", 3.0), ("b", 2.0)];
        assert_eq!(challenger(&after(3, &runs)), Some("b"));
        runs.extend([("b", 2.2), ("b", 2.4)]);
        let points = after(3, &runs);
        assert_eq!((challenger(&points), points.is_trusted()), (None, true));
        let best = points.best().unwrap();
        assert!(
            (best.mean() - 2.2).abs() < 1e-12
                && (best.std_error().unwrap() - 0.04_f64.sqrt() / 3.0_f64.sqrt()).abs() < 1e-12
        );
        assert_eq!(best.nearest().map(|(idx, _)| idx), Some(TrialIdx(2)));
    }

    #[test]
    fn a_lucky_run_is_found_out_and_what_was_trusted_stays_the_best() {
        let mut runs = vec![("a", 1.0), ("a", 1.0), ("a", 1.0), ("b", 0.0)];
        let points = after(3, &runs);
        assert_eq!((challenger(&points), &*points.best().unwrap().assignments[0].1), (Some("b"), "a"));
        runs.push(("b", 4.0));
        let points = after(3, &runs);
        assert_eq!((challenger(&points), &*points.best().unwrap().assignments[0].1), (None, "a"));
    }

    #[test]
    fn one_run_again_at_a_time_and_failures_are_tries() {
        let mut points = after(3, &[("a", 1.0)]);
        points.began(TrialIdx(7), &texts("a"));
        assert_eq!((challenger(&points), points.is_trusted()), (None, false));
        let points = after(3, &[("a", 1.0), ("a", f64::NAN), ("a", f64::NAN)]);
        assert_eq!((challenger(&points), points.is_trusted()), (None, true));
        assert_eq!(points.best().unwrap().std_error(), None);
    }

    #[test]
    fn the_order_of_ends_changes_nothing() {
        let trials: Vec<_> =
            [0.1, 0.2, 0.3].iter().zip(0..).map(|(v, i)| trial(i, "a", TrialState::Succeeded, *v)).collect();
        let forth = Points::of_trials(3, &trials, |value| value);
        let back = Points::of_trials(3, trials.iter().rev(), |value| value);
        assert_eq!(forth, back);
    }

    #[test]
    fn without_repeats_nothing_is_kept() {
        let points = after(1, &[("a", 1.0)]);
        assert_eq!((points.best(), challenger(&points), points.is_trusted()), (None, None, true));
        assert_eq!(points, Points::new(1));
    }
}
