//! Keeping everything through any crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use study::{Prefix, TrialIdx};
use thiserror::Error;

use super::executor::Collected;
use crate::event::StoredEvent;
use crate::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Living};
use crate::run::{RunId, RunRecord};
use crate::spec::{ParameterSpec, TrialTemplate};
use crate::time::Timestamp;
use crate::trial::{TrialRecord, TrialState};

/// Why the store could not do something.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The name is taken by a living experiment.
    #[error("experiment `{namespace}/{name}` already exists")]
    AlreadyExists {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(String),
    /// Somebody else drives this experiment now; nothing was written.
    #[error("the lease of experiment {0:?} is lost")]
    LeaseLost(ExperimentId),
    /// Another server writes, and this one does not or no more; nothing was written.
    #[error("{0}")]
    StandsBy(String),
    /// The database cannot be reached or is busy; trying later helps. Nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database refuses: disk full, file not writable, damaged. Nothing was written.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// The right to drive one experiment. The database frees it by the holder's death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which experiment.
    pub experiment: ExperimentId,
    /// Raised with every new holder; writes under an older one are refused.
    pub generation: i64,
}

/// A wish of a person or program, carried out by the driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Wish {
    /// Hold: no new trials; with `now`, running ones end and wait for their next attempt.
    Stop {
        /// Whether running trials end too.
        now: bool,
    },
    /// Go on.
    Resume,
    /// Change budgets; unset ones stay.
    Edit {
        /// Trials at all.
        max_trial_count: Option<i32>,
        /// Trials at once.
        parallel_trial_count: Option<i32>,
        /// Failed trials at which the experiment fails.
        max_failed_trial_count: Option<i32>,
        /// Longest time.
        max_duration: Option<String>,
        /// Most GPU-hours.
        max_gpu_hours: Option<f64>,
        /// Most money.
        max_cost: Option<f64>,
    },
    /// Take these budgets away, by their words in the spec, such as `maxTrialCount`.
    Lift {
        /// The words.
        budgets: Vec<String>,
    },
    /// Search in another space from now on; what was found stays. Checked against the spec by whoever wishes it.
    EditSpace {
        /// Its dimensions.
        parameters: Vec<ParameterSpec>,
        /// Its constraints.
        parameter_constraints: Vec<String>,
        /// Points tried first; those that have been are counted off from the beginning.
        queued_points: Vec<BTreeMap<String, String>>,
        /// How a trial is run, where dimensions came or went.
        trial_template: Option<TrialTemplate>,
    },
    /// Try this point next: texts by parameter name.
    Enqueue {
        /// Texts by parameter.
        assignments: Vec<(String, String)>,
    },
    /// End this trial; it becomes Killed.
    StopTrial {
        /// Which.
        trial: TrialIdx,
    },
    /// A rule that is looked at elsewhere has stopped this trial: it becomes EarlyStopped, and what it reached counts.
    StopEarly {
        /// Which.
        trial: TrialIdx,
    },
    /// Evaluate this trial's point once more, as a new trial.
    RetryTrial {
        /// Which.
        trial: TrialIdx,
    },
    /// End everything and forget the experiment.
    Delete,
}

impl Wish {
    /// Whether it is about a point, which waits for a free place for as long as the experiment goes on.
    pub fn is_point(&self) -> bool {
        matches!(self, Self::Enqueue { .. } | Self::RetryTrial { .. })
    }
}

/// A wish with its place in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWish {
    /// Its number within the experiment.
    pub wish_no: i64,
    /// When it was made.
    pub at: Timestamp,
    /// What is wished.
    pub wish: Wish,
}

/// A question put to the suggestion service, written down before it is asked, so that a crash asks the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskRecord {
    /// First trial asked for.
    pub first_idx: TrialIdx,
    /// How many.
    pub n: u32,
    /// Number of the newest event that the answer may depend on.
    pub history_seq: u64,
}

