//! A world of a story's own: clock, store, executor, suggestion service, one experiment, and drivers that come and go.

use std::sync::Arc;
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentStatus};
use controller_core::ports::{Store as _, Wish};
use controller_core::run::{Exit, RunId};
use controller_core::time::{Clock, Timestamp};
use study::TrialIdx;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::executor::FakeExecutor;
use super::faults::Faults;
use super::search::Search;
use super::store::FaultyStore;
use crate::api::{Api, service};
use crate::artifacts::Artifacts;
use crate::driver::{DriverError, drive};
use crate::world::World;

/// Follows the paused time of the runtime.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000_000_000_000).plus(self.0.elapsed())
    }
}

/// What a story searches that searches architectures.
const NETWORK: &str = r#"nasConfig:
    graphConfig: {numLayers: 3, inputSizes: [8], outputSizes: [2]}
    operations:
      - operationType: convolution
        parameters:
          - {name: filter_size, parameterType: categorical, feasibleSpace: {list: ["1", "3", "5"]}}"#;

/// What an experiment of a story says beside what all of them do.
pub(super) struct Spec {
    pub(super) algorithm: &'static str,
    pub(super) parallel: u32,
    pub(super) trials: u32,
    /// More lines of `spec`.
    pub(super) more: String,
    pub(super) retries: u32,
    pub(super) goal: Option<f64>,
    /// Settings of the algorithm as YAML.
    pub(super) settings: Option<&'static str>,
}

impl Spec {
    pub(super) fn of(algorithm: &'static str, parallel: u32, trials: u32) -> Self {
        Self { algorithm, parallel, trials, more: String::new(), retries: 0, goal: None, settings: None }
    }

    pub(super) fn yaml(&self) -> String {
        // A small space for what looks at its size.
        let step = if self.algorithm == "auto" { ", step: \"1.5\"" } else { "" };
        let settings = match self.algorithm {
            "enas" => {
                "[{name: controller_hidden_size, value: '8'}, {name: controller_train_steps, value: '2'}]"
            }
            "tpe" => "[{name: n_startup_trials, value: '3'}]",
            "bayesianoptimization" => "[{name: n_initial_points, value: '3'}]",
            _ => "[]",
        };
        let settings = self.settings.unwrap_or(settings);
        let goal = self.goal.map(|goal| format!(", goal: {goal}")).unwrap_or_default();
        let references =
            if self.algorithm == "enas" { ["architecture", "nn_config"] } else { ["left", "right"] };
        let [left, right] = references;
        let space = if self.algorithm == "enas" {
            NETWORK.to_owned()
        } else {
            let bounds = format!(r#"min: "-1", max: "2"{step}"#);
            format!(
                "parameters:
    - {{name: left, parameterType: double, feasibleSpace: {{{bounds}}}}}
    - {{name: right, parameterType: double, feasibleSpace: {{{bounds}}}}}"
            )
        };
        let Self { algorithm, parallel, trials, more, retries, .. } = self;
        format!(
            r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: story}}
spec:
  seed: 11
  objective: {{type: minimize, objectiveMetricName: loss{goal}}}
  algorithm: {{algorithmName: {algorithm}, algorithmSettings: {settings}}}
  {space}
  parallelTrialCount: {parallel}
  maxTrialCount: {trials}
  {more}
  trialTemplate:
    trialParameters: [{{name: left, reference: {left}}}, {{name: right, reference: {right}}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [train]
      args: ["${{trialParameters.left}}", "${{trialParameters.right}}"]
      retries: {retries}
"#
        )
    }
}

/// Everything there is in a story.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) store: Arc<FaultyStore>,
    pub(super) executor: Arc<FakeExecutor>,
    pub(super) faults: Arc<Faults>,
    pub(super) search: Search,
    pub(super) id: ExperimentId,
}

