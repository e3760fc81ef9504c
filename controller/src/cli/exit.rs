//! How a command ends.

use std::process::ExitCode;

use thiserror::Error;

use super::output::talk;
use crate::api::auth::TokenError;
use crate::api::client::ClientError;
use crate::api::service::ApiError;
use crate::api::types::ErrorDetail;

/// All exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was wanted is done.
    Done = 0,
    /// Cairn failed, or the machine under it.
    Ours = 1,
    /// The command line or a file is not right; nothing was changed.
    Usage = 2,
    /// The experiment has failed.
    ExperimentFailed = 3,
    /// The experiment was stopped before its end.
    Stopped = 4,
}

/// Says that the command line, or a file that it names, is not right.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) String);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Tells an error with its causes, once, and says how the command ends.
pub(super) fn tell(error: &anyhow::Error) -> Exit {
    if let Some(broken) = error.downcast_ref::<std::io::Error>()
        && broken.kind() == std::io::ErrorKind::BrokenPipe
    {
        // Whoever read our output has seen enough.
        return Exit::Done;
    }
    if let Some(ClientError::Refused(detail)) = error.downcast_ref() {
        talk(&refusal(detail));
    } else {
        talk(&format!("error: {error:#}"));
    }
    if error.is::<Wrong>() || error.is::<TokenError>() {
        return Exit::Usage;
    }
    let word = error.downcast_ref().map(ClientError::code);
    match word
        .or_else(|| error.downcast_ref().map(|refused: &ApiError| refused.code.word()))
        .unwrap_or_default()
    {
        "invalid" | "not_found" | "conflict" | "unauthorized" | "forbidden" => Exit::Usage,
        _ => Exit::Ours,
    }
}

/// A refusal with each problem on a line of its own.
fn refusal(detail: &ErrorDetail) -> String {
    let mut lines = vec![format!("error: {}", detail.message)];
    lines.extend(detail.problems.iter().map(|problem| format!("  {}", super::output::problem(problem))));
    let mut hints: Vec<&str> = detail.problems.iter().filter_map(|problem| problem.hint.as_deref()).collect();
    hints.dedup();
    lines.extend(hints.iter().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}
