//! The experiment and its trials: spec, validation, states, planning, metrics, and the ports to the world. Pure: no
//! runtime, no files, no sockets, no clock, no random source.

pub mod conditions;
pub mod duration;
pub mod event;
pub mod experiment;
pub mod plan;
pub mod ports;
pub mod quantity;
pub mod report;
pub mod run;
pub mod spec;
pub mod time;
pub mod trial;
pub mod yaml;
