//! The [`Store`], [`Promotions`] and [`Outbox`] ports over SQLite and PostgreSQL, with one set of queries.
//!
//! Everything is plain SQL of the common subset, near its use: `experiments`, `trials`, `events`, `observations`,
//! `collections`, `learnt`, `leases`, `terms`, `promotions`, `outbox`,
//! `schedules`. Migrations are part of the binary. Entry point: [`open`].

mod collections;
mod database;
mod events;
mod experiments;
mod learnt;
mod leases;
mod living;
mod migrations;
mod observations;
mod outbox;
mod promotions;
mod schedules;
mod sql;
mod store;
mod terms;
#[cfg(test)]
mod tests;
mod trials;
mod wishes;

use std::sync::Arc;

use controller_core::ports::{Outbox, Promotions, Schedules, Store, StoreError, Terms};

/// Opens a store: `sqlite:PATH` or a bare path, `sqlite::memory:`, or `postgres://...`. What is missing is created:
/// folders, the file, the tables.
///
/// # Errors
/// If the database cannot be reached or written, is none, or was written by a newer Cairn.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(store::SqlStore::open(url).await?))
}

/// One database behind each of its ports.
#[derive(Clone)]
pub struct Opened {
    /// Experiments and trials.
    pub store: Arc<dyn Store>,
    /// Promotions and models.
    pub promotions: Arc<dyn Promotions>,
    /// What is to be told to others.
    pub outbox: Arc<dyn Outbox>,
    /// What is run again.
    pub schedules: Arc<dyn Schedules>,
    /// Which of several servers writes.
    pub terms: Arc<dyn Terms>,
}

/// The same with all its ports.
///
/// # Errors
/// As [`open`].
pub async fn open_all(url: &str) -> Result<Opened, StoreError> {
    let store = Arc::new(store::SqlStore::open(url).await?);
    let (outbox, schedules) = (Arc::clone(&store) as _, Arc::clone(&store) as _);
    let promotions = Arc::clone(&store) as _;
    Ok(Opened { store: Arc::clone(&store) as _, promotions, outbox, schedules, terms: store })
}
