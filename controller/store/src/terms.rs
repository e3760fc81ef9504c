//! Terms: one server that writes among several that share a store.
//!
//! A server that takes over raises the number of its scope. Every transaction that writes looks at that number first, and
//! holds on to it until it ends; so after a term was taken nothing of an older one is written, however long its server
//! has slept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use controller_core::ports::{StoreError, Term};
use sqlx::{Any, Row as _, Transaction};

use crate::database::{Database, Place, during};
use crate::experiments::int;

/// How long a transaction of the term before may keep a new one waiting; one whose server sleeps is broken off before.
const PATIENCE: Duration = Duration::from_secs(15);

/// What this process may write.
#[derive(Clone, Debug, Default)]
enum May {
    /// Everything: it shares the store with nobody, or with processes that heed the leases of experiments.
    #[default]
    Write,
    /// Nothing, and why.
    Read(String),
    /// What it writes in its term.
    Term(Term),
}

/// Stands before every write.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    may: Mutex<May>,
    begun: AtomicU64,
}

impl Fence {
    /// Begins a transaction that writes, if this process may.
    pub(crate) async fn begin(&self, database: &Database) -> Result<Transaction<'static, Any>, StoreError> {
        let term = match self.may() {
            May::Write => None,
            May::Read(why) => return Err(StoreError::StandsBy(why)),
            May::Term(term) => Some(term),
        };
        let mut tx = database.begin().await.map_err(during("the store cannot be written"))?;
        if let Some(term) = term {
            check(&mut tx, database, &term).await?;
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(tx)
    }

    /// How many transactions that write this process has begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether this process has begun a term.
    pub(crate) fn has_term(&self) -> bool {
        matches!(self.may(), May::Term(_))
    }

    /// Refuses all writes from now on.
    pub(crate) fn stand_by(&self, why: &str) {
        self.set(May::Read(why.to_owned()));
    }

    /// Begins a term; see [`controller_core::ports::Terms::take_term`].
    pub(crate) async fn take(
        &self,
        database: &Database,
        scope: &str,
        holder: &str,
    ) -> Result<Term, StoreError> {
        let late = |_| StoreError::Unavailable("the term before does not end".into());
        let term = tokio::time::timeout(PATIENCE, next(database, scope, holder)).await.map_err(late)??;
        self.set(May::Term(term.clone()));
        Ok(term)
    }

    fn may(&self) -> May {
        self.may.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, may: May) {
        *self.may.lock().unwrap_or_else(PoisonError::into_inner) = may;
    }
}

/// Refuses what is written after the end of a term, and keeps others from ending it before the transaction is over.
async fn check(tx: &mut Transaction<'_, Any>, database: &Database, term: &Term) -> Result<(), StoreError> {
    let query = match database.place {
        Place::Postgres => "SELECT term, holder FROM terms WHERE scope = $1 FOR SHARE",
        // Who writes is alone there anyway.
        Place::Memory | Place::File(_) => "SELECT term, holder FROM terms WHERE scope = $1",
    };
    let failed = during("the term cannot be read");
    let row = sqlx::query(query).bind(term.scope.clone()).fetch_optional(&mut **tx).await.map_err(&failed)?;
    let Some(row) = row else { return Err(over(term, "nobody")) };
    if int(&row, "term")? == term.number {
        return Ok(());
    }
    Err(over(term, &row.try_get::<String, _>("holder").map_err(failed)?))
}

fn over(term: &Term, holder: &str) -> StoreError {
    StoreError::StandsBy(format!("this Cairn's term {} is over: {holder} has taken the next", term.number))
}

async fn next(database: &Database, scope: &str, holder: &str) -> Result<Term, StoreError> {
    let failed = during("a term cannot be begun");
    let mut tx = database.begin().await.map_err(&failed)?;
    let row = sqlx::query(
        "INSERT INTO terms (scope, term, epoch, holder) VALUES ($1, 1, 1, $2)
         ON CONFLICT (scope) DO UPDATE
         SET term = terms.term + 1, epoch = terms.epoch + 1, holder = excluded.holder
         RETURNING term, epoch",
    )
    .bind(scope.to_owned())
    .bind(holder.to_owned())
    .fetch_one(&mut *tx)
    .await
    .map_err(&failed)?;
    tx.commit().await.map_err(&failed)?;
    Ok(Term { scope: scope.to_owned(), number: int(&row, "term")?, epoch: int(&row, "epoch")? })
}

/// How far the store has come in a scope.
pub(crate) async fn epoch(database: &Database, scope: &str) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query("SELECT epoch FROM terms WHERE scope = $1")
        .bind(scope.to_owned())
        .fetch_optional(&database.read)
        .await
        .map_err(during("the epoch cannot be read"))?;
    row.map(|row| int(&row, "epoch")).transpose()
}

/// Raises the epoch of a term that is not over.
pub(crate) async fn raise_epoch(database: &Database, term: &Term, at_least: i64) -> Result<i64, StoreError> {
    let failed = during("the epoch cannot be raised");
    let mut tx = database.begin().await.map_err(&failed)?;
    let row = sqlx::query(
        "UPDATE terms SET epoch = CASE WHEN epoch < $3 THEN $3 ELSE epoch + 1 END
         WHERE scope = $1 AND term = $2 RETURNING epoch",
    )
    .bind(term.scope.clone())
    .bind(term.number)
    .bind(at_least)
    .fetch_optional(&mut *tx)
    .await
    .map_err(&failed)?;
    let Some(row) = row else { return Err(over(term, "another")) };
    tx.commit().await.map_err(&failed)?;
    int(&row, "epoch")
}
