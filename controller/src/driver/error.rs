//! Why an experiment cannot be driven.

use controller_core::experiment::ExperimentId;
use controller_core::ports::{ExecutorError, StoreError};
use thiserror::Error;

use crate::fault::Fault;

/// Why an experiment cannot be driven on.
#[derive(Debug, Error)]
pub(crate) enum DriverError {
    /// There is no such experiment.
    #[error("experiment {0:?} not found")]
    NotFound(ExperimentId),
    /// The stored spec makes no sense to this version.
    #[error("the stored spec of experiment `{name}` cannot be used: {problem}")]
    Spec {
        /// Experiment.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The executor failed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The driver broke off.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl DriverError {
    /// Whether loading anew after a while may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::Spec { .. } => false,
            Self::Store(error) => {
                !matches!(error, StoreError::NotFound(_) | StoreError::AlreadyExists { .. })
            }
            Self::Executor(_) | Self::Fault(_) => true,
        }
    }
}
