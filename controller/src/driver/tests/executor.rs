//! An executor whose runs are made up: they begin, report and end when a story says so, and outlive every driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use controller_core::experiment::ExperimentId;
use controller_core::metrics::value::number;
use controller_core::ports::{Executor, ExecutorError, ObservationRow, Store};
use controller_core::report::Report;
use controller_core::run::{Checkpoint, Exit, Run, RunEnd, RunId, RunPhase, RunStatus};
use controller_core::spec::ExperimentSpec;
use controller_core::time::{Clock, Timestamp};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

use super::faults::Faults;

/// Rows that a run reports.
pub(super) const ROWS: u32 = 3;

/// What happens to a change that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is heard.
    Once,
    /// It is heard twice.
    Twice,
    /// It is lost.
    Never,
    /// It is heard after the next one.
    Late,
}

/// Runs as a story wants them.
pub(super) struct FakeExecutor {
    state: Mutex<State>,
    changes: broadcast::Sender<RunStatus>,
    /// Raised with every change of a run.
    news: watch::Sender<u64>,
    faults: Arc<Faults>,
    clock: Arc<dyn Clock>,
    /// Where runs report to.
    store: Arc<dyn Store>,
    /// Starts at which it panics.
    panics: AtomicU32,
}

#[derive(Default)]
struct State {
    /// Runs that are not forgotten.
    known: BTreeMap<RunId, Entry>,
    forgotten: BTreeSet<RunId>,
    /// How each change is told; empty: once.
    tellings: Vec<Telling>,
    told: usize,
    late: Option<RunStatus>,
    /// Starts that fail because something is not there yet.
    refuse: u32,
    /// Whether runs wait for a word of the story before they begin.
    tardy: bool,
    /// Whether runs report by the story's word alone, not all at their ends.
    told_rows: bool,
    /// Rows that runs have reported.
    rows: BTreeMap<RunId, u32>,
    /// Runs that leave no checkpoint though they should.
    forgetful: bool,
    /// Runs whose checkpoints are gone.
    let_go: BTreeSet<RunId>,
    most_alive: usize,
    wrongs: Vec<String>,
}

struct Entry {
    run: Run,
    phase: RunPhase,
    /// Whether it was told to stop.
    stopped: bool,
}

