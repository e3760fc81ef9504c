//! Webhooks: what the API server asks before it stores an Experiment or a pod.
//!
//! What is asked and answered is Kubernetes' own ([`Webhooks::answer`]); whoever serves it carries bytes. The API server is
//! told of them by [`register`].

mod access;
pub mod configuration;
mod defaults;
mod experiment;
mod pod;
mod refused;
mod register;
mod review;

pub use configuration::{Hooks, Reach};
pub use register::{register, withdraw};
pub use review::{Hook, Webhooks};
