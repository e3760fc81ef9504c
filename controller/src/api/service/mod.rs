//! Operations over the world, whatever door they are called through.

mod algorithms;
mod architecture;
mod check;
mod door;
mod error;
mod events;
mod experiments;
mod explain;
mod export;
mod failures;
mod fidelity;
mod filter;
mod front;
mod gc;
mod left;
mod models;
mod observe;
mod predicted;
mod prometheus;
mod promotions;
mod push;
mod replay;
mod rules;
mod schedules;
mod search;
mod serving;
mod space;
mod submit;
mod trials;
mod view;
mod watch;

pub(crate) use algorithms::{algorithm, algorithms};
pub(crate) use architecture::architecture;
pub(crate) use check::check;
pub(crate) use error::{ApiError, Code};
pub(crate) use events::{changes, follow};
pub(crate) use experiments::{delete, edit, enqueue, find, get, list, resume, retry_trial, stop, stop_trial};
pub(crate) use explain::{compare, explain};
pub(crate) use export::{csv, json, observations_csv};
pub(crate) use failures::failures;
pub(crate) use gc::{gc, purge};
pub(crate) use models::{model_file, model_manifest};
pub(crate) use observe::Collection;
pub(crate) use predicted::predicted_best;
pub(crate) use prometheus::exposition;
pub(crate) use promotions::{
    approve, audit_log, cancel, finish, model, models, promote, promotion, promotion_view, promotions,
    rollback, stop_model,
};
pub(crate) use push::{delete_log, log, namespaces_of, push, report, stop_early};
pub(crate) use replay::replay;
pub(crate) use rules::PushWatches;
pub(crate) use schedules::{ask_for_run, schedules, suspend_schedule};
pub(crate) use space::edit_space;
pub(crate) use submit::submit;
pub(crate) use trials::{TrialsQuery, best, logs, observations, trial, trials};
pub(crate) use watch::{feedback, watch};
