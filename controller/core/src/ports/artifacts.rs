//! Keeping files that trials leave.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use thiserror::Error;

/// Why a store of artifacts could not do something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// There is no room: a disk is full, or a quota is used up.
    #[error("{0}")]
    Full(String),
    /// It will say the same next time: a name that cannot be, no right to it.
    #[error("{0}")]
    Refused(String),
    /// What is there is not what was put there.
    #[error("{0}")]
    Damaged(String),
    /// Trying later may help.
    #[error("{0}")]
    Unavailable(String),
}

/// The bytes of a file as they come.
pub type Pieces = BoxStream<'static, Result<Bytes, ArtifactError>>;

/// A file to keep.
pub struct Blob<'a> {
    /// Its bytes in all.
    pub size: u64,
    /// Their SHA-256, in hex.
    pub sha256: &'a str,
    /// Its bytes from an offset on. May be called again, so that what has broken off goes on.
    pub read: &'a (dyn Fn(u64) -> Pieces + Send + Sync),
}

/// Gives files back.
#[async_trait]
pub trait ArtifactSource: Send + Sync {
    /// The bytes of a file.
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError>;
}

/// Takes files in, under keys, which are paths without `.` and `..`.
#[async_trait]
pub trait ArtifactSink: Send + Sync {
    /// Keeps a file, in place of any other of this key. It is not there before it is whole and safe. Twice has the effect
    /// of once.
    async fn put(&self, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError>;
}

/// Keeps files, and lets them go.
#[async_trait]
pub trait ArtifactStore: ArtifactSource + ArtifactSink {
    /// Removes everything at and below these keys, one after the other. What is not there need not be removed.
    async fn remove(&self, keys: &[&str]) -> Result<(), ArtifactError>;
}