/// What an algorithm has learnt from a history, kept so that nobody has to learn it again: a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// Of which study and by which build; of no use to another.
    pub by: String,
    /// From which history.
    pub prefix: Prefix,
    /// Opaque.
    pub state: Vec<u8>,
}

/// Everything one turn of the driver writes, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// New events, numbered on from the last.
    pub events: Vec<StoredEvent>,
    /// What was learnt last, in place of what was kept before.
    pub learnt: Option<Learnt>,
    /// From this trial number on all questions written down before are dropped.
    pub drop_asks: Option<TrialIdx>,
    /// Questions about to be asked.
    pub asks: Vec<AskRecord>,
    /// Trials new or changed, whole rows.
    pub trials: Vec<TrialRecord>,
    /// Runs new or changed, whole rows.
    pub runs: Vec<RunRecord>,
    /// The status, if it changed.
    pub status: Option<ExperimentStatus>,
    /// The record with edited budgets, if they changed.
    pub experiment: Option<ExperimentRecord>,
    /// Numbers of wishes that this turn has carried out.
    pub taken_wishes: Vec<i64>,
    /// Whether the experiment is deleted with this turn: gone from lists, its name free.
    pub delete: bool,
}

/// How trials are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrialOrder {
    /// By number.
    #[default]
    Idx,
    /// By the first objective, smallest first; trials without one last.
    Objective,
    /// By the time of their end, newest last; running ones last.
    Ended,
}

/// Which trials are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialQuery {
    /// Only these states; empty: all.
    pub states: Vec<TrialState>,
    /// Sort order.
    pub order: TrialOrder,
    /// Reverses the order.
    pub descending: bool,
    /// How many to pass over.
    pub offset: u64,
    /// How many at most; 0: all.
    pub limit: u64,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Length of the whole.
    pub total: u64,
}

/// A metric value read from somewhere. `(source, offset, nth)` is its place there, so that reading again adds nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservationRow {
    /// Which file or stream, such as `stdout`.
    pub source: Arc<str>,
    /// Byte at which its line or record begins.
    pub offset: u64,
    /// Its number within that line or record.
    pub nth: u32,
    /// Metric.
    pub metric: Arc<str>,
    /// When it was measured, if the source says so.
    pub time: Option<Timestamp>,
    /// `step` or `epoch` as the line names it, else the ordinal of the row within its metric, from 0.
    pub step: i64,
    /// The value as written; NUL and bytes that are not UTF-8 escaped as `\xNN`.
    pub text: String,
    /// The number it is, if it is one; NaN and infinities too.
    pub value: Option<f64>,
}

/// An observation as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Which trial.
    pub trial: TrialIdx,
    /// Which attempt.
    pub attempt: u32,
    /// What was read.
    #[serde(flatten)]
    pub row: ObservationRow,
}

/// Which observations are wanted, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservationQuery {
    /// Only this trial.
    pub trial: Option<TrialIdx>,
    /// Only this attempt.
    pub attempt: Option<u32>,
    /// Only this metric.
    pub metric: Option<String>,
    /// Of these sources only what lies behind this place and number in it.
    pub after: BTreeMap<String, (u64, u32)>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub to: Option<Timestamp>,
    /// How many at most; 0: all.
    pub limit: u64,
}

/// A value pushed by a program that names no place: the store gives it one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// Metric.
    pub metric: String,
    /// When it was measured.
    pub time: Timestamp,
    /// The value as sent.
    pub text: String,
    /// The number it is, if it is one.
    pub value: Option<f64>,
}

