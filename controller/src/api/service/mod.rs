//! Operations over the world, whatever door they are called through.

mod algorithms;
mod check;
mod error;
mod events;
mod experiments;
mod explain;
mod export;
mod failures;
mod filter;
mod gc;
mod predicted;
mod prometheus;
mod push;
mod replay;
mod rules;
mod search;
mod submit;
mod trials;
mod view;

pub(crate) use algorithms::{algorithm, algorithms};
pub(crate) use check::check;
pub(crate) use error::{ApiError, Code};
pub(crate) use events::{changes, follow};
pub(crate) use experiments::{delete, edit, enqueue, find, get, list, resume, retry_trial, stop, stop_trial};
pub(crate) use explain::{compare, explain};
pub(crate) use export::{csv, json, observations_csv};
pub(crate) use failures::failures;
pub(crate) use gc::gc;
pub(crate) use predicted::predicted_best;
pub(crate) use prometheus::exposition;
pub(crate) use push::{delete_log, log, push, report, stop_early};
pub(crate) use replay::replay;
pub(crate) use rules::PushWatches;
pub(crate) use submit::submit;
pub(crate) use trials::{TrialsQuery, best, logs, observations, trial, trials};
