//! The experiment and its trials: spec, validation, states, planning, metrics, and the ports to the world. Pure: no
//! runtime, no files, no sockets, no clock, no random source.

pub mod artifacts;
pub mod conditions;
pub mod defaults;
pub mod document;
pub mod duration;
pub mod event;
pub mod experiment;
pub mod fields;
mod floats;
pub mod front;
pub mod histogram;
pub mod katib;
pub mod metrics;
pub mod plan;
pub mod ports;
pub mod prediction;
pub mod process;
pub mod promotion;
pub mod quantity;
pub mod render;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sidecar;
pub mod spec;
pub mod study;
pub mod telling;
pub mod time;
pub mod trial;
pub mod validate;
pub mod yaml;
