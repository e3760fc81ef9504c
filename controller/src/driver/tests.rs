//! The simulator: the real driver over a virtual clock, an executor whose runs are made up, a real store that breaks off
//! the driver where a story wants it, and the real suggestion service.

mod audit;
mod chaos;
mod edits;
mod endings;
mod executor;
mod faults;
mod fidelity;
mod hearing;
mod laws;
mod leaders;
mod learnt;
mod leases;
mod search;
mod store;
mod wishes;
mod world;
