//! Collecting a trial's metrics while it runs: tail, event files, scrape. One task a run.
//!
//! A library for the local executor, for the sidecar of a cluster, whose program is beside it, and for logs that a cluster
//! keeps; it only reports. Entry points: [`collect`] and [`Logs`].

mod collect;
mod events;
mod logs;
mod mirror;
mod scrape;
mod sender;
mod tail;

pub use collect::{Target, collect};
pub use logs::Logs;
pub use mirror::mirror;
