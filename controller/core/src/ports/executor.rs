//! Running trials somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use study::{Direction, Rule};
use thiserror::Error;

use super::store::{ObservationRow, StoreError};
use crate::experiment::ExperimentId;
use crate::report::Report;
use crate::run::{Model, Run, RunId, RunStatus, Sealed};
use crate::spec::{ExperimentSpec, MetricsCollectorSpec};
use crate::time::Timestamp;

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
    /// How many runs of an experiment it is asked to begin, and how many to forget, at once. One after the other they
    /// begin in the order of their trials, which is for those that are quick about it.
    fn at_once(&self) -> usize {
        1
    }
    /// Whether it seals the checkpoints of an experiment's runs and lets others start from them.
    fn keeps_checkpoints(&self, _: &ExperimentSpec) -> bool {
        false
    }
    /// Sees to it that the run exists. A run that already exists is left alone.
    async fn ensure(&self, run: &Run) -> Result<(), ExecutorError>;
    /// Sees to it that the run and all its processes are gone after at most `grace`. Its end is reported as usual.
    async fn stop(&self, run: &RunId, grace: Duration) -> Result<(), ExecutorError>;
    /// Every run of an experiment that goes on, or ended and is not yet forgotten; how survivors are found after a restart.
    async fn list(&self, experiment: ExperimentId) -> Result<Vec<RunStatus>, ExecutorError>;
    /// Whose runs there are. Where some cannot be looked for, that is logged and those of others are told.
    async fn owners(&self) -> Result<BTreeSet<ExperimentId>, ExecutorError>;
    /// The run's end is safe in the store; what the executor kept to report it may go (logs and models stay).
    async fn forget(&self, run: &RunId) -> Result<(), ExecutorError>;
    /// Nobody goes on from the checkpoint of the run any more: what the executor itself has kept of it goes.
    async fn forget_checkpoint(&self, _: &RunId) -> Result<(), ExecutorError> {
        Ok(())
    }
    /// What the run has printed, from a byte offset on; with `follow` until the run has ended.
    fn logs(&self, run: &RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes>;
    /// Changes of an experiment's runs from now on. May repeat or miss some; `list` is the truth.
    fn watch(&self, experiment: ExperimentId) -> BoxStream<'static, RunStatus>;
    /// What is to be said of a spec before anything starts: what of it can never run here, each with its path, and
    /// what is done otherwise than it says.
    async fn check(&self, spec: &ExperimentSpec) -> Report;
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

/// The metrics that are wanted of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whose.
    pub run: RunId,
    /// How they are collected.
    pub collector: MetricsCollectorSpec,
    /// Their names, the objective first.
    pub metrics: Vec<String>,
    /// What "best so far" means to rules.
    pub direction: Direction,
    /// Rules that stop the run.
    pub rules: Vec<Rule>,
}

/// A line that a run has printed, from a log that others keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Which log.
    pub source: Arc<str>,
    /// Its place there, the same whenever it is read.
    pub place: u64,
    /// When it was printed.
    pub time: Timestamp,
    /// What was printed.
    pub text: Bytes,
}

/// What a collector has found beside values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// The rule that was met last when all were, if they were.
    pub stopped_by: Option<Rule>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
    /// What the run has left.
    #[serde(default, skip_serializing_if = "Left::is_nothing")]
    pub left: Left,
}

/// What a run has left, where a sidecar has kept it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Left {
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Its checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Sealed>,
    /// Why what it left as its model cannot be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Left {
    /// Whether there is nothing to say.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// With what was left later: the first model stays, and the last checkpoint counts.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        let model = self.model.or(later.model);
        let refused = self.refused.or(later.refused).filter(|_| model.is_none());
        Self { model, refused, checkpoint: later.checkpoint.or(self.checkpoint) }
    }
}

/// Finds metrics in what runs print.
#[async_trait]
pub trait LogCollector: Send + Sync {
    /// Takes in lines until there are no more, and returns once everything found is safe. A rule that is met is told to
    /// `stop` at once. The same lines may come again after a crash.
    async fn collect(
        &self,
        wanted: &Wanted,
        lines: BoxStream<'_, Vec<LogLine>>,
        stop: &(dyn Fn(Rule) + Send + Sync),
    ) -> Collected;
}
