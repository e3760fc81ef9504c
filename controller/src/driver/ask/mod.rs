//! Asking a suggestion service, with exactly the history that was written down beside the question: Cairn's own over
//! [`search`], somebody else's over [`katib`].

mod asker;
mod convert;
mod error;
mod katib;
mod search;
mod turn;

use std::time::Duration;

pub(super) use asker::Asker;
use error::AskError;
pub(crate) use katib::refusal;

/// Longest time that one question may take.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Largest answer or question in bytes.
const MAX_MESSAGE: usize = 256 << 20;
