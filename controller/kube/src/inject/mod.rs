//! The metrics sidecar in the pods of a run: what is put in where, and how the program's command is wrapped for it.
//!
//! Pure: [`object`] changes an object whose pods are made from templates that it holds, [`pod`] one pod or template.
//! What was put in once is not put in again.

mod container;
mod edit;
mod leave;
mod object;
mod pod;
mod resources;
mod settings;
#[cfg(test)]
mod tests;
mod wrap;

pub(crate) use container::{AUDIENCE, CONTAINERS, TRIAL_NAME};
pub use object::object;
pub use pod::{InjectError, Injected, pod};
pub(crate) use pod::{SIDECAR, tag};
pub use resources::{Resources, ResourcesError};
pub use settings::{Authorities, Settings};
