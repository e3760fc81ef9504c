//! Kubernetes: the custom resources, what is shown in them of the store, the wishes that are read from them, and trials
//! as objects of any kind.
//!
//! One half is pure, makes and reads objects, and talks to no API server: [`resources`], [`project`], [`wishes`],
//! [`job`], [`inject`] and [`install`]. The other half acts by it: a [`Cluster`] is found, its custom resources are
//! [`Watched`], the [`KubeExecutor`] runs trials there, the [`Reconciler`] takes in experiments and shows how they go, and
//! the API server asks [`webhook`]s, which it knows by [`certificates`]. Nothing of a cluster but what is
//! wished in it is taken for the truth.

mod answer;
mod brief;
mod cache;
pub mod certificates;
mod client;
mod discovery;
mod executor;
pub mod inject;
pub mod install;
pub mod job;
mod katib_config;
mod lease;
pub mod names;
mod peers;
pub mod project;
mod reconcile;
mod recover;
mod reporters;
pub mod resources;
mod template;
mod token;
mod watched;
pub mod webhook;
pub mod wishes;

pub use client::{Cluster, ConnectError, Options};
pub use executor::KubeExecutor;
pub use katib_config::{KatibConfig, KatibConfigs};
pub use lease::{Candidate, Leadership, Obstacle, Standing};
pub use peers::PodPeers;
pub use reconcile::Reconciler;
pub use recover::Shown;
pub use reporters::PodReporters;
pub use watched::Watched;
