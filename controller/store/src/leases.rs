//! Leases: one driver an experiment, freed by its death.
//!
//! In SQLite the right is a file lock beside the database, in PostgreSQL an advisory lock held by a connection of its
//! own. Either way taking it raises a generation that every write of a driver checks.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use controller_core::experiment::ExperimentId;
use controller_core::ports::{Lease, StoreError};
use rustix::fs::{FlockOperation, flock};
use sqlx::pool::PoolConnection;
use sqlx::{Any, Row as _, Transaction};
use tokio::sync::Mutex;

use crate::database::{Database, Place, during};
use crate::experiments::int;

/// What a lease stands on; dropping it frees the lease.
enum Hold {
    Memory,
    File { _locked: File },
    Connection(PoolConnection<Any>),
}

/// Leases held by this process.
#[derive(Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<ExperimentId, Hold>>,
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leases")
    }
}

impl Leases {
    pub(crate) async fn acquire(
        &self,
        database: &Database,
        id: ExperimentId,
        holder: &str,
    ) -> Result<Option<Lease>, StoreError> {
        let mut held = self.held.lock().await;
        if held.contains_key(&id) {
            return Ok(None);
        }
        let hold = match &database.place {
            Place::Memory => Some(Hold::Memory),
            Place::File(path) => lock_file(path, id)?,
            Place::Postgres => lock_connection(database, id).await?,
        };
        let Some(hold) = hold else { return Ok(None) };
        let failed = during("the lease cannot be stored");
        let row = sqlx::query(
            "INSERT INTO leases (experiment_id, generation, holder) VALUES ($1, 1, $2)
             ON CONFLICT (experiment_id) DO UPDATE SET generation = leases.generation + 1, holder = excluded.holder
             RETURNING generation",
        )
        .bind(id.0)
        .bind(holder.to_owned())
        .fetch_one(&database.write)
        .await
        .map_err(&failed)?;
        held.insert(id, hold);
        Ok(Some(Lease { experiment: id, generation: int(&row, "generation")? }))
    }

    pub(crate) async fn release(&self, database: &Database, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query("UPDATE leases SET holder = '' WHERE experiment_id = $1 AND generation = $2")
            .bind(lease.experiment.0)
            .bind(lease.generation)
            .execute(&database.write)
            .await
            .map_err(during("the lease cannot be given back"))?;
        if let Some(Hold::Connection(connection)) = self.held.lock().await.remove(&lease.experiment) {
            // The server frees its locks with the connection.
            drop(connection.detach());
        }
        Ok(())
    }
}

/// Who drives an experiment, as far as was written down.
pub(crate) async fn holder(database: &Database, id: ExperimentId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT holder FROM leases WHERE experiment_id = $1")
        .bind(id.0)
        .fetch_optional(&database.read)
        .await
        .map_err(during("the lease cannot be read"))?;
    let holder: Option<String> =
        row.map(|row| row.try_get("holder")).transpose().map_err(during("the lease cannot be read"))?;
    Ok(holder.filter(|holder| !holder.is_empty()))
}

/// Refuses a write whose lease is not the newest.
pub(crate) async fn check(tx: &mut Transaction<'_, Any>, lease: &Lease) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT generation FROM leases WHERE experiment_id = $1")
        .bind(lease.experiment.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(during("the lease cannot be read"))?;
    match row {
        Some(row) if int(&row, "generation")? == lease.generation => Ok(()),
        _ => Err(StoreError::LeaseLost(lease.experiment)),
    }
}

fn lock_file(database: &std::path::Path, id: ExperimentId) -> Result<Option<Hold>, StoreError> {
    let mut folder = database.as_os_str().to_owned();
    folder.push(".leases");
    let folder = PathBuf::from(folder);
    let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = File::create(folder.join(format!("{:x}", id.0))).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Hold::File { _locked: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

async fn lock_connection(database: &Database, id: ExperimentId) -> Result<Option<Hold>, StoreError> {
    let failed = during("the lease cannot be taken");
    let mut connection = database.write.acquire().await.map_err(&failed)?;
    let row =
        sqlx::query("SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1::BIGINT ELSE 0::BIGINT END AS locked")
            .bind(id.0)
            .fetch_one(&mut *connection)
            .await
            .map_err(&failed)?;
    Ok((int(&row, "locked")? == 1).then_some(Hold::Connection(connection)))
}
