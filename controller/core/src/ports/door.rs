//! The one way in for new experiments, whoever brings them.

use async_trait::async_trait;
use thiserror::Error;

use super::store::StoreError;
use crate::document::ExperimentDocument;
use crate::experiment::Birth;
use crate::report::Report;

/// Why nothing can be said of an experiment now.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct DoorError(pub String);

/// Checks experiments beyond what can be told from their text, and takes them in.
#[async_trait]
pub trait Door: Send + Sync {
    /// What those say who propose points and who run trials, beyond what was found in the document itself.
    async fn check(&self, document: &ExperimentDocument, so_far: &Report) -> Result<Report, DoorError>;
    /// Writes a new experiment down, and sees to it that somebody drives it.
    async fn take_in(&self, document: &ExperimentDocument, birth: Birth) -> Result<(), StoreError>;
}
