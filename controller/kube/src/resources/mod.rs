//! The custom resources: Katib's Experiment, Trial and Suggestion, `kubeflow.org/v1beta1`.
//!
//! Their schemas come from the documentation of the fields: the Experiment's spec from [`controller_core::fields`],
//! which is held to the types it is read into, everything else from the table here, to which what is shown is held. A
//! schema gives types and teaches; it refuses as little as it can, because the validator says more and says it better.

mod definition;
mod schema;
mod table;

pub use definition::{GROUP, Kind, VERSION, definition, manifest};
