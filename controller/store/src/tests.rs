//! The contract that every store keeps, run against SQLite in memory and in a file, and against a real PostgreSQL.

mod contract;
mod faults;
mod outbox;
mod postgres;
mod promotions;
mod schedules;
mod terms;

use controller_core::ports::Store;
use std::sync::Arc;

/// Runs a part of the contract against every store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite_memory { $(#[tokio::test] async fn $name() { super::contract::$name(super::memory().await).await; })* }
        mod sqlite_file {
            $(#[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::contract::$name(super::file(&folder).await).await;
            })*
        }
        mod postgresql {
            $(#[tokio::test]
            async fn $name() {
                let Some(store) = super::postgres::store(stringify!($name)).await else { return };
                super::contract::$name(store).await;
            })*
        }
    };
}

on_every_store!(
    an_experiment_is_found_by_name_and_by_id,
    a_name_is_taken_until_its_experiment_is_deleted,
    what_is_written_is_listed_and_nothing_else_is_read_again,
    a_commit_writes_everything_or_nothing,
    events_come_back_in_order_and_in_pages,
    trials_are_filtered_sorted_and_paged,
    observations_are_kept_once,
    numbers_that_are_none_are_read_back,
    numbers_come_where_there_were_none_before,
    pushed_values_get_places_behind_each_other,
    what_a_collector_says_at_its_end_stays,
    what_was_learnt_last_is_kept_as_long_as_its_experiment,
    wishes_wait_until_they_are_taken,
    an_older_lease_cannot_write,
);

async fn memory() -> Arc<dyn Store> {
    crate::open("sqlite::memory:").await.unwrap()
}

async fn file(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    crate::open(folder.path().join("sub/cairn.db").to_str().unwrap()).await.unwrap()
}
