//! What trials leave behind: sealing a folder, and the stores that keep it.
//!
//! Whoever seals and whoever keeps share this crate: the controller of trials on this machine, and the sidecar of a
//! pod. Entry points: [`Folder`] seals, [`open`] finds a store, [`send`] and [`fetch`] move a sealed folder, [`https()`]
//! connects to servers elsewhere. It knows no experiment and decides nothing.

mod files;
mod http;
mod objects;
mod open;
mod seal;
#[cfg(test)]
mod tests;
mod transfer;

pub use files::{Files, Incoming, pieces};
pub use http::{Https, https};
pub use open::open;
pub use seal::{Folder, SealError};
pub use transfer::{fetch, file, forget, manifest, patiently, send};
