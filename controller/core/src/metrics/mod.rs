//! The one metrics parser: from bytes that a trial wrote to rows, from rows to what counts.

pub mod event_file;
pub mod filter;
pub mod json;
pub mod lines;
pub mod prometheus;
pub mod reduce;
pub mod rules;
pub mod value;

pub use lines::{Format, LineParser};
