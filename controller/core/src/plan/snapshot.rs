//! What a plan looks at: active trials, their runs, counters and wishes; never the whole history.

use std::collections::BTreeMap;
use std::sync::Arc;

use study::{Curve, Study, TrialIdx};

use super::limits::Limits;
use super::points::{Point, Points};
use crate::experiment::{ExperimentRecord, ExperimentStatus};
use crate::ports::{AskRecord, StoredWish, Wish};
use crate::run::{RunEnd, RunId};
use crate::time::Timestamp;
use crate::trial::{MetricSummary, TrialRecord};

/// An ended run with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// How it ended.
    pub end: RunEnd,
    /// Its metrics reduced, in the order of the spec.
    pub observation: Vec<MetricSummary>,
    /// Value of each objective; empty if the first is no finite number.
    pub objectives: Vec<f64>,
    /// Whether the objective was reported at all, number or text.
    pub available: bool,
    /// Costs of its first steps, where early stopping wants them.
    pub curve: Curve,
}

/// What is known of the newest run of an active trial.
#[derive(Clone, Debug, PartialEq)]
pub enum RunView {
    /// There is none; the next attempt is to be made.
    Unborn,
    /// It is written down; the executor has not said that it exists.
    Intended,
    /// It exists and cannot begin yet.
    Waiting {
        /// What for.
        reason: String,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// What it occupies.
        slots: Vec<String>,
    },
    /// It is over, and that is not yet taken.
    Ended(Measured),
}

/// Everything a plan depends on besides the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The experiment.
    pub record: ExperimentRecord,
    /// The problem its algorithm sees.
    pub study: Study,
    /// What bounds it, read from its spec.
    pub limits: Limits,
    /// Where it stands.
    pub status: ExperimentStatus,
    /// Trials that have not ended.
    pub active: BTreeMap<TrialIdx, TrialRecord>,
    /// The newest run of each of them.
    pub runs: BTreeMap<TrialIdx, RunView>,
    /// Questions written down and not answered.
    pub asks: Vec<AskRecord>,
    /// Points with all their runs, where they are run again.
    pub points: Arc<Points>,
    /// Whether the algorithm has nothing more to propose.
    pub exhausted: bool,
    /// Wishes not carried out, oldest first.
    pub wishes: Vec<StoredWish>,
    /// Points of the trials that wishes want repeated.
    pub repeats: BTreeMap<TrialIdx, Vec<(String, String)>>,
    /// Runs whose end is in the record: the executor may forget them.
    pub finished: Vec<RunId>,
}

impl Snapshot {
    /// Number of the next trial: after all there are and all that were asked for.
    pub fn next_idx(&self) -> TrialIdx {
        let asked: u64 = self.asks.iter().map(|ask| u64::from(ask.n)).sum();
        TrialIdx(self.status.counters.total() + asked)
    }

    /// The point that is to be run once more before it is trusted, of those that are points of the space.
    pub fn to_repeat(&self) -> Option<&Point> {
        let space = &self.study.space;
        self.points.challenger(|texts| {
            let point = space.project(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
            point.is_some_and(|point| space.texts(&point) == *texts)
        })
    }

    /// Whether a wish is about a point that lies outside of a space that was edited.
    pub fn is_outside(&self, wish: &Wish) -> bool {
        let texts = match wish {
            Wish::Enqueue { assignments } => Some(assignments),
            Wish::RetryTrial { trial } => self.repeats.get(trial),
            _ => None,
        };
        let point = |texts: &Vec<(String, String)>| {
            self.study.space.project(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        };
        !self.record.earlier.is_empty() && texts.is_some_and(|texts| point(texts).is_none())
    }

    /// Name of the newest run of a trial.
    pub fn run_id(&self, trial: &TrialRecord) -> RunId {
        RunId { experiment: self.record.id, trial: trial.idx, attempt: trial.attempt }
    }
}
