//! Connections, and what their errors mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::ports::StoreError;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Connection as _, Executor as _};

/// Connections that read at once.
const READERS: u32 = 4;
/// Connections to PostgreSQL at once.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Longest wait for a connection or a lock.
const PATIENCE: Duration = Duration::from_secs(10);

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
            let pool =
                options.connect(url).await.map_err(|error| describe("cannot reach PostgreSQL", &error))?;
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

    async fn open_file(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: &dyn std::fmt::Display| {
            let path = path.display();
            StoreError::Failed(format!("{path}: {error}; choose another place with --store"))
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
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
            AnyPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE).after_connect(
                |connection, _| {
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
                },
            )
        };
        let open = |connections| {
            let (pool, url) = (pool(connections), url.clone());
            async move { pool.connect(&url).await }
        };
        // A pool tries again and again; one connection says at once what is wrong.
        let mut first = sqlx::AnyConnection::connect(&url).await.map_err(|error| failed(&error))?;
        first.execute("SELECT COUNT(*) FROM sqlite_master").await.map_err(|error| failed(&error))?;
        first.close().await.map_err(|error| failed(&error))?;
        let write = open(1).await.map_err(|error| failed(&error))?;
        let read = open(READERS).await.map_err(|error| failed(&error))?;
        Ok(Self { place: Place::File(path.to_owned()), read, write })
    }
}

/// What an error of the database means to callers.
pub(crate) fn describe(what: &str, error: &sqlx::Error) -> StoreError {
    let text = match error {
        sqlx::Error::Database(database) => format!("{what}: {}", database.message()),
        other => format!("{what}: {other}"),
    };
    let busy = [
        "database is locked",
        "database table is locked",
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

/// For `map_err`: an error while doing something.
pub(crate) fn during(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| describe(what, &error)
}
