//! Plans from random snapshots: those that a random walk through runs, wishes and answers comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use study::{Assignment, Decision, Suggestion, TrialIdx, Value, Verdict};

use super::{
    Action, Answer, Effect, Fate, Found, FoundEnd, FoundTrial, KeptCheckpoints, KeptModels, Limits, Measured,
    Points, Recovered, Reports, RunView, Snapshot, effects, judge, plan,
};
use crate::experiment::{Counters, ExperimentId, ExperimentRecord, ExperimentStatus, Hold};
use crate::ports::{Batch, StoredWish, Wish};
use crate::run::{Checkpoint, Exit, RunEnd, RunId};
use crate::spec::ParameterSpec;
use crate::time::Timestamp;
use crate::trial::{MetricSummary, TrialState};

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
    /// A scheduler that has seen everything wants this for a trial.
    Decided(usize, Verdict),
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

/// What a run has left for others to go on from.
fn checkpoint() -> Checkpoint {
    let run = RunId { experiment: ExperimentId(1), trial: TrialIdx(7), attempt: 3 };
    Checkpoint { run, digest: "d".into(), bytes: 1 }
}

/// The one parameter.
fn x(max: &str) -> ParameterSpec {
    let x = json!({"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": max}});
    serde_json::from_value(x).unwrap()
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let all = [Verdict::Continue, Verdict::Pause, Verdict::Pause, Verdict::Stop, Verdict::Resume];
    proptest::sample::select(all.to_vec())
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
        4 => (pick(), verdicts()).prop_map(|(trial, verdict)| Step::Decided(trial, verdict)),
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
        decisions: Vec::new(),
        decided_at: None,
        watch: None,
        reports: BTreeMap::new(),
        keeps_checkpoints: false,
        parents: BTreeMap::new(),
        wishes: Vec::new(),
        repeats: BTreeMap::new(),
        models: KeptModels::default(),
        removed: Vec::new(),
        checkpoints: KeptCheckpoints::default(),
        let_go: Vec::new(),
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
                self.snapshot.decisions.clear();
            }
            Step::Decided(n, verdict) => {
                let trial = self.snapshot.active.keys().copied().nth(n);
                let decision = |trial| Decision { trial, verdict, reason: "of its rank".into() };
                self.snapshot.decisions = trial.into_iter().map(decision).collect();
                self.snapshot.decided_at = Some(self.snapshot.status.last_seq);
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
            checkpoint: (value < 0.8).then(checkpoint),
        };
        Measured {
            end,
            observation: Vec::new(),
            objectives: vec![value],
            available: true,
            curve: Vec::new(),
            steps: 3,
        }
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
        for trial in self.snapshot.active.values() {
            assert!(!trial.state.is_final());
            let waits = trial.state == TrialState::Paused;
            assert!(!waits || self.snapshot.runs[&trial.idx] == RunView::Unborn, "its place is free");
        }
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

/// A walk of two trials at once that has got so far that all run.
fn running(trials: i32) -> Walk {
    let snapshot = snapshot(trials, 2, None, 1);
    let mut walk = Walk { now: Timestamp(0), snapshot, ended: BTreeSet::new(), wish_no: 0 };
    walk.plan();
    for step in [Step::Answered(0), Step::Ensured(0), Step::Ensured(0), Step::Begun(0), Step::Begun(0)] {
        walk.step(step);
        walk.plan();
    }
    walk
}

impl Walk {
    /// The scheduler, having seen everything, wants this.
    fn decided(&mut self, decisions: &[(u64, Verdict)]) {
        let decision = |(trial, verdict): &(u64, Verdict)| Decision {
            trial: TrialIdx(*trial),
            verdict: *verdict,
            reason: "of its rank".into(),
        };
        self.snapshot.decisions = decisions.iter().map(decision).collect();
        self.snapshot.decided_at = Some(self.snapshot.status.last_seq);
        self.plan();
    }

    /// A run is gone, as it was told to; with a checkpoint or without.
    fn gone(&mut self, trial: u64, checkpoint: bool) {
        let trial = TrialIdx(trial);
        let run = self.snapshot.run_id(&self.snapshot.active[&trial]);
        assert!(effects(&self.snapshot).contains(&Effect::Stop(run)), "its run is to go");
        let mut measured = self.measured(Exit::Stopped, 0.25);
        measured.end.checkpoint = checkpoint.then(|| Checkpoint { run, ..self::checkpoint() });
        self.snapshot.runs.insert(trial, RunView::Ended(measured));
        self.plan();
    }

    fn state(&self, trial: u64) -> Option<TrialState> {
        self.snapshot.active.get(&TrialIdx(trial)).map(|trial| trial.state)
    }
}

