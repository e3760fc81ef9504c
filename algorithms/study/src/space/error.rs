//! Why a space cannot be searched.

use thiserror::Error;

/// Why a search space cannot be searched.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpaceError {
    /// Two parameters share a name.
    #[error("two parameters are named `{0}`")]
    DuplicateName(String),
    /// A bound is NaN or infinite.
    #[error("`{name}`: {bound} is not a finite number")]
    NotFinite {
        /// Parameter.
        name: String,
        /// `min`, `max` or `step`.
        bound: &'static str,
    },
    /// Nothing lies between the bounds.
    #[error("`{name}`: min {min} is above max {max}")]
    MinAboveMax {
        /// Parameter.
        name: String,
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// A step that leads nowhere.
    #[error("`{name}`: step {step} must be above 0")]
    StepNotPositive {
        /// Parameter.
        name: String,
        /// The step.
        step: f64,
    },
    /// The logarithm of the lower bound does not exist.
    #[error("`{name}`: a log distribution needs min above 0, has {min}")]
    LogOfNonPositive {
        /// Parameter.
        name: String,
        /// Lower bound.
        min: f64,
    },
    /// A belief in what cannot be.
    #[error("`{name}`: its prior: {problem}")]
    Prior {
        /// Parameter.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A list without entries.
    #[error("`{0}`: the list is empty")]
    EmptyList(String),
    /// A condition on a parameter that does not exist.
    #[error("`{name}`: its condition names `{parent}`, which is no parameter")]
    UnknownParent {
        /// Parameter with the condition.
        name: String,
        /// What it names.
        parent: String,
    },
    /// A condition that can never hold.
    #[error("`{name}`: its condition on `{parent}` holds for none of its values")]
    ConditionNeverHolds {
        /// Parameter with the condition.
        name: String,
        /// Parameter it depends on.
        parent: String,
    },
    /// Conditions in a circle.
    #[error("`{0}`: its conditions lead back to itself")]
    ConditionCircle(String),
    /// A constraint over something that is no number of this space.
    #[error("constraint `{constraint}`: `{name}` is no int, double or numeric list parameter")]
    ConstraintOperand {
        /// The constraint as written.
        constraint: String,
        /// What it names.
        name: String,
    },
    /// A network that cannot be searched.
    #[error("the network: {0}")]
    Network(String),
    /// A space without parameters.
    #[error("the search space has no parameters")]
    NoParameters,
}

impl SpaceError {
    /// The parameter whose own definition is wrong, if it is one's.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::DuplicateName(name)
            | Self::EmptyList(name)
            | Self::ConditionCircle(name)
            | Self::NotFinite { name, .. }
            | Self::Prior { name, .. }
            | Self::MinAboveMax { name, .. }
            | Self::StepNotPositive { name, .. }
            | Self::LogOfNonPositive { name, .. }
            | Self::UnknownParent { name, .. }
            | Self::ConditionNeverHolds { name, .. } => Some(name),
            Self::ConstraintOperand { .. } | Self::Network(_) | Self::NoParameters => None,
        }
    }
}
