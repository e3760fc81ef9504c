//! Runs of real processes, with this test program as their supervisor.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use controller_core::experiment::ExperimentId;
use controller_core::ports::{Collected, Executor as _, ExecutorError};
use controller_core::run::{Exit, Run, RunEnd, RunId, RunPhase};
use controller_core::spec::{ArtifactsSpec, MetricsCollectorSpec};
use futures::StreamExt as _;
use serde_json::json;
use study::{Comparison, Rule, TrialIdx};

use super::collect::{Collect, Signals};
use super::files::RunFolder;
use super::{LocalConfig, LocalExecutor};

mod endings;
mod survival;
mod waiting;

/// Not a test of its own: the supervisor of the tests beside it, which start it with the arguments of one.
#[test]
fn acts_as_supervisor() {
    let args: Vec<_> = std::env::args_os().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--supervise") {
        std::process::exit(super::supervisor::supervise(&args[at + 1]).into());
    }
}

/// Collects nothing, but waits for the end as collectors do.
struct Nothing;

#[async_trait]
impl Collect for Nothing {
    async fn collect(&self, _run: &Run, _folder: &RunFolder, signals: Signals) -> Collected {
        signals.ended.await.ok();
        Collected::default()
    }
}

/// Stops the run by a rule once its log says so.
struct StopsAtOnce;

#[async_trait]
impl Collect for StopsAtOnce {
    async fn collect(&self, _run: &Run, folder: &RunFolder, signals: Signals) -> Collected {
        until("the log says something", || fs::read(folder.output()).is_ok_and(|log| !log.is_empty())).await;
        signals.stop.send(a_rule()).await.unwrap();
        signals.ended.await.ok();
        Collected { stopped_by: Some(a_rule()), notes: vec!["a note".into()], ..Collected::default() }
    }
}

fn a_rule() -> Rule {
    Rule { metric: "loss".into(), value: 1.0, comparison: Comparison::Greater, start_step: 0 }
}

/// A folder with an executor that comes and goes.
struct World {
    dir: tempfile::TempDir,
    config: LocalConfig,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = LocalConfig::new(dir.path().join("root")).unwrap();
        let entry = "local::tests::acts_as_supervisor";
        config.supervisor.extend(["--exact", "--nocapture", entry, "--"].map(Into::into));
        config.slots = Some(dir.path().join("own/slots"));
        config.grace = Duration::from_millis(300);
        Self { dir, config }
    }

    fn executor(&self) -> LocalExecutor {
        LocalExecutor::open(self.config.clone(), Arc::new(Nothing)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run of `sh -c script`, started in the world's own folder.
    fn shell(&self, trial: u64, script: &str) -> Run {
        self.run(trial, json!({"command": ["sh", "-c", script]}))
    }

    #[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
    fn run(&self, trial: u64, spec: serde_json::Value) -> Run {
        Run {
            id: RunId { experiment: ExperimentId(7), trial: TrialIdx(trial), attempt: 1 },
            namespace: "default".into(),
            experiment: "test".into(),
            experiment_uid: String::new(),
            trial: format!("test-{trial}"),
            manifest: json!({"apiVersion": "cairn.dev/v1", "kind": "Process", "spec": spec}),
            primary_container: String::new(),
            primary_pod_labels: std::collections::BTreeMap::new(),
            success_condition: String::new(),
            failure_condition: String::new(),
            retain: false,
            collector: MetricsCollectorSpec::default(),
            metrics: vec!["loss".into()],
            maximize: false,
            rules: Vec::new(),
            base_dir: Some(self.dir.path().display().to_string()),
            start_from: None,
            keep_checkpoint: false,
            checkpoint_path: None,
            artifacts: ArtifactsSpec::default(),
            start: None,
        }
    }

    async fn end_of(&self, run: &Run) -> RunEnd {
        let executor = self.executor();
        executor.ensure(run).await.unwrap();
        end(&executor, run).await
    }
}

async fn phase(executor: &LocalExecutor, run: &Run) -> Option<RunPhase> {
    let all = executor.list(run.id.experiment).await.unwrap();
    all.into_iter().find(|status| status.run == run.id).map(|status| status.phase)
}

async fn end(executor: &LocalExecutor, run: &Run) -> RunEnd {
    let begun = Instant::now();
    loop {
        if let Some(RunPhase::Ended(end)) = phase(executor, run).await {
            return end;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{} does not end", run.trial);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for something that another process does.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not so after 30 seconds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process with this number, as written in a file, lives.
fn lives(file: &Path) -> bool {
    let pid = fs::read_to_string(file).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn log(executor: &LocalExecutor, run: &Run) -> String {
    let folder = executor.folder(&run.id).unwrap();
    String::from_utf8_lossy(&fs::read(folder.output()).unwrap_or_default()).into_owned()
}