#[test]
fn a_paused_trial_frees_its_place_and_goes_on_from_its_checkpoint_before_new_ones_begin() {
    let mut walk = running(9);
    walk.decided(&[(0, Verdict::Pause)]);
    assert_eq!(walk.state(0), Some(TrialState::Running), "until its run is gone");
    walk.gone(0, true);
    assert_eq!(walk.state(0), Some(TrialState::Paused));
    assert_eq!(walk.snapshot.asks, [], "the scheduler has not seen the pause yet");
    walk.decided(&[(0, Verdict::Resume)]);
    assert_eq!(walk.state(0), Some(TrialState::Pending));
    let trial = &walk.snapshot.active[&TrialIdx(0)];
    let first = RunId { attempt: 1, ..walk.snapshot.run_id(trial) };
    assert_eq!((trial.attempt, walk.snapshot.start_from(trial).unwrap().run), (2, first));
    walk.decided(&[]);
    assert_eq!(walk.snapshot.asks, [], "both places are taken");
}

#[test]
fn without_a_checkpoint_a_trial_ends_instead_of_waiting_and_that_is_said() {
    let mut walk = running(9);
    walk.decided(&[(1, Verdict::Pause)]);
    walk.snapshot.active.get_mut(&TrialIdx(0)).unwrap().message.clear();
    let mut measured = walk.measured(Exit::Stopped, 0.25);
    measured.end.checkpoint = None;
    let Fate::End { message, event, .. } =
        judge(&walk.snapshot, &walk.snapshot.active[&TrialIdx(1)], &measured)
    else {
        panic!("it ends")
    };
    assert_eq!(event, crate::trial::TrialEvent::Stopped);
    assert!(message.contains("of its rank; it left nothing in CAIRN_CHECKPOINT_DIR"), "{message}");
    walk.gone(1, false);
    assert_eq!((walk.state(1), walk.snapshot.status.counters.early_stopped), (None, 1));
}

#[test]
fn a_trial_that_ends_while_it_is_to_wait_has_ended() {
    let mut walk = running(9);
    walk.decided(&[(0, Verdict::Pause)]);
    let measured = walk.measured(Exit::Code { code: 0 }, 0.25);
    walk.snapshot.runs.insert(TrialIdx(0), RunView::Ended(measured));
    walk.plan();
    assert_eq!((walk.state(0), walk.snapshot.status.counters.succeeded), (None, 1));
}

#[test]
fn who_waits_can_be_stopped_with_what_it_reached() {
    let mut walk = running(9);
    walk.decided(&[(0, Verdict::Pause)]);
    walk.gone(0, true);
    walk.decided(&[(0, Verdict::Stop)]);
    assert_eq!((walk.state(0), walk.snapshot.status.counters.early_stopped), (None, 1));
    assert_eq!(walk.snapshot.status.best.as_ref().unwrap().value, Some(0.25));
}

#[test]
fn when_nothing_more_comes_those_that_wait_end() {
    let mut walk = running(2);
    walk.decided(&[(0, Verdict::Pause), (1, Verdict::Pause)]);
    walk.gone(0, true);
    walk.decided(&[(1, Verdict::Pause)]);
    walk.gone(1, true);
    assert_eq!(walk.snapshot.waiting().count(), 2, "the scheduler may want one to go on");
    walk.decided(&[]);
    assert_eq!(walk.snapshot.status.counters.early_stopped, 2);
    assert!(walk.snapshot.status.is_completed());
}

#[test]
fn a_copy_begins_from_the_last_run_of_its_parent() {
    let mut walk = running(9);
    let trial = walk.snapshot.active.get_mut(&TrialIdx(0)).unwrap();
    trial.suggestion = std::mem::take(&mut trial.suggestion).with_checkpoint_of(TrialIdx(7));
    let trial = trial.clone();
    assert_eq!(walk.snapshot.start_from(&trial), None, "of another it is not known yet");
    walk.snapshot.parents.insert(TrialIdx(7), Some(checkpoint()));
    assert_eq!(walk.snapshot.start_from(&trial), Some(&checkpoint()));
    walk.snapshot.parents.insert(TrialIdx(7), None);
    assert_eq!(walk.snapshot.start_from(&trial), None, "it has left none");
}

#[test]
fn who_cannot_go_on_ends_with_what_it_had_reached() {
    let mut walk = running(9);
    walk.decided(&[(0, Verdict::Pause)]);
    walk.gone(0, true);
    walk.decided(&[(0, Verdict::Resume)]);
    let refused = Exit::NotStarted { reason: "its checkpoint is damaged".into() };
    walk.decided(&[]);
    walk.snapshot.runs.insert(TrialIdx(0), RunView::Ended(walk.measured(refused, 0.25)));
    walk.plan();
    let counters = walk.snapshot.status.counters;
    assert_eq!((walk.state(0), counters.early_stopped, counters.failed), (None, 1, 0));
}

