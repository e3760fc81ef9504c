//! The [`Store`] port over SQLite and PostgreSQL, with one set of queries.
//!
//! Everything is plain SQL of the common subset, near its use: `experiments`, `trials`, `events`, `observations`,
//! `leases`. Migrations are part of the binary. Entry point: [`open`].

mod database;
mod events;
mod experiments;
mod leases;
mod migrations;
mod observations;
mod sql;
mod store;
#[cfg(test)]
mod tests;
mod trials;

use std::sync::Arc;

use controller_core::ports::{Store, StoreError};

/// Opens a store: `sqlite:PATH` or a bare path, `sqlite::memory:`, or `postgres://...`. What is missing is created:
/// folders, the file, the tables.
///
/// # Errors
/// If the database cannot be reached or written, is none, or was written by a newer Cairn.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(store::SqlStore::open(url).await?))
}
