//! What the store knows, as the cluster shows it: status of Experiments, Trials, Suggestions.
//!
//! Pure functions of records, times too, so that nothing changes by looking again; [`difference`] tells whether the
//! cluster shows it already. Bounds keep resources small however long a search is: the newest 500 names in a list, the
//! newest 1,000 Trials, the points of open trials and the newest 100. Counters stay exact.

mod difference;
mod experiment;
mod happening;
mod object;
mod refused;
mod suggestion;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trial;

pub use difference::{Difference, difference};
pub use experiment::status;
pub use happening::{Happening, happenings};
pub use object::owner;
pub use refused::refused;
pub(crate) use suggestion::MAX_SUGGESTIONS;
pub use suggestion::suggestion;
pub use trial::{driven_out, is_shown, trial};
