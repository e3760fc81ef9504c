//! The `cairn` binary: here the rooms that do not know each other meet.

mod api;
mod artifacts;
mod candidate;
mod cli;
mod config;
mod driver;
mod fault;
mod local;
mod meters;
mod promote;
mod router;
mod schedule;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use controller_core::ports::{Executor, Reporters, Store, StoreError};
use controller_kube::{Cluster, KubeExecutor, Leadership, PodReporters, Reconciler, Watched};
use controller_store::Opened;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::Api;
use crate::api::service::PushWatches;
use crate::artifacts::Artifacts;
use crate::config::Config;
use crate::local::{InProcess, LocalConfig, LocalExecutor, StoreSink};
use crate::meters::{Metered, Meters};
use crate::router::Home;
use crate::world::{SystemClock, WallClock, World};

/// How long a pod waits for its store, and how often it tries.
const STORE_PATIENCE: Duration = Duration::from_mins(2);
const STORE_AGAIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if let Some(code) = local::supervisor::branch() {
        return code;
    }
    cli::main()
}

/// Everything a process needs to keep, search and run, wired together.
pub(crate) struct Engine {
    /// Operations over it.
    pub(crate) api: Api,
    /// What brings the resources of a cluster and the store together, where trials run in one.
    pub(crate) reconciler: Option<Reconciler>,
    /// Which of several processes does that.
    pub(crate) leadership: Option<Leadership>,
    /// Which sidecars of it may report.
    pub(crate) reporters: Option<Arc<dyn Reporters>>,
    /// The cluster.
    pub(crate) cluster: Option<Cluster>,
}

impl Engine {
    /// Opens the store, the place where trials run, and a suggestion service in this process.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let meters = Arc::new(Meters::default());
        let Opened { store, promotions, outbox, schedules, terms } = open_store(config).await?;
        let store: Arc<dyn Store> = Arc::new(Metered::new(store, Arc::clone(&meters)));
        let sink = Arc::new(StoreSink(Arc::clone(&store)));
        let clock = Arc::new(SystemClock::start());
        let mut cluster = None;
        let executor: Arc<dyn Executor> = if let Some(options) = &config.kubernetes {
            let found = Cluster::connect(options).await?;
            found.check().await?;
            let watched = Arc::new(Watched::open(&found));
            let logs = Arc::new(sidecar::Logs::new(sink));
            let (cluster_of, kept, settings) = (found.clone(), Arc::clone(&store), config.sidecar.clone());
            let executor =
                KubeExecutor::open(cluster_of, Arc::clone(&watched), logs, kept, clock.clone(), settings);
            cluster = Some((found, watched));
            Arc::new(executor)
        } else {
            Arc::new(local_executor(config, sink)?)
        };
        // A server that keeps nothing itself takes nothing in.
        let quota = if config.sidecar.has_own_store() { config.quota } else { Some(0) };
        let artifacts = Artifacts::new(&config.dir, quota, config.kubernetes.is_some());
        let world = World {
            store,
            promotions,
            outbox,
            schedules,
            models: Arc::new(artifacts.clone()),
            executor,
            search: suggest::in_process(),
            artifacts,
            clock,
            wall: Arc::new(WallClock),
            meters,
            wake: Arc::new(Notify::new()),
            wished: Arc::default(),
            cluster: cluster.as_ref().map(|(cluster, _)| cluster.uid().to_owned()).unwrap_or_default(),
            home: Home::new(&config.dir, config.router.clone()),
            holder: format!("{} (process {})", host(), std::process::id()),
        };
        let runs = config.dir.join("trials");
        let api = Api { world, runs, watches: PushWatches::default() };
        let Some((cluster, watched)) = cluster else {
            return Ok(Self { api, reconciler: None, leadership: None, reporters: None, cluster: None });
        };
        let World { store, clock, wake, meters, .. } = api.world.clone();
        let me = candidate::candidate(&host());
        let leadership = Some(Leadership::new(cluster.clone(), terms, clock.clone(), me));
        let (reporters, found) = (PodReporters::new(cluster.clone(), clock.clone()), cluster.clone());
        let reconciler = Reconciler::new(found, watched, store, Arc::new(api.clone()), clock, wake);
        let reconciler = reconciler.starting(config.sidecar.katib_config.clone());
        let reconciler = Some(reconciler.measured(Arc::clone(&meters.passes)));
        Ok(Self { api, reconciler, leadership, reporters: Some(Arc::new(reporters)), cluster: Some(cluster) })
    }
}

/// Opens the store. A pod waits a while for one that does not answer: they may have begun together.
async fn open_store(config: &Config) -> Result<Opened, StoreError> {
    let is_pod = config.kubernetes.as_ref().is_some_and(|options| options.pod.is_some());
    let begun = Instant::now();
    loop {
        match controller_store::open_all(&config.store_url()).await {
            Err(StoreError::Unavailable(why)) if is_pod && begun.elapsed() < STORE_PATIENCE => {
                tracing::warn!(why, "waiting for the store");
                tokio::time::sleep(STORE_AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// Trials as processes of this machine.
fn local_executor(config: &Config, sink: Arc<StoreSink>) -> anyhow::Result<LocalExecutor> {
    let mut local = LocalConfig::new(&config.dir).context("cannot find this program's own file")?;
    local.server.clone_from(&config.server);
    LocalExecutor::open(local, Arc::new(InProcess::new(sink)))
        .with_context(|| format!("folder {} cannot be used; choose another with --dir", config.dir.display()))
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
