//! Reading what trials have left behind.

use async_trait::async_trait;
use serde_json::Value;
use thiserror::Error;

use crate::run::Model;

/// Why a model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// It is not what was sealed, or nobody has ever sealed it.
    #[error("{0}")]
    Changed(String),
    /// It cannot be read now; trying later may help.
    #[error("{0}")]
    Unreadable(String),
}

/// What a model says of itself in `model.yaml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// A request of the Open Inference Protocol that it can answer.
    pub sample: Option<Value>,
    /// The answer to it.
    pub expected: Option<Value>,
    /// How the data were distributed that it has learnt from.
    pub profile: Option<Value>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Reads sealed models.
#[async_trait]
pub trait Models: Send + Sync {
    /// Reads a whole model and compares it with its digest. Returns where programs find it, such as a folder.
    async fn verify(&self, model: &Model) -> Result<String, ModelError>;
    /// Reads what a model says of itself.
    async fn describe(&self, model: &Model) -> Result<Description, ModelError>;
}
