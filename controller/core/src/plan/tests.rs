//! Plans from random snapshots: those that a random walk through runs, wishes and answers comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use study::{Assignment, Suggestion, TrialIdx, Value};

use super::{
    Action, Answer, Effect, Fate, Limits, Measured, Points, RunView, Snapshot, effects, judge, plan,
};
use crate::experiment::{Counters, ExperimentId, ExperimentRecord, ExperimentStatus, Hold};
use crate::ports::{Batch, StoredWish, Wish};
use crate::run::{Exit, RunEnd};
use crate::spec::ParameterSpec;
use crate::time::Timestamp;
use crate::trial::TrialState;

/// More actions than any one moment asks for.
const ENOUGH: usize = 500;

/// Something that happens. Numbers pick one of whatever there is.
#[derive(Clone, Debug)]
enum Step {
    /// A run exists.
    Ensured(usize),
    /// A run begins.
    Begun(usize),
    /// A run ends, with this value if well.
    Ended(usize, Exit, f64),
    /// The oldest question is answered with so many points fewer than asked.
    Answered(usize),
    /// Somebody wishes something.
    Wished(Wish),
    /// The executor forgets what has ended.
    Forgotten,
    /// A driver begins anew, with what is stored.
    Loaded,
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![
        4 => Just(Exit::Code { code: 0 }),
        1 => Just(Exit::Code { code: 1 }),
        1 => Just(Exit::Stopped),
        1 => Just(Exit::Lost { reason: "gone".into() }),
        1 => Just(Exit::TimedOut { seconds: 1 }),
        1 => Just(Exit::Failed { reason: "BackoffLimitExceeded".into(), message: "no more".into() }),
    ]
}

fn wishes() -> impl Strategy<Value = Wish> {
    let edit = |trials: Option<i32>, parallel: Option<i32>| Wish::Edit {
        max_trial_count: trials,
        parallel_trial_count: parallel,
        max_failed_trial_count: None,
        max_duration: None,
        max_gpu_hours: None,
        max_cost: None,
    };
    let space = |max: &str| Wish::EditSpace {
        parameters: vec![x(max)],
        parameter_constraints: Vec::new(),
        queued_points: Vec::new(),
        trial_template: None,
    };
    prop_oneof![
        // What was queued, and what is to be repeated, may come to lie outside.
        Just(space("0.4")),
        Just(space("1")),
        any::<bool>().prop_map(|now| Wish::Stop { now }),
        Just(Wish::Lift { budgets: vec!["maxTrialCount".into(), "maxFailedTrialCount".into()] }),
        Just(Wish::Resume),
        Just(Wish::Resume),
        (1..12).prop_map(move |n| edit(Some(n), None)),
        (1..5).prop_map(move |n| edit(None, Some(n))),
        Just(Wish::Enqueue { assignments: vec![("x".into(), "0.5".into())] }),
        (0_u64..6).prop_map(|n| Wish::StopTrial { trial: TrialIdx(n) }),
        (0_u64..6).prop_map(|n| Wish::RetryTrial { trial: TrialIdx(n) }),
    ]
}

/// The one parameter.
fn x(max: &str) -> ParameterSpec {
    let x = json!({"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": max}});
    serde_json::from_value(x).unwrap()
}

fn steps() -> impl Strategy<Value = Step> {
    let pick = || 0..4_usize;
    prop_oneof![
        4 => pick().prop_map(Step::Ensured),
        4 => pick().prop_map(Step::Begun),
        4 => (pick(), exits(), 0.0..1.0).prop_map(|(run, exit, value)| Step::Ended(run, exit, value)),
        4 => prop_oneof![9 => Just(0_usize), 1 => Just(1)].prop_map(Step::Answered),
        2 => wishes().prop_map(Step::Wished),
        2 => Just(Step::Forgotten),
        1 => Just(Step::Loaded),
    ]
}