/// What a scheduler is to hear is in the record once, however often it is read, and nothing more is taken in until it has
/// been heard.
#[test]
fn reports_are_taken_in_once_and_heard_before_anything_else() {
    let mut walk = running(9);
    walk.decided(&[]);
    let report = |walk: &mut Walk, steps: &[u64]| {
        let curve: study::Curve = steps.iter().map(|step| (*step, vec![0.5])).collect();
        let rows = curve.len() as u64;
        walk.snapshot.reports.insert(TrialIdx(0), Reports { curve, rows });
        let before = walk.snapshot.status.last_seq;
        walk.plan();
        walk.snapshot.status.last_seq - before
    };
    assert_eq!(report(&mut walk, &[1, 3]), 1);
    assert_eq!(walk.snapshot.active[&TrialIdx(0)].reached, Some(3));
    walk.snapshot.runs.insert(TrialIdx(1), RunView::Ended(walk.measured(Exit::Code { code: 0 }, 0.25)));
    walk.plan();
    assert_eq!(walk.state(1), Some(TrialState::Running), "the report comes first");
    assert_eq!(report(&mut walk, &[1, 3]), 0, "nor is anything else taken in");
    walk.decided(&[]);
    assert_eq!(walk.state(1), None);
    walk.decided(&[]);
    assert_eq!(walk.snapshot.active[&TrialIdx(0)].reached, Some(3), "what was read again was known");
}

/// What a cluster would show of a walk's trials, were `n` of them there.
fn shown(n: u64) -> Found {
    let end = |state, at| FoundEnd { state, reason: "R".into(), message: "m".into(), at: Timestamp(at) };
    let trial = |idx: u64| FoundTrial {
        assignments: vec![("x".into(), format!("0.{}", idx + 1))],
        attempt: 1,
        created: Timestamp(idx as i64),
        observation: vec![MetricSummary {
            name: "loss".into(),
            min: format!("0.{}", 9 - idx),
            max: "1".into(),
            latest: "1".into(),
        }],
        end: (idx + 1 < n).then(|| end(TrialState::Succeeded, 10 + idx as i64)),
    };
    Found { trials: (0..n).map(|idx| (TrialIdx(idx), trial(idx))).collect(), end: None }
}

fn defaulted(trials: i32) -> Snapshot {
    let mut snapshot = snapshot(trials, 2, None, 1);
    crate::defaults::apply(&mut snapshot.record.spec, &mut crate::report::Report::default());
    snapshot
}

#[test]
fn what_is_found_of_lost_records_is_taken_over_once() {
    let mut snapshot = defaulted(9);
    let mut batch = Batch::default();
    let taken = snapshot.recover(Timestamp(50), &shown(4), &mut batch);
    assert_eq!(taken, Recovered { trials: 4, ends: 3, lost: 0 });
    assert_eq!((snapshot.status.counters.succeeded, snapshot.status.counters.pending), (3, 1));
    let best = snapshot.status.best.as_ref().unwrap();
    assert_eq!((best.idx, best.value), (TrialIdx(2), Some(0.7)));
    // The one that goes on does so as the attempt that it is.
    assert_eq!(snapshot.active[&TrialIdx(3)].attempt, 1);
    assert_eq!(snapshot.runs[&TrialIdx(3)], RunView::Intended);
    let seqs: Vec<u64> = batch.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "a log without gaps");

    let mut again = Batch::default();
    assert_eq!(snapshot.recover(Timestamp(60), &shown(4), &mut again), Recovered::default());
    assert_eq!(again, Batch::default());
}

#[test]
fn behind_a_gap_nothing_can_be_taken_over() {
    let mut snapshot = defaulted(9);
    let mut found = shown(5);
    found.trials.remove(&TrialIdx(2));
    let taken = snapshot.recover(Timestamp(50), &found, &mut Batch::default());
    assert_eq!(taken, Recovered { trials: 2, ends: 2, lost: 2 });
    assert_eq!(snapshot.status.counters.total(), 2);
}

#[test]
fn an_experiment_that_has_ended_is_not_run_again() {
    let mut snapshot = defaulted(3);
    let end = FoundEnd {
        state: TrialState::Succeeded,
        reason: "ExperimentMaxTrialsReached".into(),
        message: "all done".into(),
        at: Timestamp(40),
    };
    let found = Found { end: Some(end), ..shown(3) };
    snapshot.recover(Timestamp(50), &found, &mut Batch::default());
    assert!(snapshot.status.is_completed());
    assert_eq!(snapshot.status.completed, Some(Timestamp(40)));
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
            Fate::Requeue { reason, .. } | Fate::Pause { reason } => panic!("{reason}"),
        }
    };
    let said = fate("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    let wanted = "Trial has failed. Job message: Job has reached the specified backoff limit";
    assert_eq!(said, ("TrialFailed. Job reason: BackoffLimitExceeded".into(), wanted.into()));
    assert_eq!(fate("", ""), ("TrialFailed".into(), "Trial has failed".into()));
}
