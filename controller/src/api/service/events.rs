//! Changes of an experiment: its log, read on as it grows.

use std::collections::VecDeque;
use std::time::Duration;

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::ExperimentId;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::Value;

use super::error::ApiError;
use super::find;
use crate::api::Api;
use crate::api::types::Change;

/// How often the log is looked at; other processes may write it.
const LOOK: Duration = Duration::from_millis(200);
/// Most events read at once.
const CHUNK: u64 = 500;

/// Changes after a number, oldest first, at most `limit`.
pub(crate) async fn changes(
    api: &Api,
    namespace: &str,
    name: &str,
    after: u64,
    limit: u64,
) -> Result<Vec<Change>, ApiError> {
    let record = find(api, namespace, name).await?;
    let events = api.world.store.events(record.id, after, limit).await?;
    Ok(events.iter().map(change).collect())
}

struct Follow {
    api: Api,
    id: ExperimentId,
    after: u64,
    ready: VecDeque<StoredEvent>,
    begun: bool,
}

/// Changes after a number, and those to come, until the experiment is deleted. A store that fails for a while is
/// waited for.
pub(crate) async fn follow(
    api: &Api,
    namespace: &str,
    name: &str,
    after: u64,
) -> Result<BoxStream<'static, Change>, ApiError> {
    let record = find(api, namespace, name).await?;
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let follow = Follow { api: api.clone(), id: record.id, after, ready: VecDeque::new(), begun: false };
    let changes = stream::unfold(follow, move |mut follow| {
        let (namespace, name) = (namespace.clone(), name.clone());
        async move {
            loop {
                if let Some(event) = follow.ready.pop_front() {
                    follow.after = event.seq;
                    return Some((change(&event), follow));
                }
                if follow.begun {
                    tokio::time::sleep(LOOK).await;
                }
                follow.begun = true;
                match follow.api.world.store.events(follow.id, follow.after, CHUNK).await {
                    Ok(events) if !events.is_empty() => follow.ready.extend(events),
                    Ok(_) => {
                        let living = follow.api.world.store.experiment(&namespace, &name).await;
                        if living.is_ok_and(|record| record.is_none_or(|record| record.id != follow.id)) {
                            return None;
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the log cannot be read on; trying again"),
                }
            }
        }
    });
    Ok(changes.boxed())
}

/// An event as it travels.
pub(super) fn change(stored: &StoredEvent) -> Change {
    let mut event = serde_json::to_value(&stored.event).unwrap_or_default();
    if let Value::Object(map) = &mut event {
        map.remove("kind");
    }
    Change {
        seq: stored.seq,
        at: stored.at.to_rfc3339_micros(),
        kind: stored.event.kind().into(),
        trial: stored.event.trial().map(|idx| idx.0),
        text: text(&stored.event),
        event,
    }
}

/// One line for people.
pub(super) fn text(event: &Event) -> String {
    match event {
        Event::Condition { condition, status, reason, message } => {
            format!("{condition}={status} ({reason}): {message}")
        }
        Event::Edited { change } => format!("edited: {change}"),
        Event::TrialCreated { trial, name, .. } => format!("trial {} {name} created", trial.idx.0),
        Event::TrialStarted { trial, attempt, slots } => {
            let slots = if slots.is_empty() { String::new() } else { format!(" on {}", slots.join(", ")) };
            format!("trial {} started, attempt {attempt}{slots}", trial.0)
        }
        Event::TrialRequeued { trial, attempt, exit, reason } => {
            format!("trial {} gets another attempt after {attempt} ({exit}): {reason}", trial.0)
        }
        Event::TrialReported { trial, curve, .. } => {
            let step = curve.last().map_or(0, |(step, _)| *step);
            format!("trial {} has reached step {step}, at which it is judged", trial.0)
        }
        Event::TrialPaused { trial, attempt, reason, .. } => {
            format!("trial {} waits after attempt {attempt}: {reason}", trial.0)
        }
        Event::TrialResumed { trial, attempt, reason } => {
            format!("trial {} goes on from the checkpoint of attempt {attempt}: {reason}", trial.0)
        }
        Event::TrialEnded { trial, state, message, observation, .. } => {
            let value =
                observation.first().map(|metric| format!(", {} {} at last", metric.name, metric.latest));
            format!("trial {} {}{}: {message}", trial.idx.0, state.name(), value.unwrap_or_default())
        }
        Event::ModelRemoved { trial, uri, bytes } => {
            format!("trial {}: its model was removed, as better ones are kept: {uri}, {bytes} bytes", trial.0)
        }
        Event::Noted { trial: Some(trial), message } => format!("trial {}: {message}", trial.0),
        Event::Noted { trial: None, message } => message.clone(),
    }
}
