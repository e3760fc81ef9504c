//! Where a driver's time goes, told once it has nothing more to do: `CAIRN_LOG=cairn::cost=info` shows it.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

/// What the driver did with its time.
#[derive(Debug, Default)]
pub(super) struct Costs {
    turns: u64,
    gathering: Duration,
    storing: Duration,
    asking: Duration,
    acting: Duration,
    waiting: Duration,
}

/// What a stretch of time was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// Finding out what has happened.
    Gathering,
    /// Writing batches.
    Storing,
    /// Waiting for suggestions.
    Asking,
    /// Starting, stopping and forgetting runs.
    Acting,
    /// Waiting for something to happen.
    Waiting,
}

impl Costs {
    /// Counts the time since `begun`.
    pub(super) fn add(&mut self, what: For, begun: Instant) {
        let sum = match what {
            For::Gathering => &mut self.gathering,
            For::Storing => &mut self.storing,
            For::Asking => &mut self.asking,
            For::Acting => &mut self.acting,
            For::Waiting => &mut self.waiting,
        };
        *sum += begun.elapsed();
        self.turns += u64::from(matches!(what, For::Gathering));
    }

    /// Tells it.
    pub(super) fn tell(&self, experiment: &str) {
        info!(
            target: "cairn::cost",
            experiment,
            turns = self.turns,
            gathering_ms = self.gathering.as_millis() as u64,
            storing_ms = self.storing.as_millis() as u64,
            asking_ms = self.asking.as_millis() as u64,
            acting_ms = self.acting.as_millis() as u64,
            waiting_ms = self.waiting.as_millis() as u64,
            "what the driver did with its time"
        );
    }
}
