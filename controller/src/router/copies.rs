//! What is copied of a request as it passes: for the log, for a candidate, or for neither.

use axum::http::{HeaderMap, Method};

use super::log::{Entry, Tap};
use super::shadow::Copied;

/// The copies of a request.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// The one that is kept.
    pub(super) kept: Option<Entry>,
    /// The one that a candidate gets.
    pub(super) copied: Option<Copied>,
}

impl Copies {
    /// What is asked, as it goes to servers.
    pub(super) fn asks(&mut self, method: &Method, path: &str, headers: &HeaderMap) {
        if let Some(copied) = &mut self.copied {
            copied.asks(method, path, headers);
        }
    }

    /// Where the body is copied to.
    pub(super) fn bodies(&self) -> Vec<Tap> {
        self.kept.iter().map(Entry::body).chain(self.copied.iter().map(Copied::body)).collect()
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, version: &str, status: u16) {
        if let Some(kept) = &mut self.kept {
            kept.answered(version, status);
        }
        if let Some(copied) = &mut self.copied {
            copied.answered(status);
        }
    }

    /// A piece of the answer passes.
    pub(super) fn add(&self, piece: &[u8]) {
        self.kept.iter().for_each(|kept| kept.answer().add(piece));
        self.copied.iter().for_each(|copied| copied.answer().add(piece));
    }

    /// The answer has ended.
    pub(super) fn end(&mut self) {
        if let Some(kept) = self.kept.take() {
            kept.end();
        }
        if let Some(copied) = self.copied.take() {
            copied.end();
        }
    }
}
