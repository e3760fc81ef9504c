//! Kubernetes: the custom resources, what is shown in them of the store, the wishes that are read from them, and trials
//! as objects of any kind.
//!
//! One half is pure, makes and reads objects, and talks to no API server: [`resources`], [`project`], [`wishes`] and
//! [`job`]. The other half acts by it: a [`Cluster`] is found, its custom resources are [`Watched`], the [`KubeExecutor`]
//! runs trials there, and the [`Reconciler`] takes in experiments and shows how they go. Nothing of a cluster but what is
//! wished in it is taken for the truth.

mod answer;
mod cache;
mod client;
mod executor;
pub mod job;
pub mod names;
pub mod project;
mod reconcile;
pub mod resources;
mod watched;
pub mod wishes;

pub use client::{Cluster, ConnectError, Options};
pub use executor::KubeExecutor;
pub use reconcile::Reconciler;
pub use watched::Watched;
