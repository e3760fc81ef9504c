//! Architectures as values, and the search for them. Pure: no service, file, clock or global random source.
//!
//! An architecture is a point of a [`study::Space`] of names, so it travels and is stored as any other point; what it is
//! beyond that comes from the set it belongs to ([`Architectures`]):
//!
//! | set | its architectures | one and the same are |
//! |---|---|---|
//! | [`CellSpace`] | cells: graphs with operations on edges, as in NAS-Bench-201 and DARTS | cells that compute the same as published, or that are isomorphic |
//! | [`Chains`] | layers in a row with skip connections, as Katib's `nasConfig` has them | equal ones |
//! | [`Choices`] | any names under conditions | equal ones |
//!
//! [`moves`] steps from one to others, [`cost`] counts what one costs, and [`search`] looks for good ones. [`enas`] learns
//! to write chains down; [`darts`] hands a supernet to a trial that searches by itself; [`graph`] draws what is found.

mod architectures;
mod cell;
mod cells;
mod chain;
pub mod cost;
pub mod darts;
pub mod enas;
pub mod graph;
pub mod landscape;
pub mod moves;
mod operation;
pub mod search;

pub use architectures::{Architectures, Choices, NoArchitectures, adjacency_encoding, architectures_of};
pub use cell::{Cell, Edge, Likeness, Output};
pub use cells::{CellError, CellSpace, TooManyNodes, Wiring};
pub use chain::{Chain, Chains, Layer};
pub use operation::{Operation, UnknownOperation};
