//! The wires, generated from the `.proto` files beside this crate and committed, so that no build needs a generator.
//! A test compares them with fresh output; `CAIRN_UPDATE=1 cargo test -p proto` writes them anew.

/// Cairn's own wire, version 1: the search engine.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the .proto file is the documentation"
)]
#[rustfmt::skip]
#[path = "gen/cairn.v1.rs"]
pub mod cairn;

/// Katib's wire, package `api.v1.beta1`, field for field.
#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated; the .proto file is the documentation"
)]
#[rustfmt::skip]
#[path = "gen/api.v1.beta1.rs"]
pub mod katib;

/// All descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
