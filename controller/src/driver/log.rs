//! The log of a server: a line for each thing that happens to an experiment, within its span and that of its trial.

use controller_core::event::{Event, StoredEvent};
use controller_core::plan::Snapshot;
use controller_core::ports::Batch;
use controller_core::trial::TrialState;
use study::TrialIdx;
use tracing::{Span, info, info_span, warn};

/// Tells what a batch has written down.
pub(super) fn tell(snapshot: &Snapshot, batch: &Batch) {
    for stored in &batch.events {
        let span = stored.event.trial().map_or_else(Span::none, |trial| span(snapshot, batch, trial));
        span.in_scope(|| line(stored));
    }
}

fn span(snapshot: &Snapshot, batch: &Batch, idx: TrialIdx) -> Span {
    let changed = batch.trials.iter().find(|trial| trial.idx == idx);
    let name = changed.or_else(|| snapshot.active.get(&idx)).map(|trial| trial.name.as_str());
    info_span!("trial", trial = name, idx = idx.0)
}

fn line(stored: &StoredEvent) {
    let seq = stored.seq;
    match &stored.event {
        Event::Condition { condition, status, reason, message } => {
            info!(seq, condition, status, reason, why = message, "the experiment is in another condition");
        }
        Event::Edited { change } => info!(seq, change, "the experiment was edited"),
        Event::TrialCreated { .. } => info!(seq, "the trial was written down"),
        Event::TrialStarted { attempt, slots, .. } => info!(seq, attempt, ?slots, "a run of the trial began"),
        Event::TrialRequeued { attempt, reason, .. } => {
            warn!(seq, attempt, reason, "a run ended, and the trial gets another");
        }
        Event::TrialReported { attempt, curve, rows, .. } => {
            let step = curve.last().map(|(step, _)| *step);
            info!(seq, attempt, step, rows, "the trial has reached a step at which it is judged");
        }
        Event::TrialPaused { attempt, reason, .. } => info!(seq, attempt, reason, "the trial waits"),
        Event::TrialResumed { attempt, reason, .. } => info!(seq, attempt, reason, "the trial goes on"),
        Event::TrialEnded { attempt, state, reason, message, .. } => {
            let state = state.name();
            if matches!(stored.event, Event::TrialEnded { state: TrialState::Failed, .. }) {
                warn!(seq, attempt, state, reason, why = message, "the trial ended");
            } else {
                info!(seq, attempt, state, reason, why = message, "the trial ended");
            }
        }
        Event::ModelRemoved { uri, bytes, .. } => info!(seq, uri, bytes, "a beaten model was removed"),
        Event::Noted { message, .. } => info!(seq, what = message, "something to know"),
    }
}
