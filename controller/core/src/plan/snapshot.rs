//! What a plan looks at: active trials, their runs, counters and wishes; never the whole history.

use std::collections::BTreeMap;
use std::sync::Arc;

use study::{Curve, Decision, Study, TrialIdx, Watch};

use super::keep::{KeptCheckpoints, KeptModels};
use super::limits::Limits;
use super::points::{Point, Points};
use crate::experiment::{ExperimentRecord, ExperimentStatus, Hold};
use crate::ports::{AskRecord, StoredWish, Wish};
use crate::run::{Checkpoint, RunEnd, RunId};
use crate::time::Timestamp;
use crate::trial::{MetricSummary, TrialRecord, TrialState};

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
    /// Costs of its first steps, where rules of early stopping want them; of all that a scheduler wants to hear, where that
    /// judges trials that run.
    pub curve: Curve,
    /// Steps at which the trial has reported its objective, in all attempts that count; 0 where nobody judges trials that run.
    pub steps: u64,
}

/// What a trial that runs has reported and its scheduler was not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reports {
    /// Costs by step.
    pub curve: Curve,
    /// Reports of the objective that its attempt has made.
    pub rows: u64,
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
    /// What the scheduler wants for trials that run or wait and has not got yet, in its order.
    pub decisions: Vec<Decision>,
    /// Number of the newest event that they take into account; `None` where nobody decides on trials that run.
    pub decided_at: Option<u64>,
    /// What somebody who decides on trials that run wants to hear of them.
    pub watch: Option<Watch>,
    /// What they have reported, and is not in the record yet.
    pub reports: BTreeMap<TrialIdx, Reports>,
    /// Whether checkpoints are sealed, as trials may begin from them.
    pub keeps_checkpoints: bool,
    /// Checkpoints of the ended trials that active ones begin from; `None`: it has left none.
    pub parents: BTreeMap<TrialIdx, Option<Checkpoint>>,
    /// Wishes not carried out, oldest first.
    pub wishes: Vec<StoredWish>,
    /// Points of the trials that wishes want repeated.
    pub repeats: BTreeMap<TrialIdx, Vec<(String, String)>>,
    /// The models that there are, where beaten ones go.
    pub models: KeptModels,
    /// Trials whose models are gone, which is not in the record yet.
    pub removed: Vec<TrialRecord>,
    /// The checkpoints of ended trials that there are, where useless ones go.
    pub checkpoints: KeptCheckpoints,
    /// Trials whose checkpoints are gone, which is not in the record yet.
    pub let_go: Vec<TrialRecord>,
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

    /// Trials that wait with their checkpoints.
    pub fn waiting(&self) -> impl Iterator<Item = &TrialRecord> {
        self.active.values().filter(|trial| trial.state == TrialState::Paused)
    }

    /// Whether the scheduler, if there is one that judges trials that run, has seen everything that is recorded.
    pub fn is_decided(&self) -> bool {
        self.decided_at.is_none_or(|at| at >= self.status.last_seq)
    }

    /// Whether whoever decides on trials that run is to be asked. Open questions come first: they are of an earlier time.
    pub fn is_to_be_decided(&self) -> bool {
        self.awaits_answers() && self.asks.is_empty()
    }

    /// Whether somebody is to be heard before anything more is taken in: so what is decided, and what is suggested, does not
    /// depend on how often anybody looked.
    pub(super) fn awaits_answers(&self) -> bool {
        let goes_on =
            self.status.hold == Hold::Free && !self.status.is_completed() && self.status.is("Running");
        self.decided_at.is_some() && goes_on && (!self.is_decided() || !self.asks.is_empty())
    }

    /// The checkpoint that the newest attempt of a trial starts from: that with which it waited, else that of the trial that
    /// it is a copy of.
    pub fn start_from<'a>(&'a self, trial: &'a TrialRecord) -> Option<&'a Checkpoint> {
        let own = trial.checkpoint.as_ref();
        own.or_else(|| self.parents.get(&trial.suggestion.checkpoint_of()?)?.as_ref())
    }

    /// Name of the newest run of a trial.
    pub fn run_id(&self, trial: &TrialRecord) -> RunId {
        RunId { experiment: self.record.id, trial: trial.idx, attempt: trial.attempt }
    }
}
