//! Running trials somewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;

use super::store::{ObservationRow, StoreError};
use crate::report::Problem;
use crate::run::{Run, RunId, RunStatus};
use crate::spec::ExperimentSpec;

/// Why an executor could not do something.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// This run can never begin here; its trial fails with this text.
    #[error("{0}")]
    Refused(String),
    /// Trying later may help.
    #[error("{0}")]
    Unavailable(String),
}

/// Runs trials somewhere. Every method may be called twice with the effect of once.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Sees to it that the run exists. A run that already exists is left alone.
    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError>;
    /// Sees to it that the run and all its processes are gone after at most `grace`. Its end is reported as usual.
    async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), ExecutorError>;
    /// Everything that runs, or ended and is not yet forgotten; how survivors are found after a restart.
    async fn list(&self) -> Result<Vec<RunStatus>, ExecutorError>;
    /// The run's end is safe in the store; what the executor kept to report it may go (logs and models stay).
    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError>;
    /// What the run has printed, from a byte offset on; with `follow` until the run has ended.
    fn logs(&self, run: &RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes>;
    /// Changes from now on. May repeat or miss some; `list` is the truth.
    fn watch(&self) -> BoxStream<'static, RunStatus>;
    /// What of a spec can never run here, before anything starts; each with its path.
    async fn refusals(&self, spec: &ExperimentSpec) -> Vec<Problem>;
    /// Where a run lies, such as its folder; `None` if there is no such run.
    fn place(&self, run: &RunId) -> Option<String>;
}

/// Where collectors put what they read.
#[async_trait]
pub trait ObservationSink: Send + Sync {
    /// Keeps the rows; returns once they are safe. Rows already kept are passed over.
    async fn append(&self, run: &RunId, rows: Vec<ObservationRow>) -> Result<(), StoreError>;
    /// Largest place kept of each source of the run, by which a collector that comes back knows what it has missed.
    async fn positions(&self, run: &RunId) -> Result<BTreeMap<String, u64>, StoreError>;
}
