//! The `cairn` binary: here the rooms that do not know each other meet.

mod api;
mod cli;
mod config;
mod driver;
mod local;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use controller_core::ports::Executor;
use controller_kube::{Cluster, KubeExecutor, Reconciler, Watched};
use tokio::sync::Notify;

use crate::api::Api;
use crate::api::service::PushWatches;
use crate::config::Config;
use crate::local::{InProcess, LocalConfig, LocalExecutor, StoreSink};
use crate::world::{SystemClock, World};

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
}

impl Engine {
    /// Opens the store, the place where trials run, and a suggestion service in this process.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = controller_store::open(&config.store_url()).await?;
        let sink = Arc::new(StoreSink(Arc::clone(&store)));
        let clock = Arc::new(SystemClock::start());
        let mut cluster = None;
        let executor: Arc<dyn Executor> = if let Some(options) = &config.kubernetes {
            let found = Cluster::connect(options).await?;
            found.check().await?;
            let watched = Arc::new(Watched::open(&found));
            let logs = Arc::new(sidecar::Logs::new(sink));
            let executor = KubeExecutor::open(found.clone(), Arc::clone(&watched), logs, clock.clone());
            cluster = Some((found, watched));
            Arc::new(executor)
        } else {
            Arc::new(local_executor(config, sink)?)
        };
        let world = World {
            store,
            executor,
            search: suggest::in_process(),
            clock,
            wake: Arc::new(Notify::new()),
            cluster: cluster.as_ref().map(|(cluster, _)| cluster.uid().to_owned()).unwrap_or_default(),
            holder: format!("{} (process {})", host(), std::process::id()),
        };
        let runs = config.dir.join("trials");
        let api = Api { world, runs, watches: PushWatches::default() };
        let reconciler = cluster.map(|(cluster, watched)| {
            let World { store, clock, wake, .. } = api.world.clone();
            Reconciler::new(cluster, watched, store, Arc::new(api.clone()), clock, wake)
        });
        Ok(Self { api, reconciler })
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
