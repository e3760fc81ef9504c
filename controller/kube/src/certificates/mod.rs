//! Certificates that Cairn makes itself, for the API server and for sidecars to know it by.
//!
//! An authority of its own is good for long, what it signs is not. Both are made anew in time: a new authority is among
//! those to be trusted a year before anything is signed by it, so that whoever was told of the old one alone has that
//! long. `plan` says what is to be done, [`Certificates`] does it; everything is kept in one Secret, so that replicas
//! share it and a restart changes nothing.

mod keep;
mod make;
mod plan;

pub use keep::{Certificates, CertificatesError, Issued};
