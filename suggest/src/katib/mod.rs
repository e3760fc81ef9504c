//! Katib's door: `api.v1.beta1.Suggestion` and `EarlyStopping` in front of the registry.
//!
//! Every call brings all there is to know, so nothing is held between calls but what a database has already said, and what
//! an algorithm that learns slowly has learnt, which it learns again after a restart. What the wire is silent about is
//! filled in here: a trial's number, the order of history, the seed.

mod convert;
mod early_stopping;
mod nas;
mod python;
mod service;
#[cfg(test)]
mod testing;
mod validate;

pub use early_stopping::{EarlyStoppingService, TrialStatus};
pub use service::SuggestionService;
