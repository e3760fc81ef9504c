//! The API: operations over the world (`service`), and the doors to them: HTTP/JSON (`http`) and gRPC (`grpc`).
//!
//! The command line speaks the same HTTP, over a socket or within one process ([`client`]), so whatever it can do is in
//! the API.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod service;
pub(crate) mod tls;
pub(crate) mod types;
pub(crate) mod webhooks;

use crate::world::World;

/// What all operations act upon. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    /// One of each port.
    pub(crate) world: World,
    /// Below here lie the folders of runs.
    pub(crate) runs: std::path::PathBuf,
    /// Rules over values that programs report themselves.
    pub(crate) watches: service::PushWatches,
}
