//! How a run goes, read from its object of whatever kind.

use controller_core::run::{Exit, RunEnd, RunPhase, RunStatus};
use controller_core::time::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;
use thiserror::Error;

use super::existing::run_id;
use super::gjson::{Path, PathError};
use super::slots::slots;
use crate::names;

/// Why an object says nothing of a run.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is no run of ours, or somebody has taken its annotations.
    #[error("annotation `{0}` is missing or makes no sense")]
    NotARun(&'static str),
    /// Its annotation was edited.
    #[error("annotation `{annotation}` cannot be read")]
    Condition {
        /// Which.
        annotation: &'static str,
        /// What is wrong.
        source: PathError,
    },
}

/// What an expression has hit.
struct Hit<'a> {
    reason: &'a str,
    message: &'a str,
    at: Option<Timestamp>,
}

/// How the run of an object goes: failure is looked at first, then success, as Katib does; else it waits while it is
/// suspended, and runs. `seen` is the time of looking, for objects that say none of their own.
///
/// # Errors
/// If the object does not say which run it is, or by which expressions it has ended.
pub fn status(object: &DynamicObject, seen: Timestamp) -> Result<RunStatus, ReadError> {
    let run = run_id(object).ok_or(ReadError::NotARun(names::RUN_ANNOTATION))?;
    // Expressions may look at all of it, metadata too.
    let value = &serde_json::to_value(object).unwrap_or_default();
    let started =
        ["/status/startTime", "/status/startedAt"].iter().find_map(|pointer| time(value.pointer(pointer)?));
    let over = |hit: &Hit<'_>, exit: Exit| {
        let ended = hit.at.or_else(|| finished(value)).unwrap_or(seen);
        RunPhase::Ended(RunEnd {
            exit,
            started: started.or_else(|| created(object)),
            ended,
            slots: slots(value),
            stopped_by: None,
            message: hit.message.to_owned(),
            model: None,
            checkpoint: None,
        })
    };
    let (failure, success) =
        (condition(object, names::FAILURE_ANNOTATION)?, condition(object, names::SUCCESS_ANNOTATION)?);
    let phase = if let Some(found) = failure.find(value) {
        hit(&found).map(|hit| {
            let (reason, message) = (hit.reason.to_owned(), hit.message.to_owned());
            over(&hit, Exit::Failed { reason, message })
        })
    } else {
        None
    };
    let succeeded = || {
        let found = success.find(value)?;
        hit(&found).map(|hit| over(&hit, Exit::Code { code: 0 }))
    };
    let phase = phase.or_else(succeeded).unwrap_or_else(|| {
        if is_suspended(value) {
            RunPhase::Waiting { reason: "it is suspended, as by a queue".into() }
        } else {
            let since = started.or_else(|| created(object)).unwrap_or(seen);
            RunPhase::Running { since, slots: slots(value) }
        }
    });
    Ok(RunStatus { run, phase })
}

fn condition(object: &DynamicObject, annotation: &'static str) -> Result<Path, ReadError> {
    let text = object.metadata.annotations.as_ref().and_then(|map| map.get(annotation));
    let text = text.ok_or(ReadError::NotARun(annotation))?;
    Path::parse(text).map_err(|source| ReadError::Condition { annotation, source })
}

/// An object is a hit, and so is the first of a list that is not empty.
fn hit(found: &Value) -> Option<Hit<'_>> {
    let element = match found {
        Value::Object(_) => found,
        Value::Array(items) => items.first()?,
        _ => return None,
    };
    let text = |word: &str| element.get(word).and_then(Value::as_str).unwrap_or_default();
    let at = time(element.get("lastTransitionTime").unwrap_or(&Value::Null));
    Some(Hit { reason: text("reason"), message: text("message"), at })
}

fn finished(value: &Value) -> Option<Timestamp> {
    ["/status/completionTime", "/status/finishedAt"].iter().find_map(|pointer| time(value.pointer(pointer)?))
}

fn is_suspended(value: &Value) -> bool {
    ["/spec/suspend", "/spec/runPolicy/suspend"]
        .iter()
        .any(|pointer| value.pointer(pointer) == Some(&Value::Bool(true)))
}

fn created(object: &DynamicObject) -> Option<Timestamp> {
    let time = object.metadata.creation_timestamp.as_ref()?;
    Some(Timestamp(time.0.as_microsecond()))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(Timestamp::parse_rfc3339)
}
