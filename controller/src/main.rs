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
}

impl Engine {
    /// Opens the store, the folder of runs, and a suggestion service in this process.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let store = controller_store::open(&config.store_url()).await?;
        let collect = Arc::new(InProcess::new(Arc::new(StoreSink(Arc::clone(&store)))));
        let mut local = LocalConfig::new(&config.dir).context("cannot find this program's own file")?;
        local.server.clone_from(&config.server);
        let executor = LocalExecutor::open(local, collect).with_context(|| {
            format!("folder {} cannot be used; choose another with --dir", config.dir.display())
        })?;
        let world = World {
            store,
            executor: Arc::new(executor),
            search: suggest::in_process(),
            clock: Arc::new(SystemClock::start()),
            wake: Arc::new(Notify::new()),
            holder: format!("{} (process {})", host(), std::process::id()),
        };
        let runs = config.dir.join("trials");
        Ok(Self { api: Api { world, runs, watches: PushWatches::default() } })
    }
}

/// The name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
