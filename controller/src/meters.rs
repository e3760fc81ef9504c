//! What this process has done since it began, counted for `/metrics`.

mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller_core::event::Event;
use controller_core::experiment::ExperimentStatus;
use controller_core::histogram::Histogram;
use controller_core::ports::Batch;
use controller_core::trial::TrialState;

pub(crate) use store::Metered;

/// Counters and durations of a process. Counters begin at 0 with it, as Prometheus expects of a counter.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    counts: Mutex<BTreeMap<String, Counts>>,
    store: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
    /// How long trials waited for their first run.
    pub(crate) queue: Histogram,
    /// How long questions to suggestion services took.
    pub(crate) suggestions: Histogram,
    /// How long turns of drivers took.
    pub(crate) turns: Histogram,
    /// How long passes over the resources of a cluster took.
    pub(crate) passes: Arc<Histogram>,
}

/// What happened in a namespace, as Katib counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) experiments_created: u64,
    pub(crate) experiments_succeeded: u64,
    pub(crate) experiments_failed: u64,
    pub(crate) experiments_deleted: u64,
    pub(crate) trials_created: u64,
    pub(crate) trials_succeeded: u64,
    pub(crate) trials_failed: u64,
    pub(crate) trials_deleted: u64,
    pub(crate) trials_metrics_unavailable: u64,
}

impl Meters {
    /// All namespaces in which something has happened.
    pub(crate) fn counts(&self) -> BTreeMap<String, Counts> {
        lock(&self.counts).clone()
    }

    /// How long each operation of the store took.
    pub(crate) fn store(&self) -> BTreeMap<&'static str, Arc<Histogram>> {
        lock(&self.store).clone()
    }

    fn stored(&self, operation: &'static str, took: Duration) {
        let histogram = Arc::clone(lock(&self.store).entry(operation).or_default());
        histogram.add(took);
    }

    fn experiment_created(&self, namespace: &str) {
        lock(&self.counts).entry(namespace.to_owned()).or_default().experiments_created += 1;
    }

    /// A batch is in the store. `gone` is the status of an experiment that was deleted with it.
    fn committed(&self, namespace: &str, batch: &Batch, gone: Option<&ExperimentStatus>) {
        let mut all = lock(&self.counts);
        let counts = all.entry(namespace.to_owned()).or_default();
        for stored in &batch.events {
            match &stored.event {
                Event::Condition { condition, status, .. } if status == "True" => match condition.as_str() {
                    "Succeeded" => counts.experiments_succeeded += 1,
                    "Failed" => counts.experiments_failed += 1,
                    _ => {}
                },
                Event::TrialCreated { .. } => counts.trials_created += 1,
                Event::TrialStarted { trial, attempt: 1, .. } => {
                    let record = batch.trials.iter().find(|record| record.idx == *trial);
                    if let Some((record, started)) = record.and_then(|record| Some((record, record.started?)))
                    {
                        let micros = started.0.saturating_sub(record.created.0);
                        self.queue.add(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
                    }
                }
                Event::TrialEnded { state, .. } => match state {
                    TrialState::Succeeded => counts.trials_succeeded += 1,
                    TrialState::Failed => counts.trials_failed += 1,
                    TrialState::MetricsUnavailable => counts.trials_metrics_unavailable += 1,
                    _ => {}
                },
                _ => {}
            }
        }
        if let Some(status) = gone {
            counts.experiments_deleted += 1;
            counts.trials_deleted += status.counters.total();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
