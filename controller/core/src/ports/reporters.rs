//! Who may report the metrics of which run.

use async_trait::async_trait;
use thiserror::Error;

/// The run that somebody wants to report for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Namespace of its experiment.
    pub namespace: String,
    /// Name of its trial.
    pub trial: String,
    /// Which attempt.
    pub attempt: u32,
}

/// Why somebody may not report.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAllowed {
    /// Nobody knows who it is: there is no token, or it is no good. A newer one may be.
    #[error("{0}")]
    Unknown(String),
    /// It is somebody else's run.
    #[error("{0}")]
    Forbidden(String),
    /// Whoever could tell does not answer; trying later helps.
    #[error("{0}")]
    Unavailable(String),
}

/// Says who may report for which run.
#[async_trait]
pub trait Reporters: Send + Sync {
    /// Whether whoever shows this token may report for the run.
    async fn check(&self, token: Option<&str>, claim: &Claim) -> Result<(), NotAllowed>;
}
