//! How long trials run: rungs, brackets and rules that end trials, each a [`Scheduler`](crate::Scheduler).
//!
//! What they are told, and what they make of it where it is not as it should be:
//!
//! | told | meaning |
//! |---|---|
//! | a report at a step that is not above those before | nothing: it came late, or an attempt repeats what an earlier one said |
//! | a report of a trial that waits, has ended or is not known | nothing |
//! | a cost that is no finite number | as bad as can be: no trial with a number is behind it |
//! | a start, pause, resumption or end for the second time | nothing |
//! | a failure | it is behind all others on the rung that it had reached |
//! | a step beyond the whole budget | the trial is to end; what it has reached counts |
//!
//! A trial that reports nothing is never stopped. Which step a trial is at is what it says itself (`step` or `epoch`), else
//! the number of its row.

mod asha;
mod bracket;
#[cfg(test)]
pub(crate) mod comparison;
mod forecast;
mod hyperband;
mod ladder;
mod learning;
mod patience;
mod quantile;
mod rung;
mod threshold;
mod told;

pub use asha::Asha;
pub use forecast::{Forecast, forecast, too_few};
pub use hyperband::Hyperband;
pub(crate) use ladder::Ladder;
pub use learning::Learning;
pub use patience::Patience;
pub use quantile::QuantileStop;
pub use threshold::Threshold;