fn snapshot(trials: i32, parallel: i32, failed: Option<i32>, repeats: i32) -> Snapshot {
    let spec = serde_json::from_value(json!({
        "parameters": [x("1")],
        "objective": {"type": "minimize", "objectiveMetricName": "loss", "goal": 0.05},
        "algorithm": {"algorithmName": "random"},
        "maxTrialCount": trials, "parallelTrialCount": parallel, "maxFailedTrialCount": failed,
        "repeats": repeats,
    }));
    let record = ExperimentRecord {
        id: ExperimentId(1),
        uid: "uid".into(),
        cluster: String::new(),
        namespace: "default".into(),
        name: "walk".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: spec.unwrap(),
        spec_digest: String::new(),
        seed: 1,
        base_dir: None,
        created: Timestamp(0),
        earlier: Vec::new(),
    };
    let (study, _) = crate::study::of_spec(&record.spec, &record.name, record.seed);
    Snapshot {
        limits: Limits::of_spec(&record.spec),
        record,
        study: study.unwrap(),
        status: ExperimentStatus::default(),
        active: BTreeMap::new(),
        runs: BTreeMap::new(),
        asks: Vec::new(),
        points: Arc::new(Points::new(repeats as u32)),
        exhausted: false,
        wishes: Vec::new(),
        repeats: BTreeMap::new(),
        finished: Vec::new(),
    }
}

/// A snapshot on its way, and what the store would hold of it.
struct Walk {
    now: Timestamp,
    snapshot: Snapshot,
    ended: BTreeSet<TrialIdx>,
    wish_no: i64,
}

impl Walk {
    /// The nth run with a view like this, if there is one.
    fn nth(&self, n: usize, like: fn(&RunView) -> bool) -> Option<TrialIdx> {
        self.snapshot.runs.iter().filter(|(_, view)| like(view)).map(|(trial, _)| *trial).nth(n)
    }

    fn step(&mut self, step: Step) {
        let alive = |view: &RunView| matches!(view, RunView::Waiting { .. } | RunView::Running { .. });
        self.now = self.now.plus(std::time::Duration::from_secs(1));
        match step {
            Step::Ensured(n) => {
                if let Some(trial) = self.nth(n, |view| *view == RunView::Intended) {
                    self.snapshot.runs.insert(trial, RunView::Waiting { reason: "starting".into() });
                }
            }
            Step::Begun(n) => {
                if let Some(trial) = self.nth(n, |view| matches!(view, RunView::Waiting { .. })) {
                    let view = RunView::Running { since: self.now, slots: vec!["cpu-0".into()] };
                    self.snapshot.runs.insert(trial, view);
                }
            }
            Step::Ended(n, exit, value) => {
                if let Some(trial) = self.nth(n, alive) {
                    self.snapshot.runs.insert(trial, RunView::Ended(self.measured(exit, value)));
                }
            }
            Step::Answered(fewer) => self.answer(fewer),
            Step::Wished(wish) => {
                self.wish_no += 1;
                self.snapshot.wishes.push(StoredWish { wish_no: self.wish_no, at: self.now, wish });
                let point = vec![("x".to_owned(), "0.25".to_owned())];
                self.snapshot.repeats = (0..6).map(|n| (TrialIdx(n), point.clone())).collect();
            }
            Step::Forgotten => self.snapshot.finished.clear(),
            Step::Loaded => {
                for view in self.snapshot.runs.values_mut().filter(|view| **view != RunView::Unborn) {
                    *view = RunView::Intended;
                }
                self.snapshot.finished.clear();
                self.snapshot.exhausted = false;
            }
        }
    }

    fn measured(&self, exit: Exit, value: f64) -> Measured {
        let end = RunEnd {
            exit,
            started: Some(self.now),
            ended: self.now,
            slots: Vec::new(),
            stopped_by: None,
            message: String::new(),
            model: None,
        };
        Measured { end, observation: Vec::new(), objectives: vec![value], available: true, curve: Vec::new() }
    }