impl FakeExecutor {
    pub(super) fn new(faults: Arc<Faults>, clock: Arc<dyn Clock>, store: Arc<dyn Store>) -> Arc<Self> {
        let (changes, _) = broadcast::channel(1024);
        let news = watch::Sender::new(0);
        let (state, panics) = (Mutex::default(), AtomicU32::new(0));
        Arc::new(Self { state, changes, news, faults, clock, store, panics })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How changes are told from now on, one after the other and again from the start.
    pub(super) fn tell(&self, tellings: Vec<Telling>) {
        self.state().tellings = tellings;
    }

    /// Whether runs wait for a word of the story before they begin.
    pub(super) fn be_tardy(&self, tardy: bool) {
        self.state().tardy = tardy;
    }

    /// Runs report by the story's word alone.
    pub(super) fn report_when_told(&self) {
        self.state().told_rows = true;
    }

    /// Whether runs leave no checkpoint though they should.
    pub(super) fn be_forgetful(&self, forgetful: bool) {
        self.state().forgetful = forgetful;
    }

    /// How many rows a run has reported.
    pub(super) fn reported(&self, run: RunId) -> Option<u32> {
        self.state().rows.get(&run).copied()
    }

    /// A run reports at a step.
    pub(super) async fn report(&self, id: RunId, step: u32) {
        let Some(run) = self.state().known.get(&id).map(|entry| entry.run.clone()) else { return };
        let row = rows(&run).swap_remove(step as usize);
        self.store.append(&[(id, vec![row])]).await.unwrap();
        *self.state().rows.entry(id).or_default() += 1;
        self.news.send_modify(|n| *n += 1);
    }

    /// The next starts fail for now.
    pub(super) fn refuse(&self, n: u32) {
        self.state().refuse = n;
    }

    /// Somebody else begins a run, of the same kind as one that there is.
    pub(super) async fn begin_like(&self, other: RunId, id: RunId) {
        let run = self.state().known.get(&other).map(|entry| Run { id, ..entry.run.clone() });
        self.ensure(&run.unwrap()).await.unwrap();
    }

    /// It panics at the next starts.
    pub(super) fn panic(&self, n: u32) {
        self.panics.store(n, Ordering::SeqCst);
    }

    /// What was asked of it that never should be.
    pub(super) fn wrongs(&self) -> Vec<String> {
        self.state().wrongs.clone()
    }

    /// Most runs alive at once.
    pub(super) fn most_alive(&self) -> usize {
        self.state().most_alive
    }

    /// Runs ended and forgotten.
    pub(super) fn forgotten(&self) -> BTreeSet<RunId> {
        self.state().forgotten.clone()
    }

    /// Runs whose checkpoints are gone.
    pub(super) fn let_go(&self) -> BTreeSet<RunId> {
        self.state().let_go.clone()
    }

    /// Runs not forgotten.
    pub(super) fn known(&self) -> Vec<RunId> {
        self.state().known.keys().copied().collect()
    }

    /// What a run was begun with.
    pub(super) fn run(&self, run: RunId) -> Run {
        self.state().known[&run].run.clone()
    }

    /// Runs that have not ended, and whether each was told to stop.
    pub(super) fn alive(&self) -> Vec<(RunId, bool)> {
        let state = self.state();
        let alive = state.known.values().filter(|entry| !is_over(&entry.phase));
        alive.map(|entry| (entry.run.id, entry.stopped)).collect()
    }

    /// Returns when any run has changed since the last call with this receiver.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The processes of a run begin, if they have not.
    pub(super) fn begin(&self, run: RunId) {
        let waits = |entry: &Entry| matches!(entry.phase, RunPhase::Waiting { .. });
        if self.state().known.get(&run).is_some_and(waits) {
            self.change(run, running(self.clock.now()));
        }
    }

    /// A run reports all that it has to, and ends. One that has ended already stays so.
    pub(super) async fn end(&self, id: RunId, exit: Exit) {
        let Some(run) = self.state().known.get(&id).map(|entry| entry.run.clone()) else { return };
        if !self.state().told_rows {
            self.store.append(&[(id, rows(&run))]).await.unwrap();
            self.state().rows.insert(id, ROWS);
        }
        let mut started = None;
        if let Some(entry) = self.state().known.get(&id) {
            match entry.phase {
                RunPhase::Ended(_) => return,
                RunPhase::Running { since, .. } => started = Some(since),
                RunPhase::Waiting { .. } => {}
            }
        }
        let ended = self.clock.now();
        let slots = vec!["cpu-0".into()];
        let message = String::new();
        let seals = run.keep_checkpoint && matches!(exit, Exit::Stopped | Exit::Code { code: 0 });
        let left = seals && started.is_some() && !self.state().forgetful;
        let checkpoint = left.then(|| Checkpoint { run: id, digest: id.to_string(), bytes: 1 });
        let end = RunEnd { exit, started, ended, slots, stopped_by: None, message, model: None, checkpoint };
        self.change(id, RunPhase::Ended(end));
    }

    fn change(&self, run: RunId, phase: RunPhase) {
        let mut state = self.state();
        let Some(entry) = state.known.get_mut(&run) else { return };
        entry.phase = phase.clone();
        state.say(&self.changes, RunStatus { run, phase });
        drop(state);
        self.news.send_modify(|n| *n += 1);
    }
}

impl State {
    fn first_phase(&self, since: Timestamp) -> RunPhase {
        if self.tardy { RunPhase::Waiting { reason: "no slot is free".into() } } else { running(since) }
    }

