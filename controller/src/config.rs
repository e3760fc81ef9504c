//! What this build is, and where it keeps things.

use std::path::PathBuf;

use controller_kube::inject::Settings;

use crate::api::types::Version;

/// Features that exist, and whether they are built in.
const FEATURES: [(&str, bool); 3] = [("sqlite", true), ("postgres", true), ("kubernetes", true)];

/// Which Cairn this is.
pub(crate) fn version() -> Version {
    let names = |built: bool| {
        FEATURES.iter().filter(|(_, is)| *is == built).map(|(name, _)| (*name).to_owned()).collect()
    };
    Version { version: env!("CARGO_PKG_VERSION").into(), features: names(true), missing: names(false) }
}

/// Where a process keeps its records and runs.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Folder of runs, and of the default store.
    pub(crate) dir: PathBuf,
    /// Where the store is, if not in `dir`.
    pub(crate) store: Option<String>,
    /// Address at which the programs of trials reach the API of this process.
    pub(crate) server: Option<String>,
    /// Address at which models are served, if somebody wants one.
    pub(crate) router: Option<String>,
    /// The cluster that trials run in, if they do not run here.
    pub(crate) kubernetes: Option<controller_kube::Options>,
    /// Most bytes of Cairn's own store of artifacts there.
    pub(crate) quota: Option<u64>,
    /// What is put into the pods of trials there.
    pub(crate) sidecar: Settings,
}

impl Config {
    /// Where the store is.
    pub(crate) fn store_url(&self) -> String {
        self.store.clone().unwrap_or_else(|| format!("sqlite:{}", self.dir.join("cairn.db").display()))
    }
}
