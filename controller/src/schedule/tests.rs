//! Crashes between any two steps, over a real store.

use controller_core::experiment::ExperimentRecord;
use controller_core::schedule::Cause;
use controller_kube::inject::Settings;

use super::*;
use crate::Engine;
use crate::api::Api;
use crate::api::service;
use crate::config::Config;

const TEMPLATE: &str = r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: again}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: random}
  parameters: [{name: lr, parameterType: double, feasibleSpace: {min: "0", max: "1"}}]
  maxTrialCount: 1
  parallelTrialCount: 1
  schedule: {cron: "0 3 * * 0"}
  trialTemplate:
    trialParameters: [{name: lr, reference: lr}]
    trialSpec: {apiVersion: cairn.dev/v1, kind: Process, command: ["true"], args: ["${trialParameters.lr}"]}
"#;

/// A schedule of which nobody drives anything.
struct Story {
    api: Api,
    template: ExperimentRecord,
    _folder: tempfile::TempDir,
}

impl Story {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(".cairn");
        let (store, server, router, kubernetes, quota) = (None, None, None, None, None);
        let config = Config { dir, store, server, router, kubernetes, quota, sidecar: Settings::default() };
        let api = Engine::open(&config).await.unwrap().api;
        service::submit(&api, TEMPLATE, "default", None).await.unwrap();
        let template = service::find(&api, "default", "again").await.unwrap();
        Self { api, template, _folder: folder }
    }

    async fn pass(&self) {
        pass(&self.api.world, &mut Looks::default()).await.unwrap();
    }

    async fn state(&self) -> ScheduleState {
        self.api.world.schedules.schedule(self.template.id).await.unwrap().state.unwrap()
    }

    /// Whoever served has written this down, and died.
    async fn died_after(&self, state: ScheduleState) {
        let World { store, schedules, .. } = &self.api.world;
        let lease = store.acquire(self.template.id, "the one before").await.unwrap().unwrap();
        schedules.keep_schedule(&lease, &state).await.unwrap();
        store.release(&lease).await.unwrap();
    }

    async fn died_deciding(&self, n: u64) {
        let pending = Some(Pending { n, ..Pending::default() });
        self.died_after(ScheduleState { n_runs: n, pending, ..self.state().await }).await;
    }

    async fn names(&self) -> Vec<String> {
        let all = self.api.world.store.experiments().await.unwrap();
        let mut names: Vec<_> = all.iter().map(|living| living.record.name.clone()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_run_that_was_decided_is_made_once_wherever_its_maker_dies() {
    let story = Story::begin().await;
    story.pass().await;
    assert_eq!(story.names().await, ["again"], "it is not due");
    story.api.world.schedules.ask_for_run(story.template.id, Cause::Person).await.unwrap();
    story.pass().await;
    story.pass().await;
    assert_eq!(story.names().await, ["again", "again-1"]);

    // Made, and not written down that it is.
    story.died_deciding(1).await;
    story.pass().await;
    assert_eq!(story.names().await, ["again", "again-1"]);
    assert_eq!((story.state().await.pending, story.state().await.n_runs), (None, 1));

    // Decided, and not made.
    story.died_deciding(2).await;
    story.pass().await;
    story.pass().await;
    assert_eq!(story.names().await, ["again", "again-1", "again-2"]);
}

#[tokio::test]
async fn a_name_that_is_taken_costs_a_number_and_no_run() {
    let story = Story::begin().await;
    let taken =
        TEMPLATE.replace("name: again", "name: again-1").replace("  schedule: {cron: \"0 3 * * 0\"}\n", "");
    service::submit(&story.api, &taken, "default", None).await.unwrap();
    story.api.world.schedules.ask_for_run(story.template.id, Cause::Person).await.unwrap();
    for _ in 0..3 {
        story.pass().await;
    }
    assert_eq!(story.names().await, ["again", "again-1", "again-2"]);
    let runs = runs(&story.api.world.store.experiments().await.unwrap(), &story.template);
    assert_eq!(runs.iter().map(|run| run.n).collect::<Vec<_>>(), [2]);
}
