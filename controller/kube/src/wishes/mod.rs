//! What people want, read from resources: a new experiment, other budgets, a halt, an end.
//!
//! Pure, and repeating itself does no harm: what is wished already, carried out or not, is not wished again. Everything
//! else of a resource is shown, and written back when it was edited.

mod edit;
mod experiment;
mod identity;
mod trial;

pub use experiment::{Asked, document, of_experiment};
pub use identity::{Identity, deleted, identity};
pub use trial::of_trial;

#[cfg(test)]
mod tests;
