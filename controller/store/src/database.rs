//! Connections, and what their errors mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::ports::StoreError;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

/// Connections that read at once.
const READERS: u32 = 4;
/// Connections to PostgreSQL at once.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Longest wait for a connection or a lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that sleeps in the middle of a transaction loses it, and with it the locks that others wait for.
const IDLE_IN_TRANSACTION: &str = "SET idle_in_transaction_session_timeout = '5s'";

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process only.
    Memory,
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL server.
    Postgres,
}

/// A database with a pool for reading and one for writing.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) place: Place,
    pub(crate) read: AnyPool,
    pub(crate) write: AnyPool,
}

impl Database {
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options =
                AnyPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(PATIENCE);
            let options = options.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(IDLE_IN_TRANSACTION).await.map(drop) })
            });
            // A pool tries again and again; one connection says at once what is wrong.
            let first = tokio::time::timeout(PATIENCE, AnyConnection::connect(url)).await;
            let first =
                first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| unreachable(url, &error))?;
            first.close().await.ok();
            let pool = options.connect(url).await.map_err(|error| unreachable(url, &error))?;
            return Ok(Self { place: Place::Postgres, read: pool.clone(), write: pool });
        }
        if url == "sqlite::memory:" {
            // One connection, or each would be a database of its own.
            let options = AnyPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
            let pool = options.connect(url).await.map_err(|error| describe("cannot open SQLite", &error))?;
            return Ok(Self { place: Place::Memory, read: pool.clone(), write: pool });
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        if url.contains("://") && !url.starts_with("sqlite:") {
            return Err(StoreError::Failed(format!(
                "`{url}` is no store; use a path, sqlite:PATH or postgres://..."
            )));
        }
        Self::open_file(path).await
    }

    /// Begins a transaction that writes. In SQLite it takes its turn right away: one that has read before it writes is
    /// refused, however patient, if another process has written in between.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.place {
            Place::Postgres => self.write.begin().await,
            Place::Memory | Place::File(_) => self.write.begin_with("BEGIN IMMEDIATE").await,
        }
    }

    async fn open_file(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: &dyn std::fmt::Display| {
            let path = path.display();
            StoreError::Failed(format!("{path}: {error}; choose another place with --store"))
        };
        let refused = |error: sqlx::Error| failed(&reason(&error));
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| failed(&format!("its folder cannot be made: {error}")))?;
        }
        // Opened first by hand: the reason why it cannot be is then the system's own.
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| failed(&error))?;
        let url = format!("sqlite:{}?mode=rwc", path.display());
        let pool = |connections| {
            let options = AnyPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            let options = options.after_release(|connection, _| Box::pin(is_clean(connection)));
            options.after_connect(|connection, _| {
                Box::pin(async move {
                    for pragma in [
                        "PRAGMA busy_timeout = 10000",
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = FULL",
                        "PRAGMA foreign_keys = ON",
                    ] {
                        connection.execute(pragma).await?;
                    }
                    Ok(())
                })
            })
        };
        let open = |connections| {
            let (pool, url) = (pool(connections), url.clone());
            async move { pool.connect(&url).await }
        };
        // A pool tries again and again; one connection says at once what is wrong.
        let mut first = AnyConnection::connect(&url).await.map_err(refused)?;
        first.execute("SELECT COUNT(*) FROM sqlite_master").await.map_err(refused)?;
        first.close().await.map_err(refused)?;
        let write = open(1).await.map_err(refused)?;
        let read = open(READERS).await.map_err(refused)?;
        Ok(Self { place: Place::File(path.to_owned()), read, write })
    }
}

/// Whether a connection that comes back is as it was lent. SQLite rolls back by itself where the disk is full; the count
/// of open transactions is then wrong, and what is committed later would never be: such a connection is given up.
async fn is_clean(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // Whatever is still to be rolled back has been once this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// What an error of the database means to callers.
pub(crate) fn describe(what: &str, error: &sqlx::Error) -> StoreError {
    let text = format!("{what}: {}", reason(error));
    let busy = [
        "database is locked",
        "database table is locked",
        "disk is full",
        "terminating connection",
        "starting up",
        "shutting down",
    ];
    let passing = match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => busy.iter().any(|word| database.message().contains(word)),
        _ => false,
    };
    if passing { StoreError::Unavailable(text) } else { StoreError::Failed(text) }
}

/// Why, in words that name a way out where there is one.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) if database.message().contains("disk is full") => {
            format!("{}; free some space", database.message())
        }
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => format!("no answer within {} s", PATIENCE.as_secs()),
        other => other.to_string(),
    }
}

/// Why a PostgreSQL cannot be used, with where it should be; its user and password are not repeated.
fn unreachable(url: &str, error: &sqlx::Error) -> StoreError {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let place = place.split('?').next().unwrap_or(place);
    match describe(&format!("cannot reach PostgreSQL at {place}"), error) {
        StoreError::Unavailable(text) => {
            StoreError::Unavailable(format!("{text}; is it running? --store names another place"))
        }
        StoreError::Failed(text) => StoreError::Failed(format!("{text}; --store names another place")),
        other => other,
    }
}

/// For `map_err`: an error while doing something.
pub(crate) fn during(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| describe(what, &error)
}
