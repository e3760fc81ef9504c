//! The tables, as a list of steps from each version to the next.

use controller_core::ports::StoreError;
use sqlx::{Any, AssertSqlSafe, Connection as _, Row as _, Transaction};

use crate::database::{Database, Place, during};

/// Step i leads from version i to version i + 1. Released steps never change.
const STEPS: &[&[&str]] =
    &[FIRST, COLLECTIONS, TERMS, PROMOTIONS, SERVING, REVISIONS, OUTBOX, LEARNT, SCHEDULES];

const FIRST: &[&str] = &[
    "CREATE TABLE experiments (
        id BIGINT PRIMARY KEY, cluster TEXT NOT NULL, uid TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        living BIGINT NOT NULL, created BIGINT NOT NULL, body TEXT NOT NULL)",
    // Of a name there is one living experiment; deleted ones carry their id instead of 0.
    "CREATE UNIQUE INDEX experiments_name ON experiments (cluster, namespace, name, living)",
    "CREATE TABLE experiment_status (experiment_id BIGINT PRIMARY KEY, generation BIGINT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE leases (experiment_id BIGINT PRIMARY KEY, generation BIGINT NOT NULL, holder TEXT NOT NULL)",
    "CREATE TABLE wishes (
        experiment_id BIGINT NOT NULL, wish_no BIGINT NOT NULL, at BIGINT NOT NULL, taken BIGINT NOT NULL,
        kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (experiment_id, wish_no))",
    "CREATE INDEX wishes_open ON wishes (experiment_id, taken)",
    "CREATE TABLE events (
        experiment_id BIGINT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL,
        trial_idx BIGINT, attempt BIGINT, body TEXT NOT NULL, PRIMARY KEY (experiment_id, seq))",
    "CREATE TABLE asks (
        experiment_id BIGINT NOT NULL, first_idx BIGINT NOT NULL, n BIGINT NOT NULL, history_seq BIGINT NOT NULL,
        PRIMARY KEY (experiment_id, first_idx))",
    "CREATE TABLE trials (
        experiment_id BIGINT NOT NULL, idx BIGINT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
        objective DOUBLE PRECISION, created BIGINT NOT NULL, ended BIGINT, body TEXT NOT NULL,
        PRIMARY KEY (experiment_id, idx))",
    "CREATE INDEX trials_state ON trials (experiment_id, state)",
    "CREATE INDEX trials_objective ON trials (experiment_id, objective)",
    "CREATE INDEX trials_ended ON trials (experiment_id, ended)",
    "CREATE INDEX trials_name ON trials (name)",
    "CREATE TABLE runs (
        experiment_id BIGINT NOT NULL, trial_idx BIGINT NOT NULL, attempt BIGINT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (experiment_id, trial_idx, attempt))",
    "CREATE TABLE metrics (
        experiment_id BIGINT NOT NULL, metric_id BIGINT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (experiment_id, metric_id))",
    "CREATE UNIQUE INDEX metrics_name ON metrics (experiment_id, name)",
    "CREATE TABLE observations (
        experiment_id BIGINT NOT NULL, trial_idx BIGINT NOT NULL, attempt BIGINT NOT NULL, source TEXT NOT NULL,
        place BIGINT NOT NULL, nth BIGINT NOT NULL, metric_id BIGINT NOT NULL, at BIGINT, step BIGINT NOT NULL,
        value_text TEXT NOT NULL, value DOUBLE PRECISION,
        PRIMARY KEY (experiment_id, trial_idx, attempt, source, place, nth))",
];

/// The lock under which one server after the other sets up tables.
const TURN: i64 = 0x0063_6169_726e;

/// Runs whose metrics are all there, as those who collect them elsewhere say.
const COLLECTIONS: &[&str] = &["CREATE TABLE collections (
        experiment_id BIGINT NOT NULL, trial_idx BIGINT NOT NULL, attempt BIGINT NOT NULL, at BIGINT NOT NULL,
        body TEXT NOT NULL, PRIMARY KEY (experiment_id, trial_idx, attempt))"];

/// Which of several servers writes, and how far the store has come.
const TERMS: &[&str] = &["CREATE TABLE terms (
        scope TEXT PRIMARY KEY, term BIGINT NOT NULL, epoch BIGINT NOT NULL, holder TEXT NOT NULL)"];

