//! Collecting a trial's metrics while it runs: tail, event files, scrape. One task a run.
//!
//! A library for the local executor and for the sidecar of a cluster alike; it only reports. Entry point: [`collect`].

mod collect;
mod events;
mod scrape;
mod sender;
mod tail;

pub use collect::{Collected, Target, collect};
