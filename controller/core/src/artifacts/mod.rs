//! What trials leave behind: which files, and where they are kept.
//!
//! A sealed folder, such as `model/`, has a manifest beside it that names every file with its size and SHA-256. Files
//! come first and the manifest last, so a folder without one is none that anybody reads; the digest of the whole is the
//! SHA-256 of the manifest.

mod manifest;
mod place;
mod reported;

pub use manifest::{Entry, Manifest, ManifestError, hex, manifest_of};
pub use place::{Scheme, StoreUri, key_of};
pub use reported::{Reported, reported};

/// The folder of a trial's model.
pub const MODEL: &str = "model";
/// The folder of a trial's checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// What a trial says of models that it stores itself.
pub const REPORTED: &str = "artifacts.jsonl";
