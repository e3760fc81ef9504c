//! What the executor says may be late, repeated or lost; and runs that nobody waits for.

use std::time::Duration;

use controller_core::ports::{Executor as _, Store as _};

use super::executor::Telling;
use super::world::{Spec, Story, WELL};
use crate::driver::{RELIST, TICK};

/// How long a driver takes to notice an end.
async fn noticed(tellings: Vec<Telling>) -> Duration {
    let story = Story::of(&Spec::of("random", 1, 1)).await;
    story.executor.tell(tellings);
    let status = story.drive_to_rest(story.all_end_well()).await;
    status.completed.unwrap().since(story.trials().await[0].ended.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_heard_is_seen() {
    assert!(noticed(vec![Telling::Never]).await <= RELIST + TICK);
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_after_an_end_does_not_undo_it() {
    assert_eq!(noticed(vec![Telling::Late, Telling::Once]).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_waits_for_is_stopped_and_forgotten() {
    let story = Story::of(&Spec::of("random", 1, 1)).await;
    let begun = async { drop(story.alive(1).await) };
    story.drive_until(begun).await;
    // Somebody who has lost the lease begins an attempt that was never written down.
    let mut stray = story.executor.run(story.alive(1).await[0]);
    stray.id.attempt = 7;
    story.executor.ensure(&stray).await.unwrap();
    story.executor.end(story.alive(2).await[0], WELL).await;
    story.drive_while(story.stopped(1)).await.unwrap().unwrap();
    assert_eq!(story.executor.known(), []);
    assert_eq!(story.store.runs(story.id, None).await.unwrap().len(), 1);
}
