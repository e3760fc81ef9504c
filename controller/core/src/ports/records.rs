//! Telling others what becomes of models, and keeping what is to be told until they have it.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use super::store::{Lease, Observation, StoreError};
use crate::promotion::{Delivery, Queued, Record};
use crate::time::Timestamp;

/// What a trial has measured, and when it ran, as far as the store still knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its values, in the order in which they were written; empty once its experiment is erased.
    pub values: Vec<Observation>,
}

/// Why a target did not take a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It is away or busy: later it may.
    #[error("{why}")]
    Away {
        /// What it said.
        why: String,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It takes nothing from us until a person has changed something: a password, an address. Records wait.
    #[error("{0}")]
    Closed(String),
    /// It will never take this record; those behind it go on.
    #[error("{0}")]
    Refused(String),
}

/// A place elsewhere that records what becomes of models.
#[async_trait]
pub trait RecordTarget: Send + Sync {
    /// Records that a version is the champion now, with all that leads to it. May be called again with the same record,
    /// whole or after any part of it was done: whatever is made carries a key, by which it is looked up first.
    async fn deliver(&self, record: &Record, measured: &Measured) -> Result<(), TargetError>;
}

/// Keeps records until their targets have them. They are queued by [`super::Promotions::keep_promotion`], with what they
/// tell of; what one of these methods returned without error survives any crash.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Names of targets for which something waits.
    async fn lines(&self) -> Result<Vec<String>, StoreError>;
    /// The oldest record that waits for a target.
    async fn first(&self, target: &str) -> Result<Option<Queued>, StoreError>;
    /// Writes down what has come of a record, if the lease of its line is still good.
    async fn delivered(
        &self,
        lease: &Lease,
        target: &str,
        seq: u64,
        delivery: &Delivery,
    ) -> Result<(), StoreError>;
    /// The records of a promotion.
    async fn records(&self, namespace: &str, model: &str, promotion: u64) -> Result<Vec<Queued>, StoreError>;
}
