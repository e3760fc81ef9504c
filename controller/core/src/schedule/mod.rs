//! Searching again: when a run of a scheduled experiment is due, which one is made, and which go.
//!
//! An experiment with `spec.schedule` is a template. [`decide`] looks at what its schedule has come to and says what
//! is to be written down; [`document`] is the run that comes of it. A run is written down before it is made, and its
//! identity comes from its number, so whoever makes it twice makes it once.

mod decide;
mod run;
mod state;
mod timetable;

pub use decide::{Decision, Removal, decide};
pub use run::{birth, document, number, template_of};
pub use state::{Cause, End, Pending, Point, RunView, ScheduleState, Scheduled, View};
pub use timetable::Timetable;
