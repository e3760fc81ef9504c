//! Rows on their way to the sink, with rules looked at in passing.

use std::time::Duration;

use controller_core::metrics::rules::RuleWatch;
use controller_core::ports::{Collected, ObservationRow, ObservationSink, StoreError};
use controller_core::run::RunId;
use study::Rule;
use tokio::sync::mpsc;
use tracing::warn;

/// Rows kept back before they are sent at once.
const BATCH: usize = 2000;
/// Waits between tries while the sink fails: first and longest. It is tried until it works: nothing may be lost.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Sends rows in batches. While the sink fails, sending waits, and with it reading: memory stays bounded.
pub(crate) struct Sender<'a> {
    run: RunId,
    sink: &'a dyn ObservationSink,
    watch: RuleWatch,
    stop: mpsc::Sender<Rule>,
    rows: Vec<ObservationRow>,
    collected: Collected,
}

impl<'a> Sender<'a> {
    pub(crate) fn new(
        run: RunId,
        sink: &'a dyn ObservationSink,
        watch: RuleWatch,
        stop: mpsc::Sender<Rule>,
    ) -> Self {
        Self { run, sink, watch, stop, rows: Vec::new(), collected: Collected::default() }
    }

    /// Takes rows, looks at them, and sends what has gathered.
    pub(crate) async fn send(&mut self, rows: Vec<ObservationRow>) {
        for row in rows {
            if self.collected.stopped_by.is_none()
                && let Some(rule) = self.watch.look(&row)
            {
                self.collected.stopped_by = Some(rule.clone());
                // There is room for one, and one is enough.
                self.stop.try_send(rule.clone()).ok();
            }
            self.rows.push(row);
            if self.rows.len() >= BATCH {
                self.flush().await;
            }
        }
        self.flush().await;
    }

    /// The largest place of a source that an earlier collector of this run has kept.
    pub(crate) async fn position(&self, source: &str) -> Option<u64> {
        match self.sink.positions(&self.run).await {
            Ok(positions) => positions.get(source).copied(),
            Err(error) => {
                warn!(run = %self.run, %error, "what was collected before is not known");
                None
            }
        }
    }

    /// Keeps lines for people, a bounded number of them.
    pub(crate) fn note(&mut self, notes: Vec<String>) {
        const MOST: usize = 20;
        for note in notes {
            match self.collected.notes.len() {
                n if n < MOST => self.collected.notes.push(note),
                n if n == MOST => self.collected.notes.push("there was more of this".into()),
                _ => {}
            }
        }
    }

    async fn flush(&mut self) {
        let mut wait = BACK_OFF.0;
        while !self.rows.is_empty() {
            match self.sink.append(&self.run, self.rows.clone()).await {
                Ok(()) => self.rows.clear(),
                Err(StoreError::NotFound(what)) => {
                    warn!(run = %self.run, what, "metrics of a run that is gone were dropped");
                    self.rows.clear();
                }
                Err(error) => {
                    warn!(run = %self.run, %error, "metrics wait for the store");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    pub(crate) async fn finish(mut self) -> Collected {
        self.flush().await;
        self.collected
    }
}
