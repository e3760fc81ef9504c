//! `katib-config`, which people have from Katib: images of algorithms, and what collectors of metrics ask for.
//!
//! An algorithm that has an image of somebody's own there gets its Deployment and Service, as with Katib, for as long as its
//! experiment goes on; the Experiment says so in `spec.algorithm.endpoint`, and the driver asks there. Images that are Katib's
//! own are not started: Cairn has what is in them. What is not understood is said.

mod keep;
mod parse;
mod service;

pub use keep::KatibConfigs;
pub use parse::KatibConfig;
pub(crate) use service::{fill_in, objects, service_of};
