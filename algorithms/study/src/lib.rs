//! The shared words of a search: search space, assignment, trial, history, objective.
//!
//! A study is the mathematical problem and what is known of it; it is what an algorithm sees. Everything here is a
//! plain value: no clock, no files, no sockets, no random source. Entry points: [`Study`], [`Space`], [`Assignment`],
//! [`History`] and [`HistoryEvent`].

mod assignment;
mod constraint;
mod decision;
mod history;
mod objective;
mod rule;
mod space;

pub use assignment::{Assignment, Value};
pub use constraint::{Constraint, ConstraintError};
pub use decision::{Decision, Verdict, Watch};
pub use history::{
    Curve, Digest, Finished, History, HistoryEvent, Notes, Outcome, Prefix, Suggestion, Trial, TrialIdx, Turn,
};
pub use objective::{Cost, Direction, Objective};
pub use rule::{Comparison, Rule};
pub use space::{
    CHAIN_TEXTS, Condition, Constant, Distribution, Domain, LayerOperation, Network, NetworkSpec,
    ONE_SHOT_DEFAULTS, ONE_SHOT_TEXTS, OperationSpec, Parameter, Prior, Requirement, SKIP_CONNECTION, Space,
    SpaceError, float_text,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The mathematical problem of an experiment: everything an algorithm may look at besides the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Name of the experiment; only ever shown, never part of an algorithm's decision.
    pub name: String,
    /// Where points may lie.
    pub space: Space,
    /// What is optimised; the first is the main objective. Never empty.
    pub objectives: Vec<Objective>,
    /// Which algorithm proposes, with its settings as written.
    pub algorithm: Algorithm,
    /// Which rule stops trials early, if any.
    pub early_stopping: Option<Algorithm>,
    /// Seed of every random stream of this study.
    pub seed: u64,
    /// Most trials that will ever be asked for, if limited.
    pub max_trials: Option<u64>,
    /// How many trials run at once, at least 1.
    pub parallel: u32,
    /// What all trials together may take; where that has no bound, what they take is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expense: Option<Expense>,
}

/// What trials may take together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expense {
    /// Of what.
    pub unit: Unit,
    /// How much, positive.
    pub most: f64,
}

/// What trials take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Seconds that they run.
    Seconds,
    /// Seconds times GPUs.
    GpuSeconds,
    /// Money, in the currency of the prices that were given.
    Money,
}

impl Unit {
    /// What one is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "second",
            Self::GpuSeconds => "GPU second",
            Self::Money => "unit of cost",
        }
    }
}

/// An algorithm by name, with its settings as the user wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Algorithm {
    /// Registered name, such as `tpe`.
    pub name: String,
    /// Settings by name; values are text, parsed and checked by the algorithm's own settings type.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}
