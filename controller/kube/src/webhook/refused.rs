//! Why a request is not let through.

use thiserror::Error;

use crate::discovery::Silent;

/// A refusal, as HTTP has it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub(super) struct Refused {
    pub(super) code: u16,
    pub(super) message: String,
}

impl From<Silent> for Refused {
    fn from(silent: Silent) -> Self {
        Self::later(silent.to_string())
    }
}

impl Refused {
    /// What is asked for makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { code: 400, message: message.into() }
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self { code: 403, message: message.into() }
    }

    /// Nobody can tell now.
    pub(super) fn later(message: impl Into<String>) -> Self {
        Self { code: 503, message: message.into() }
    }

    /// Whether it need not be so later.
    pub(super) fn is_for_now(&self) -> bool {
        self.code == 503
    }

    /// The word that Kubernetes has for it.
    pub(super) fn reason(&self) -> &'static str {
        match self.code {
            400 => "BadRequest",
            403 => "Forbidden",
            _ => "ServiceUnavailable",
        }
    }
}