impl Story {
    /// A world with this experiment, submitted through the same door as everybody's.
    pub(super) async fn of(spec: &Spec) -> Self {
        let faults = Faults::new();
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock(Instant::now()));
        let store = FaultyStore::open(Arc::clone(&faults)).await;
        let executor = FakeExecutor::new(Arc::clone(&faults), Arc::clone(&clock), store.clone());
        let search = Search::default();
        search.up().await;
        let artifacts = Artifacts::new(std::path::Path::new("none"), None, false);
        let world = World {
            store: store.clone(),
            promotions: Arc::clone(&store.promotions),
            outbox: Arc::clone(&store.outbox),
            schedules: Arc::clone(&store.schedules),
            models: Arc::new(artifacts.clone()),
            executor: executor.clone(),
            search: search.line(),
            artifacts,
            wall: Arc::clone(&clock),
            clock,
            meters: Arc::default(),
            wake: Arc::new(Notify::new()),
            wished: Arc::default(),
            cluster: String::new(),
            home: crate::router::Home::new(std::path::Path::new("no-router"), None),
            holder: "story".into(),
        };
        service::submit(&api_of(&world), &spec.yaml(), "default", None).await.unwrap();
        let id = store.experiment("default", "story").await.unwrap().unwrap().id;
        Self { world, store, executor, faults, search, id }
    }

    /// The API of this world.
    pub(super) fn api(&self) -> Api {
        api_of(&self.world)
    }

    /// Somebody wishes something.
    pub(super) async fn wish(&self, wish: Wish) {
        self.store.wish(self.id, &wish, self.world.clock.now()).await.unwrap();
        self.world.wake.notify_waiters();
    }

    pub(super) async fn status(&self) -> ExperimentStatus {
        self.store.status(self.id).await.unwrap()
    }

    /// Drives until the driver has nothing more to do (`Some`) or is broken off (`None`), while something else goes on.
    pub(super) async fn drive_while(
        &self,
        life: impl Future<Output = ()>,
    ) -> Option<Result<ExperimentStatus, DriverError>> {
        let life = async {
            life.await;
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = Box::pin(drive(&self.world, self.id)) => Some(outcome),
            () = self.faults.reached() => None,
            () = life => unreachable!(),
        };
        self.store.free_leases().await;
        outcome
    }

    /// Drives to the end of the experiment, or until it is held, while something else goes on; then checks everything.
    pub(super) async fn drive_to_rest(&self, life: impl Future<Output = ()>) -> ExperimentStatus {
        let status = self.drive_while(life).await.unwrap().unwrap();
        self.audit().await;
        status
    }

    /// A driver that is broken off once something has happened.
    pub(super) async fn drive_until(&self, life: impl Future<Output = ()>) {
        tokio::select! {
            _ = Box::pin(drive(&self.world, self.id)) => panic!("nothing more was to be done"),
            () = life => {}
        }
        self.store.free_leases().await;
    }

    /// Waits until so many runs are alive, and returns them.
    pub(super) async fn alive(&self, n: usize) -> Vec<RunId> {
        let mut news = self.executor.news();
        loop {
            let alive = self.executor.alive();
            if alive.len() == n {
                return alive.into_iter().map(|(run, _)| run).collect();
            }
            news.changed().await.unwrap();
        }
    }

    /// Waits until so many runs are told to stop; they do.
    pub(super) async fn stopped(&self, n: usize) {
        let mut news = self.executor.news();
        let told = || self.executor.alive().into_iter().filter(|(_, told)| *told).map(|(run, _)| run);
        while told().count() < n {
            news.changed().await.unwrap();
        }
        for run in told().collect::<Vec<_>>() {
            self.executor.end(run, Exit::Stopped).await;
        }
    }

    /// All that comes ends well, a second after it has begun, one after the other.
    pub(super) async fn all_end_well(&self) {
        let mut news = self.executor.news();
        loop {
            match self.executor.alive().first() {
                Some((run, _)) => {
                    tokio::time::sleep(PACE).await;
                    self.executor.end(*run, WELL).await;
                }
                None => news.changed().await.unwrap(),
            }
        }
    }
}

fn api_of(world: &World) -> Api {
    Api {
        world: world.clone(),
        runs: "/nowhere".into(),
        watches: crate::api::service::PushWatches::default(),
    }
}

/// In which order trials end, and how: a second after each other, in blocks of as many as run at once.
pub(super) struct Fate {
    order: Vec<TrialIdx>,
    done: usize,
    exit: fn(TrialIdx, u32) -> Exit,
}

/// How a run ends that ends well.
pub(super) const WELL: Exit = Exit::Code { code: 0 };
/// Between two ends.
const PACE: Duration = Duration::from_secs(1);

impl Fate {
    /// Every block of trials ends last to first but for its first two, so that neither order nor its reverse would do.
    pub(super) fn new(parallel: u32, trials: u32, exit: fn(TrialIdx, u32) -> Exit) -> Self {
        let all: Vec<TrialIdx> = (0..u64::from(trials)).map(TrialIdx).collect();
        let mut order = Vec::new();
        for block in all.chunks(parallel as usize) {
            let mut block = block.to_vec();
            block.reverse();
            if block.len() > 2 {
                block.rotate_right(1);
            }
            order.extend(block);
        }
        Self { order, done: 0, exit }
    }

    /// Ends one after the other, each once it runs.
    pub(super) async fn go_on(&mut self, story: &Story) {
        let mut news = story.executor.news();
        while self.done < self.order.len() {
            if self.next(story).is_some() {
                tokio::time::sleep(PACE).await;
                self.end_next(story).await;
            } else {
                news.changed().await.unwrap();
            }
        }
    }

    /// Ends at once all that run and are next.
    pub(super) async fn rush(&mut self, story: &Story) {
        while self.next(story).is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.end_next(story).await;
        }
    }

    fn next(&self, story: &Story) -> Option<RunId> {
        let trial = self.order.get(self.done)?;
        story.executor.alive().into_iter().map(|(run, _)| run).find(|run| run.trial == *trial)
    }

    async fn end_next(&mut self, story: &Story) {
        let Some(run) = self.next(story) else { return };
        let exit = (self.exit)(run.trial, run.attempt);
        let again = matches!(exit, Exit::Lost { .. });
        story.executor.end(run, exit).await;
        if !again {
            self.done += 1;
        }
    }
}
