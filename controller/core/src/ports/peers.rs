//! Who speaks, where only an address is known.

use async_trait::async_trait;

use super::reporters::NotAllowed;

/// A pod that somebody speaks from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPod {
    /// Its namespace.
    pub namespace: String,
    /// The trial that it belongs to, if it does.
    pub trial: Option<String>,
}

/// Finds pods by their addresses.
#[async_trait]
pub trait Peers: Send + Sync {
    /// The pod that has an address of its own; `None` if none has.
    async fn pod(&self, address: &str) -> Result<Option<PeerPod>, NotAllowed>;
}