/// Promotions, what came of them, and the log of everything that was done.
const PROMOTIONS: &[&str] = &[
    "CREATE TABLE promotions (
        id BIGINT PRIMARY KEY, namespace TEXT NOT NULL, model TEXT NOT NULL, number BIGINT NOT NULL, ended BIGINT NOT NULL,
        created BIGINT NOT NULL, body TEXT NOT NULL)",
    "CREATE UNIQUE INDEX promotions_number ON promotions (namespace, model, number)",
    "CREATE TABLE versions (
        namespace TEXT NOT NULL, model TEXT NOT NULL, number BIGINT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (namespace, model, number))",
    "CREATE TABLE champions (
        namespace TEXT NOT NULL, model TEXT NOT NULL, number BIGINT NOT NULL, since BIGINT NOT NULL,
        PRIMARY KEY (namespace, model))",
    "CREATE TABLE audit (seq BIGINT PRIMARY KEY, body TEXT NOT NULL)",
];

/// The servers of models.
const SERVING: &[&str] = &["CREATE TABLE serving (
        namespace TEXT NOT NULL, model TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, model))"];

/// How often experiments were written, so that what has not changed need not be read again; in indexes, so that rows need not.
const REVISIONS: &[&str] = &[
    "ALTER TABLE experiments ADD COLUMN revision BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE experiment_status ADD COLUMN revision BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX experiments_revision ON experiments (living, id, revision)",
    "CREATE INDEX experiment_status_revision ON experiment_status (experiment_id, revision)",
    // Of which experiments something is wished is asked many times a second too.
    "CREATE INDEX wishes_of ON wishes (taken, experiment_id)",
];

/// What is to be told to others, one line for each of them.
const OUTBOX: &[&str] = &[
    "CREATE TABLE outbox (
        target TEXT NOT NULL, seq BIGINT NOT NULL, namespace TEXT NOT NULL, model TEXT NOT NULL, promotion BIGINT NOT NULL,
        waits BIGINT NOT NULL, at BIGINT NOT NULL, delivery TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (target, seq))",
    "CREATE INDEX outbox_waits ON outbox (waits, target, seq)",
    "CREATE INDEX outbox_promotion ON outbox (namespace, model, promotion)",
];

/// What algorithms have learnt, the newest of each experiment, in base64.
const LEARNT: &[&str] = &["CREATE TABLE learnt (
        experiment_id BIGINT PRIMARY KEY, maker TEXT NOT NULL, prefix TEXT NOT NULL, state TEXT NOT NULL)"];

/// Templates that are run again and again: what is wanted of them, and what came of it.
const SCHEDULES: &[&str] = &["CREATE TABLE schedules (
        experiment_id BIGINT PRIMARY KEY, suspended BIGINT, asked BIGINT NOT NULL, cause TEXT NOT NULL, body TEXT NOT NULL)"];

/// Brings the database to this version.
pub(crate) async fn run(database: &Database) -> Result<(), StoreError> {
    let failed = during("the tables cannot be set up");
    let mut tx = database.begin().await.map_err(&failed)?;
    if database.place == Place::Postgres {
        // Servers that begin together would make the same table twice, which PostgreSQL refuses.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(TURN)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    }
    sqlx::query("CREATE TABLE IF NOT EXISTS cairn_schema (version BIGINT NOT NULL)")
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
    let row =
        sqlx::query("SELECT MAX(version) FROM cairn_schema").fetch_one(&mut *tx).await.map_err(&failed)?;
    let version = row.try_get::<Option<i64>, _>(0).map_err(&failed)?.unwrap_or(0);
    let known = STEPS.len() as i64;
    if version > known {
        return Err(StoreError::Failed(format!(
            "the store is of version {version}, this Cairn knows {known}; use a newer Cairn or another --store"
        )));
    }
    if version == 0 && has_strange_tables(&mut tx).await? {
        return Err(StoreError::Failed(
            "the database holds tables of something else; give Cairn one of its own with --store".into(),
        ));
    }
    for (i, step) in STEPS.iter().enumerate().skip(version as usize) {
        for statement in *step {
            sqlx::query(AssertSqlSafe(*statement)).execute(&mut *tx).await.map_err(&failed)?;
        }
        let next = i as i64 + 1;
        sqlx::query("INSERT INTO cairn_schema (version) VALUES ($1)")
            .bind(next)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
    }
    tx.commit().await.map_err(&failed)
}

/// Whether a database that Cairn has not set up has a table of a name that it needs.
async fn has_strange_tables(tx: &mut Transaction<'_, Any>) -> Result<bool, StoreError> {
    let mut savepoint = tx.begin().await.map_err(during("the tables cannot be set up"))?;
    // Both databases refuse this where there is no such table.
    let found =
        sqlx::query("SELECT 1 FROM experiments LIMIT 1").fetch_optional(&mut *savepoint).await.is_ok();
    savepoint.rollback().await.map_err(during("the tables cannot be set up"))?;
    Ok(found)
}