    fn say(&mut self, changes: &broadcast::Sender<RunStatus>, status: RunStatus) {
        let telling = match self.tellings.len() {
            0 => Telling::Once,
            n => self.tellings[self.told % n],
        };
        self.told += 1;
        let late = self.late.take();
        let now = match telling {
            Telling::Once => vec![status],
            Telling::Twice => vec![status.clone(), status],
            Telling::Never => vec![],
            Telling::Late => {
                self.late = Some(status);
                vec![]
            }
        };
        for status in now.into_iter().chain(late) {
            // Nobody may be listening.
            changes.send(status).ok();
        }
    }
}

fn running(since: Timestamp) -> RunPhase {
    RunPhase::Running { since, slots: vec!["cpu-0".into()] }
}

fn is_over(phase: &RunPhase) -> bool {
    matches!(phase, RunPhase::Ended(_))
}

/// What a run reports: a parabola over its parameters that comes closer with each step.
pub(super) fn rows(run: &Run) -> Vec<ObservationRow> {
    let args = run.manifest["spec"]["args"].as_array().or_else(|| run.manifest["args"].as_array()).unwrap();
    // Of an architecture its ones count.
    let weight = |text: &str| text.parse().unwrap_or_else(|_| text.matches('1').count() as f64 / 10.0);
    let x: Vec<f64> = args.iter().map(|arg| weight(arg.as_str().unwrap())).collect();
    let loss: f64 = x.iter().map(|x| (x - 0.3).powi(2)).sum();
    let row = |nth| {
        let text = format!("{:?}", loss + f64::from(ROWS - 1 - nth));
        ObservationRow {
            source: "stdout".into(),
            offset: u64::from(nth) * 20,
            nth: 0,
            metric: "loss".into(),
            time: None,
            step: i64::from(nth),
            value: number(&text),
            text,
        }
    };
    (0..ROWS).map(row).collect()
}

#[async_trait]
impl Executor for FakeExecutor {
    fn keeps_checkpoints(&self, _: &ExperimentSpec) -> bool {
        true
    }

    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError> {
        self.faults.point().await;
        let left = self.panics.load(Ordering::SeqCst);
        if left > 0 {
            self.panics.store(left - 1, Ordering::SeqCst);
            panic!("a slip of the executor");
        }
        {
            let mut state = self.state();
            if state.refuse > 0 {
                state.refuse -= 1;
                return Err(ExecutorError::Unavailable("no place yet".into()));
            }
            if state.forgotten.contains(&run.id) {
                state.wrongs.push(format!("run {} is begun again", run.id));
            }
            if !state.known.contains_key(&run.id) {
                let gone =
                    run.start_from.as_ref().filter(|checkpoint| state.let_go.contains(&checkpoint.run));
                let wrong =
                    gone.map(|gone| format!("run {} is to begin from {}, which is gone", run.id, gone.run));
                state.wrongs.extend(wrong);
                let phase = state.first_phase(self.clock.now());
                state.known.insert(run.id, Entry { run: run.clone(), phase: phase.clone(), stopped: false });
                state.say(&self.changes, RunStatus { run: run.id, phase });
            }
            let alive = state.known.values().filter(|entry| !is_over(&entry.phase)).count();
            state.most_alive = state.most_alive.max(alive);
        }
        self.news.send_modify(|n| *n += 1);
        self.faults.point().await;
        Ok(())
    }

    async fn stop(&self, run: &RunId, _: Duration) -> Result<(), ExecutorError> {
        self.faults.point().await;
        let mut news = self.news();
        if let Some(entry) = self.state().known.get_mut(run) {
            entry.stopped = true;
        }
        self.news.send_modify(|n| *n += 1);
        while self.state().known.get(run).is_some_and(|entry| !is_over(&entry.phase)) {
            news.changed().await.map_err(|_| ExecutorError::Unavailable("gone".into()))?;
        }
        Ok(())
    }

    async fn list(&self, experiment: ExperimentId) -> Result<Vec<RunStatus>, ExecutorError> {
        let state = self.state();
        let status = |entry: &Entry| RunStatus { run: entry.run.id, phase: entry.phase.clone() };
        Ok(state.known.values().map(status).filter(|status| status.run.experiment == experiment).collect())
    }

    async fn owners(&self) -> Result<BTreeSet<ExperimentId>, ExecutorError> {
        Ok(self.state().known.keys().map(|run| run.experiment).collect())
    }

    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.faults.point().await;
        {
            let mut state = self.state();
            if let Some(entry) = state.known.remove(run) {
                if !is_over(&entry.phase) {
                    state.wrongs.push(format!("run {run} is forgotten before its end"));
                }
                state.forgotten.insert(*run);
            }
        }
        self.faults.point().await;
        Ok(())
    }

    async fn forget_checkpoint(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.faults.point().await;
        self.state().let_go.insert(*run);
        self.faults.point().await;
        Ok(())
    }

    fn logs(&self, _: &RunId, _: u64, _: bool) -> BoxStream<'static, Bytes> {
        futures::stream::empty().boxed()
    }

    fn watch(&self, _: ExperimentId) -> BoxStream<'static, RunStatus> {
        BroadcastStream::new(self.changes.subscribe()).filter_map(|change| async { change.ok() }).boxed()
    }

    async fn check(&self, _: &ExperimentSpec) -> Report {
        Report::default()
    }

    fn place(&self, _: &RunId) -> Option<String> {
        None
    }
}
