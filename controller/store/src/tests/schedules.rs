//! Schedules: what people want and what is decided are written by different hands.

use controller_core::experiment::{ExperimentId, ExperimentStatus};
use controller_core::ports::{Batch, Schedules as _, Store as _, StoreError};
use controller_core::schedule::{Cause, Pending, ScheduleState, Scheduled};
use controller_core::time::Timestamp;

use super::contract::record;
use crate::store::SqlStore;

const ID: ExperimentId = ExperimentId(1);

async fn what_is_wanted_and_what_is_decided_stand_side_by_side(store: SqlStore) {
    assert_eq!(store.schedule(ID).await.unwrap(), Scheduled::default());
    store.create_experiment(&record(1, "a"), &ExperimentStatus::default(), &[]).await.unwrap();
    assert_eq!(store.ask_for_run(ID, Cause::Drift).await.unwrap(), 1);
    assert_eq!(store.ask_for_run(ID, Cause::Person).await.unwrap(), 2);
    let lease = store.acquire(ID, "me").await.unwrap().unwrap();
    let pending = Pending { n: 1, cause: Cause::Person, at: Timestamp(5), first: None };
    let state = ScheduleState { n_runs: 1, taken: 2, pending: Some(pending), ..ScheduleState::default() };
    store.keep_schedule(&lease, &state).await.unwrap();
    store.suspend_schedule(ID, true).await.unwrap();
    let kept =
        Scheduled { suspended: Some(true), asked: 2, cause: Cause::Person, state: Some(state.clone()) };
    assert_eq!(store.schedule(ID).await.unwrap(), kept);

    // Whoever has the lease next decides.
    store.release(&lease).await.unwrap();
    let next = store.acquire(ID, "you").await.unwrap().unwrap();
    let late = store.keep_schedule(&lease, &ScheduleState::default()).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(ID))), "{late:?}");
    assert_eq!(store.schedule(ID).await.unwrap(), kept);

    // Erased with its template.
    store.commit(&next, &Batch { delete: true, ..Batch::default() }).await.unwrap();
    assert!(store.purge(ID).await.unwrap());
    assert_eq!(store.schedule(ID).await.unwrap(), Scheduled::default());
}

async fn a_run_is_born_once(store: SqlStore) {
    store.create_experiment(&record(2, "a-1"), &ExperimentStatus::default(), &[]).await.unwrap();
    let lease = store.acquire(ExperimentId(2), "me").await.unwrap().unwrap();
    store.commit(&lease, &Batch { delete: true, ..Batch::default() }).await.unwrap();
    // Its name is free, its identity is not.
    let again = store.create_experiment(&record(2, "a-1"), &ExperimentStatus::default(), &[]).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "{again:?}");
}

async fn both(store: impl AsyncFn() -> SqlStore) {
    what_is_wanted_and_what_is_decided_stand_side_by_side(store().await).await;
    a_run_is_born_once(store().await).await;
}

#[tokio::test]
async fn schedules_in_memory() {
    both(async || SqlStore::open("sqlite::memory:").await.unwrap()).await;
}

#[tokio::test]
async fn schedules_in_postgres() {
    if std::env::var_os("CAIRN_NO_POSTGRES").is_some() {
        e2e::skipped("PostgreSQL: CAIRN_NO_POSTGRES is set");
        return;
    }
    let first = e2e::postgres::shared().database("schedules");
    what_is_wanted_and_what_is_decided_stand_side_by_side(SqlStore::open(&first).await.unwrap()).await;
    let second = e2e::postgres::shared().database("schedules_born");
    a_run_is_born_once(SqlStore::open(&second).await.unwrap()).await;
}
