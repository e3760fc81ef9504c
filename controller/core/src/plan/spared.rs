//! What stopping trials early has spared: what they would have taken to their ends, each at the mean pace of its own steps.

use std::collections::BTreeMap;

use study::TrialIdx;

use super::limits::Limits;
use crate::experiment::Spent;
use crate::run::RunRecord;
use crate::trial::{TrialRecord, TrialState};

/// What trials that were stopped early would have taken beside what they have, had each run to step `whole`. Who has told of
/// no step has no pace, and of whom waits nobody knows whether it goes on: they count nothing.
pub fn spared(limits: &Limits, whole: u64, trials: &[TrialRecord], runs: &[RunRecord]) -> Spent {
    let mut ended: BTreeMap<TrialIdx, Vec<&RunRecord>> = BTreeMap::new();
    for run in runs {
        ended.entry(run.id.trial).or_default().push(run);
    }
    let stopped = trials.iter().filter(|trial| trial.state == TrialState::EarlyStopped && trial.steps > 0);
    stopped.fold(Spent::default(), |sum, trial| {
        let runs = ended.get(&trial.idx).into_iter().flatten().filter(|run| trial.counts(run.id.attempt));
        let ends = runs.filter_map(|run| run.end.as_ref());
        let taken = ends.fold(Spent::default(), |taken, end| taken.plus(limits.spent(end)));
        sum.plus(taken.times(whole.saturating_sub(trial.steps) as f64 / trial.steps as f64))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::experiment::ExperimentId;
    use crate::run::{Exit, RunEnd, RunId};
    use crate::time::Timestamp;

    fn trial(idx: u64, state: TrialState, attempt: u32, waited: &[u32], steps: u64) -> TrialRecord {
        let record = json!({
            "idx": idx, "name": "t", "state": state, "assignments": [], "labels": {}, "rules": [],
            "suggestion": {"assignment": [], "fidelity": null, "parent": null, "notes": {}},
            "origin": {"by": "search"}, "attempt": attempt, "failures": 0, "reason": "", "message": "",
            "observation": [], "objectives": [], "model": null, "waited": waited, "steps": steps,
            "created": 0, "started": null, "ended": null,
        });
        serde_json::from_value(record).unwrap()
    }

    /// One that has held slots for so many seconds.
    fn run(idx: u64, attempt: u32, seconds: i64, slots: &[&str]) -> RunRecord {
        let slots: Vec<String> = slots.iter().map(ToString::to_string).collect();
        let end = RunEnd {
            exit: Exit::Stopped,
            started: Some(Timestamp(0)),
            ended: Timestamp(seconds * 1_000_000),
            slots: slots.clone(),
            stopped_by: None,
            message: String::new(),
            model: None,
            checkpoint: None,
        };
        RunRecord {
            id: RunId { experiment: ExperimentId(1), trial: TrialIdx(idx), attempt },
            executor_ref: String::new(),
            slots,
            start_from: None,
            started: end.started,
            end: Some(end),
        }
    }

    fn limits() -> Limits {
        let spec = json!({
            "parameters": [], "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
        });
        Limits::of_spec(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn each_at_the_pace_of_its_own_steps() {
        let trials = [
            // 2 of 10 steps in 20 s with two GPUs: 80 s are spared.
            trial(0, TrialState::EarlyStopped, 1, &[], 2),
            // 5 of 10 steps in 10 s and 15 s, the lost attempt between them none of it: 25 s.
            trial(1, TrialState::EarlyStopped, 3, &[1], 5),
            trial(2, TrialState::Succeeded, 1, &[], 10),
            // It may go on.
            trial(3, TrialState::Paused, 1, &[1], 2),
            trial(4, TrialState::EarlyStopped, 1, &[], 0),
            // It was told to stop and has come to its end all the same.
            trial(5, TrialState::EarlyStopped, 1, &[], 11),
        ];
        let runs = [
            run(0, 1, 20, &["gpu-0", "gpu-1"]),
            run(1, 1, 10, &["gpu-0"]),
            run(1, 2, 1000, &["gpu-0"]),
            run(1, 3, 15, &["gpu-0"]),
            run(2, 1, 100, &["gpu-0"]),
            run(3, 1, 20, &["gpu-0"]),
            run(4, 1, 20, &["gpu-0"]),
            run(5, 1, 20, &["gpu-0"]),
        ];
        let spared = spared(&limits(), 10, &trials, &runs);
        assert_eq!(spared, Spent { run_seconds: 105.0, gpu_seconds: 185.0, cost: 0.0 });
    }

    #[test]
    fn nothing_is_spared_where_nobody_was_stopped() {
        let trials = [trial(0, TrialState::Succeeded, 1, &[], 10)];
        assert_eq!(spared(&limits(), 10, &trials, &[run(0, 1, 9, &[])]), Spent::default());
    }
}
