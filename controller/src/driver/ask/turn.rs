//! Putting the open questions of a turn, and what becomes of the answers.

use std::time::Duration;

use controller_core::plan::{Action, Effect, Reached, Snapshot, effects};
use controller_core::ports::Batch;
use tokio::time::Instant;
use tracing::warn;

use super::AskError;
use crate::driver::{Driver, DriverError};

/// Waits between questions that fail: first and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl Driver<'_> {
    /// Puts all open questions, oldest first; the snapshot with the answers, which go into the batch.
    pub(in crate::driver) async fn ask(&mut self, batch: &mut Batch) -> Result<Snapshot, DriverError> {
        let mut next = self.snapshot.clone();
        if self.ask_again.is_some_and(|(at, _)| Instant::now() < at) {
            return Ok(next);
        }
        let asks = effects(&self.snapshot).into_iter().filter_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask),
            _ => None,
        });
        for ask in asks {
            if !next.asks.contains(&ask) {
                break;
            }
            let answer = self.asker.ask(&*self.world.store, &next, ask).await;
            let now = self.world.clock.now();
            match answer {
                Ok(answer) => {
                    self.ask_again = None;
                    next.status.waiting.clear();
                    next.answer(now, ask, answer, batch);
                }
                Err(AskError::Store(error)) => return Err(error.into()),
                Err(AskError::Never(status)) => {
                    let message = format!("Suggestion has failed: {}", status.message());
                    let reached = Reached { success: false, reason: "ExperimentFailed", message };
                    next.apply(now, Action::Complete(reached), batch);
                    break;
                }
                Err(AskError::Later(status)) => {
                    let wait = self.ask_again.map_or(BACK_OFF.0, |(_, wait)| (wait * 2).min(BACK_OFF.1));
                    warn!(code = ?status.code(), message = status.message(), "the suggestion service did not answer");
                    let waiting = format!("the suggestion service did not answer: {}", status.message());
                    if next.status.waiting != waiting {
                        next.status.waiting = waiting;
                        batch.status = Some(next.status.clone());
                    }
                    self.ask_again = Some((Instant::now() + wait, wait));
                    break;
                }
            }
        }
        Ok(next)
    }
}
