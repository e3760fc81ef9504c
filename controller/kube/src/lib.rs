//! Kubernetes: the custom resources, what is shown in them of the store, the wishes that are read from them, and trials
//! as objects of any kind.
//!
//! Everything here is pure: it makes and reads objects, and talks to no API server. Entry points: [`resources`],
//! [`project`], [`wishes`] and [`job`].

pub mod job;
pub mod names;
pub mod project;
pub mod resources;
pub mod wishes;
