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
    /// Puts all open questions, oldest first, or, where there are none, asks what is to become of trials that run, if
    /// anything was told since that was last asked; the snapshot with the answers, which go into the batch, unless there
    /// was no question.
    pub(in crate::driver) async fn ask(
        &mut self,
        batch: &mut Batch,
    ) -> Result<Option<Snapshot>, DriverError> {
        if self.ask_again.is_some_and(|(at, _)| Instant::now() < at) {
            return Ok(None);
        }
        if self.snapshot.is_to_be_decided() {
            let mut next = self.snapshot.clone();
            let decided = self.asker.decide(&*self.world.store, &next).await;
            if let Some(decisions) = self.answered(decided, &mut next, batch)? {
                next.decisions = decisions.unwrap_or(next.decisions);
                next.decided_at = Some(next.status.last_seq);
            }
            return Ok(Some(next));
        }
        let ask = |effect| match effect {
            Effect::Ask(ask) => Some(ask),
            _ => None,
        };
        let mut asks = effects(&self.snapshot).into_iter().filter_map(ask).peekable();
        if asks.peek().is_none() {
            return Ok(None);
        }
        let mut next = self.snapshot.clone();
        for ask in asks {
            if !next.asks.contains(&ask) {
                break;
            }
            let begun = Instant::now();
            let answer = self.asker.ask(&*self.world.store, &next, ask).await;
            self.world.meters.suggestions.add(begun.elapsed());
            let Some(answer) = self.answered(answer, &mut next, batch)? else { break };
            batch.learnt = self.asker.learnt().or(batch.learnt.take());
            next.answer(self.world.clock.now(), ask, answer, batch);
        }
        Ok(Some(next))
    }

    /// An answer, if there is one. Else whoever may answer later is asked again after a while, and if nobody ever will the
    /// experiment is over.
    fn answered<T>(
        &mut self,
        answer: Result<T, AskError>,
        next: &mut Snapshot,
        batch: &mut Batch,
    ) -> Result<Option<T>, DriverError> {
        match answer {
            Ok(answer) => {
                self.ask_again = None;
                if !next.status.waiting.is_empty() {
                    next.status.waiting.clear();
                    batch.status = Some(next.status.clone());
                }
                return Ok(Some(answer));
            }
            Err(AskError::Store(error)) => return Err(error.into()),
            Err(AskError::Never(status)) => {
                let message = format!("Suggestion has failed: {}", status.message());
                let reached = Reached { success: false, reason: "ExperimentFailed", message };
                next.apply(self.world.clock.now(), Action::Complete(reached), batch);
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
            }
        }
        Ok(None)
    }
}