    fn answer(&mut self, fewer: usize) {
        let ask = effects(&self.snapshot).into_iter().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask),
            _ => None,
        });
        let Some(ask) = ask else { return };
        let point =
            Suggestion { assignment: Assignment(vec![Some(Value::Float(0.5))]), ..Default::default() };
        let mut batch = Batch::default();
        let n = (ask.n as usize).saturating_sub(fewer);
        assert_eq!(ask.first_idx.0, self.snapshot.status.counters.total(), "numbers are as asked for");
        let suggestions = vec![point; n];
        let answer = Answer { exhausted: n < ask.n as usize, suggestions, rules: vec![], settings: vec![] };
        self.snapshot.answer(self.now, ask, answer, &mut batch);
        self.look_over(&batch);
    }

    /// Plans until nothing comes, and looks at everything planned.
    fn plan(&mut self) {
        let before = self.begun();
        for _ in 0..ENOUGH {
            let actions = plan(self.now, &self.snapshot);
            if actions.is_empty() || actions == [Action::Delete] {
                let begun: Vec<_> = self.begun().difference(&before).copied().collect();
                self.look_at_budgets(&begun);
                return;
            }
            let mut batch = Batch::default();
            for action in actions {
                let asked = matches!(action, Action::Ask(_));
                self.snapshot.apply(self.now, action, &mut batch);
                assert!(
                    !asked || batch.asks.iter().all(|ask| ask.history_seq <= self.snapshot.status.last_seq)
                );
            }
            self.look_over(&batch);
        }
        panic!("there is no end to this plan");
    }

    fn begun(&self) -> BTreeSet<(TrialIdx, u32)> {
        let runs = self.snapshot.runs.iter().filter(|(_, view)| **view != RunView::Unborn);
        runs.map(|(trial, _)| (*trial, self.snapshot.active[trial].attempt)).collect()
    }

    fn look_at_budgets(&self, new: &[(TrialIdx, u32)]) {
        if new.is_empty() {
            return;
        }
        let (begun, ended) = (self.begun().len() as u64, self.snapshot.status.counters.ended());
        assert!(begun <= self.snapshot.limits.parallel, "{begun} at once");
        assert!(
            self.snapshot.limits.max_trials.is_none_or(|max| begun + ended <= max),
            "{begun} and {ended}"
        );
        assert_eq!(self.snapshot.status.hold, Hold::Free);
        assert!(!self.snapshot.status.is_completed());
    }

    fn look_over(&mut self, batch: &Batch) {
        for trial in &batch.trials {
            assert!(!self.ended.contains(&trial.idx), "trial {} has ended", trial.idx.0);
        }
        self.ended.extend(batch.trials.iter().filter(|trial| trial.state.is_final()).map(|trial| trial.idx));
        let status = &self.snapshot.status;
        let (first, n) = (status.last_seq + 1 - batch.events.len() as u64, batch.events.len());
        assert!(batch.events.iter().map(|stored| stored.seq).eq(first..first + n as u64), "no gaps");
        let mut counted = Counters::default();
        for trial in self.snapshot.active.values() {
            *counted.of(trial.state) += 1;
        }
        assert_eq!((counted.pending, counted.running), (status.counters.pending, status.counters.running));
        assert_eq!(status.counters.ended(), self.ended.len() as u64);
        let states = self.snapshot.active.values().map(|trial| trial.state);
        assert!(states.into_iter().all(|state| matches!(state, TrialState::Pending | TrialState::Running)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_budgets_hold_and_what_has_ended_stays_so(
        trials in 1..10,
        parallel in 1..5,
        failed in proptest::option::of(1..4),
        repeats in 1..4,
        steps in proptest::collection::vec(steps(), 0..120),
    ) {
        let snapshot = snapshot(trials, parallel, failed, repeats);
        let mut walk = Walk { now: Timestamp(0), snapshot, ended: BTreeSet::new(), wish_no: 0 };
        walk.plan();
        for step in steps {
            walk.step(step);
            walk.plan();
        }
    }
}

#[test]
fn what_has_had_its_retries_elsewhere_fails_for_good_and_says_why() {
    let snapshot = snapshot(4, 1, None, 1);
    let mut walk = Walk { now: Timestamp(0), snapshot, ended: BTreeSet::new(), wish_no: 0 };
    walk.plan();
    walk.answer(0);
    walk.snapshot.limits.retries = 3;
    let trial = walk.snapshot.active.values().next().unwrap();
    let fate = |reason: &str, message: &str| {
        let exit = Exit::Failed { reason: reason.into(), message: message.into() };
        match judge(&walk.snapshot, trial, &walk.measured(exit, 0.0)) {
            Fate::End { reason, message, .. } => (reason, message),
            Fate::Requeue { reason, .. } => panic!("{reason}"),
        }
    };
    let said = fate("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    let wanted = "Trial has failed. Job message: Job has reached the specified backoff limit";
    assert_eq!(said, ("TrialFailed. Job reason: BackoffLimitExceeded".into(), wanted.into()));
    assert_eq!(fate("", ""), ("TrialFailed".into(), "Trial has failed".into()));
}
