//! Why an operation was refused or failed.

use controller_core::ports::StoreError;
use controller_core::report::Problem;
use thiserror::Error;
use tracing::warn;

use crate::api::types::{ErrorBody, ErrorDetail, ProblemView};

/// Kinds of refusals and failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// What was sent makes no sense.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// It contradicts what exists.
    Conflict,
    /// Who asks has not said who they are.
    Unauthorized,
    /// Who asks may not.
    Forbidden,
    /// Trying later helps.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Code {
    /// Its word, for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// Why an operation was refused or failed.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// What kind.
    pub(crate) code: Code,
    /// One sentence.
    pub(crate) message: String,
    /// Each thing that is wrong.
    pub(crate) problems: Vec<Problem>,
}

impl ApiError {
    /// An error of a kind.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problems: Vec::new() }
    }

    /// What was sent makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// The same with what is wrong in detail.
    pub(crate) fn with(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    /// As it travels.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code.word().into(),
                message: self.message.clone(),
                problems: problems(&self.problems),
            },
        }
    }
}

/// Problems as they travel.
pub(crate) fn problems(problems: &[Problem]) -> Vec<ProblemView> {
    let view = |problem: &Problem| ProblemView {
        path: problem.path.clone(),
        line: problem.line,
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    };
    problems.iter().map(view).collect()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::AlreadyExists { .. } => Code::Conflict,
            StoreError::NotFound(_) => Code::NotFound,
            StoreError::Unavailable(_) | StoreError::LeaseLost(_) | StoreError::StandsBy(_) => {
                Code::Unavailable
            }
            StoreError::Failed(_) => {
                warn!(%error, "the store failed");
                Code::Internal
            }
        };
        Self::new(code, error.to_string())
    }
}
