//! A run as an object of whatever kind its trial template has: what to create, and how it goes.

mod existing;
mod gjson;
mod object;
mod process;
mod reading;
mod slots;
mod status;
#[cfg(test)]
mod tests;

pub use existing::{Existing, existing, run_id};
pub use gjson::{Path, PathError};
pub use object::{ObjectError, has_pods, object, primary_pods};
pub(crate) use process::CONTAINER;
pub use reading::Reading;
pub use status::{ReadError, status};
