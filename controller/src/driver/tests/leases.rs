//! One driver an experiment: the second waits, and who has lost the lease writes nothing.

use std::time::Duration;

use controller_core::event::{Event, StoredEvent};
use controller_core::ports::{Batch, Store as _, StoreError};
use controller_core::run::RunId;
use study::TrialIdx;

use super::world::{Spec, Story, WELL};
use crate::driver::{DriverError, drive, lead};

#[tokio::test(start_paused = true)]
async fn a_second_driver_waits_for_the_first() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let second = Box::pin(drive(&story.world, story.id));
    let first = story.drive_to_rest(story.all_end_well());
    let (_, second) = tokio::join!(first, second);
    assert_eq!(story.status().await.generation, 1, "the second never led");
    assert!(second.unwrap().is_completed());
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lease_writes_nothing() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let lost = story.store.acquire(story.id, "first").await.unwrap().unwrap();
    let first = Box::pin(lead(&story.world, &lost));
    let second = async {
        let runs = story.alive(2).await;
        // The first is cut off; the database frees what it held, and somebody else goes on.
        story.store.free_leases().await;
        let lease = story.store.acquire(story.id, "second").await.unwrap().unwrap();
        assert!(lease.generation > lost.generation);
        story.executor.end(runs[0], WELL).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
    };
    tokio::select! {
        outcome = first => {
            let error = outcome.unwrap_err();
            assert!(matches!(error, DriverError::Store(StoreError::LeaseLost(_))) && error.may_pass());
        }
        () = second => panic!("the first went on"),
    }
    let event = Event::Noted { trial: None, message: "a late word".into() };
    let seq = story.status().await.last_seq + 1;
    let event = StoredEvent { seq, at: story.world.clock.now(), event };
    let late = Batch { events: vec![event], ..Batch::default() };
    let refused = story.store.commit(&lost, &late).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(id)) if id == story.id));
    story.store.free_leases().await;
    story.drive_to_rest(story.all_end_well()).await;
    let status = story.status().await;
    assert_eq!((status.generation, status.counters.succeeded), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lease_ends_no_run_of_the_next() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let lost = story.store.acquire(story.id, "first").await.unwrap().unwrap();
    let first = Box::pin(lead(&story.world, &lost));
    let theirs = RunId { experiment: story.id, trial: TrialIdx(3), attempt: 1 };
    let second = async {
        let runs = story.alive(2).await;
        story.store.free_leases().await;
        story.store.acquire(story.id, "second").await.unwrap().unwrap();
        story.executor.begin_like(runs[0], theirs).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
    };
    tokio::select! {
        outcome = first => {
            assert!(matches!(outcome.unwrap_err(), DriverError::Store(StoreError::LeaseLost(_))));
        }
        () = second => panic!("the first went on"),
    }
    assert!(story.executor.alive().contains(&(theirs, false)), "{:?}", story.executor.alive());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_breaks_off_gives_its_lease_back_and_goes_on() {
    let story = Story::of(&Spec::of("random", 1, 4)).await;
    story.executor.panic(2);
    story.drive_to_rest(story.all_end_well()).await;
    let status = story.status().await;
    assert_eq!((status.generation, status.counters.succeeded), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_always_breaks_off_says_so_and_leaves_the_lease_to_others() {
    let story = Story::of(&Spec::of("random", 1, 4)).await;
    story.executor.panic(u32::MAX);
    let error = drive(&story.world, story.id).await.unwrap_err();
    assert!(error.to_string().ends_with("worth a report: a slip of the executor"), "{error}");
    story.executor.panic(0);
    story.drive_to_rest(story.all_end_well()).await;
    let status = story.status().await;
    assert_eq!((status.generation, status.counters.succeeded), (6, 4));
}

/// Two processes on one file; the first dies with its lock.
#[tokio::test]
async fn a_lease_on_a_file_is_freed_by_death() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("cairn.db").display().to_string();
    let (first, second) =
        (controller_store::open(&url).await.unwrap(), controller_store::open(&url).await.unwrap());
    let story = Story::of(&Spec::of("random", 1, 1)).await;
    let living = story.store.experiments().await.unwrap().remove(0);
    first.create_experiment(&living.record, &living.status, &[]).await.unwrap();
    let lost = first.acquire(story.id, "first").await.unwrap().unwrap();
    assert!(second.acquire(story.id, "second").await.unwrap().is_none());
    drop(first);
    let lease = second.acquire(story.id, "second").await.unwrap().unwrap();
    assert!(lease.generation > lost.generation);
    let refused = second.commit(&lost, &Batch::default()).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))));
}