/// Keeps everything. Every method is one transaction; what it returned without error survives any crash.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes down a new experiment with its first event and status.
    async fn create_experiment(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        events: &[StoredEvent],
    ) -> Result<(), StoreError>;
    /// The living experiment of a name.
    async fn experiment(&self, namespace: &str, name: &str) -> Result<Option<ExperimentRecord>, StoreError>;
    /// An experiment by key, deleted ones too.
    async fn experiment_by_id(&self, id: ExperimentId) -> Result<Option<ExperimentRecord>, StoreError>;
    /// All living experiments with their status, newest first.
    async fn experiments(&self) -> Result<Vec<Arc<Living>>, StoreError>;
    /// Where an experiment stands.
    async fn status(&self, id: ExperimentId) -> Result<ExperimentStatus, StoreError>;
    /// Deleted experiments that are not erased, oldest first.
    async fn deleted(&self) -> Result<Vec<ExperimentRecord>, StoreError>;
    /// Erases a deleted experiment with everything of it; a living one is left alone. Whether it was there. Where a model
    /// was promoted, the lineage of that model stays: it is no part of the experiment.
    async fn purge(&self, id: ExperimentId) -> Result<bool, StoreError>;

    /// Writes down a wish; returns its number.
    async fn wish(&self, id: ExperimentId, wish: &Wish, at: Timestamp) -> Result<i64, StoreError>;
    /// Wishes not yet carried out, oldest first.
    async fn open_wishes(&self, id: ExperimentId) -> Result<Vec<StoredWish>, StoreError>;

    /// Experiments of which something is wished that is not yet carried out.
    async fn wished(&self) -> Result<BTreeSet<ExperimentId>, StoreError>;

    /// Takes the right to drive an experiment; `None` while somebody else has it.
    async fn acquire(&self, id: ExperimentId, holder: &str) -> Result<Option<Lease>, StoreError>;
    /// Who drives an experiment, if anybody does.
    async fn holder(&self, id: ExperimentId) -> Result<Option<String>, StoreError>;
    /// Gives the right back.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
    /// Writes what a turn decided, if the lease is still good.
    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), StoreError>;

    /// Events after a number, oldest first, at most `limit` (0: all).
    async fn events(&self, id: ExperimentId, after: u64, limit: u64) -> Result<Vec<StoredEvent>, StoreError>;
    /// Questions from a trial number on, by number.
    async fn asks(&self, id: ExperimentId, from: TrialIdx) -> Result<Vec<AskRecord>, StoreError>;
    /// What was learnt last, if it was kept and can be read.
    async fn learnt(&self, id: ExperimentId) -> Result<Option<Learnt>, StoreError>;
    /// Some of the trials.
    async fn trials(&self, id: ExperimentId, query: &TrialQuery) -> Result<Page<TrialRecord>, StoreError>;
    /// One trial.
    async fn trial(&self, id: ExperimentId, idx: TrialIdx) -> Result<Option<TrialRecord>, StoreError>;
    /// Trials of this name in all living experiments, newest first.
    async fn trials_named(&self, name: &str) -> Result<Vec<(ExperimentId, TrialRecord)>, StoreError>;
    /// Runs, of one trial or of all, by trial and attempt.
    async fn runs(&self, id: ExperimentId, trial: Option<TrialIdx>) -> Result<Vec<RunRecord>, StoreError>;

    /// Keeps observations of several runs at once; rows already kept are passed over.
    async fn append(&self, rows: &[(RunId, Vec<ObservationRow>)]) -> Result<(), StoreError>;
    /// Keeps pushed values of a run, after those already kept.
    async fn push(&self, run: RunId, rows: &[Pushed]) -> Result<(), StoreError>;
    /// Some of the observations, in the order of (trial, attempt, source, place).
    async fn observations(
        &self,
        id: ExperimentId,
        query: &ObservationQuery,
    ) -> Result<Vec<Observation>, StoreError>;
    /// Largest place kept of each source of a run.
    async fn positions(&self, run: RunId) -> Result<BTreeMap<String, u64>, StoreError>;
    /// Writes down that a run's metrics are all there, and what was found beside them; the first word stays, but what a
    /// later one says was left is added.
    async fn put_collected(&self, run: RunId, collected: &Collected, at: Timestamp)
    -> Result<(), StoreError>;
    /// What was found beside a run's metrics, if those are all there.
    async fn collected(&self, run: RunId) -> Result<Option<Collected>, StoreError>;
    /// Removes all observations of a trial.
    async fn delete_observations(&self, id: ExperimentId, trial: TrialIdx) -> Result<(), StoreError>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
