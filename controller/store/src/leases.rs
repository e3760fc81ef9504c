//! Leases: one driver an experiment, freed by its death.
//!
//! In SQLite the right is a file lock beside the database, in PostgreSQL an advisory lock held by the one connection
//! that a process keeps for all its leases. Either way taking it raises a generation that every write of a driver checks.
//! A server with a term of the store ([`crate::terms`]) takes it without the lock if need be: all others may write no more.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::experiment::ExperimentId;
use controller_core::ports::{Lease, StoreError};
use rustix::fs::{FlockOperation, flock};
use sqlx::{Any, AnyConnection, Connection as _, Row as _, Transaction};
use tokio::sync::Mutex;

use crate::database::{Database, Place, during};
use crate::experiments::int;
use crate::terms::Fence;

/// How often a lock is tried for before somebody else is said to have it.
const LOOKS: u32 = 3;
/// How long somebody who only looks may have it.
const MOMENT: Duration = Duration::from_millis(5);

/// What a lease stands on; dropping it frees the lease.
enum Hold {
    Nothing,
    File { _locked: File },
    Session,
}

/// Leases held by this process.
#[derive(Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<ExperimentId, Hold>>,
    /// The connection whose death frees all leases of this process in PostgreSQL.
    session: Mutex<Option<AnyConnection>>,
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
        fence: &Fence,
        id: ExperimentId,
        holder: &str,
    ) -> Result<Option<Lease>, StoreError> {
        let mut held = self.held.lock().await;
        if held.contains_key(&id) {
            return Ok(None);
        }
        let hold = match &database.place {
            Place::Memory => Some(Hold::Nothing),
            Place::File(path) => lock(path, id).await?,
            Place::Postgres => self.lock_session(database, id).await?,
        };
        // Whoever has a term needs no lock, which a server that sleeps would keep for ever.
        let Some(hold) = hold.or_else(|| fence.has_term().then_some(Hold::Nothing)) else { return Ok(None) };
        let failed = during("the lease cannot be stored");
        // Outside of a transaction a row would come back before it is known whether the disk had room for it.
        let mut tx = fence.begin(database).await?;
        let row = sqlx::query(
            "INSERT INTO leases (experiment_id, generation, holder) VALUES ($1, 1, $2)
             ON CONFLICT (experiment_id) DO UPDATE SET generation = leases.generation + 1, holder = excluded.holder
             RETURNING generation",
        )
        .bind(id.0)
        .bind(holder.to_owned())
        .fetch_one(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        held.insert(id, hold);
        Ok(Some(Lease { experiment: id, generation: int(&row, "generation")? }))
    }

    /// Gives a lease back; freed it is in any case, also where the database cannot be told.
    pub(crate) async fn release(
        &self,
        database: &Database,
        fence: &Fence,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let hold = self.held.lock().await.remove(&lease.experiment);
        if let Some(Hold::Session) = hold {
            self.unlock_session(lease).await;
        }
        let failed = during("the lease cannot be given back");
        let mut tx = fence.begin(database).await?;
        sqlx::query("UPDATE leases SET holder = '' WHERE experiment_id = $1 AND generation = $2")
            .bind(lease.experiment.0)
            .bind(lease.generation)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(failed)
    }

    async fn unlock_session(&self, lease: &Lease) {
        let mut held = self.session.lock().await;
        let Some(session) = &mut *held else { return };
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(lease.experiment.0).execute(session);
        if unlock.await.is_err() {
            // Its server frees all locks of a session that is gone.
            *held = None;
        }
    }

    async fn lock_session(&self, database: &Database, id: ExperimentId) -> Result<Option<Hold>, StoreError> {
        let failed = during("the lease cannot be taken");
        let mut held = self.session.lock().await;
        if let Some(session) = &mut *held
            && session.ping().await.is_err()
        {
            // The server has freed its locks; writes under them are refused once somebody else has taken them.
            *held = None;
        }
        let session = match &mut *held {
            Some(session) => session,
            none => none.insert(database.write.acquire().await.map_err(&failed)?.detach()),
        };
        let locked = "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1::BIGINT ELSE 0::BIGINT END AS locked";
        let row = sqlx::query(locked).bind(id.0).fetch_one(session).await.map_err(&failed)?;
        Ok((int(&row, "locked")? == 1).then_some(Hold::Session))
    }
}

/// Who drives an experiment; `None` if whoever took the lease last is dead or has given it back.
pub(crate) async fn holder(database: &Database, id: ExperimentId) -> Result<Option<String>, StoreError> {
    if !is_held(database, id).await? {
        return Ok(None);
    }
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

async fn is_held(database: &Database, id: ExperimentId) -> Result<bool, StoreError> {
    match &database.place {
        Place::Memory => Ok(true),
        Place::File(path) => {
            let file = lock_file(path, id)?;
            Ok(matches!(
                flock(&file, FlockOperation::NonBlockingLockShared),
                Err(rustix::io::Errno::WOULDBLOCK)
            ))
        }
        Place::Postgres => {
            let locks = "SELECT COUNT(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
                         AND classid::BIGINT = $1 AND objid::BIGINT = $2";
            let failed = during("the lease cannot be read");
            let (high, low) = (id.0 >> 32 & 0xffff_ffff, id.0 & 0xffff_ffff);
            let row =
                sqlx::query(locks).bind(high).bind(low).fetch_one(&database.read).await.map_err(failed)?;
            Ok(int(&row, "n")? > 0)
        }
    }
}

fn lock_file(database: &Path, id: ExperimentId) -> Result<File, StoreError> {
    let mut folder = database.as_os_str().to_owned();
    folder.push(".leases");
    let folder = PathBuf::from(folder);
    let failed = |error: std::io::Error| StoreError::Failed(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    File::create(folder.join(format!("{:x}", id.0))).map_err(failed)
}

async fn lock(database: &Path, id: ExperimentId) -> Result<Option<Hold>, StoreError> {
    let file = lock_file(database, id)?;
    for _ in 0..LOOKS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Hold::File { _locked: file })),
            // Whoever asks for the holder has the file locked for a moment.
            Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(MOMENT).await,
            Err(error) => return Err(StoreError::Failed(format!("{}: {error}", database.display()))),
        }
    }
    Ok(None)
}
