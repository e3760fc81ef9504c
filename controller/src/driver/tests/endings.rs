//! How experiments end, and what keeps them from it for a while.

use std::time::Duration;

use controller_core::experiment::ExperimentStatus;
use controller_core::ports::{Store as _, Wish};
use controller_core::run::Exit;
use tokio::time::sleep;

use super::world::{Fate, Spec, Story, WELL};

/// The wish to change nothing; for what it is updated with.
pub(super) fn edit() -> Wish {
    Wish::Edit {
        max_trial_count: None,
        parallel_trial_count: None,
        max_failed_trial_count: None,
        max_duration: None,
        max_gpu_hours: None,
        max_cost: None,
    }
}

pub(super) fn trials(n: i32) -> Wish {
    let mut wish = edit();
    if let Wish::Edit { max_trial_count, .. } = &mut wish {
        *max_trial_count = Some(n);
    }
    wish
}

pub(super) fn parallel(n: i32) -> Wish {
    let mut wish = edit();
    if let Wish::Edit { parallel_trial_count, .. } = &mut wish {
        *parallel_trial_count = Some(n);
    }
    wish
}

fn reason(status: &ExperimentStatus) -> &str {
    &status.conditions.last().unwrap().reason
}

#[tokio::test(start_paused = true)]
async fn a_goal_that_is_reached_stops_what_still_runs() {
    let story = Story::of(&Spec { goal: Some(100.0), ..Spec::of("random", 3, 9) }).await;
    let life = async {
        let runs = story.alive(3).await;
        story.executor.end(runs[1], WELL).await;
        story.stopped(2).await;
    };
    let status = story.drive_to_rest(life).await;
    assert_eq!(reason(&status), "ExperimentGoalReached");
    assert_eq!((status.counters.succeeded, status.counters.killed), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_end_an_experiment() {
    let more = "maxFailedTrialCount: 2".into();
    let story = Story::of(&Spec { more, ..Spec::of("random", 2, 9) }).await;
    let life = async {
        for _ in 0..2 {
            let runs = story.alive(2).await;
            story.executor.end(runs[0], Exit::Code { code: 1 }).await;
        }
        story.stopped(1).await;
    };
    let status = story.drive_to_rest(life).await;
    assert!(status.is("Failed"));
    assert_eq!((status.counters.failed, status.counters.killed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_experiment_ends_when_its_time_is_over() {
    let more = "maxDuration: 90s".into();
    let story = Story::of(&Spec { more, ..Spec::of("random", 2, 9) }).await;
    let life = async {
        story.alive(2).await;
        story.stopped(2).await;
    };
    let status = story.drive_to_rest(life).await;
    assert_eq!(reason(&status), "ExperimentMaxDurationReached");
    let lasted = status.completed.unwrap().since(status.started.unwrap());
    assert!((90.0..91.0).contains(&lasted.as_secs_f64()), "{lasted:?}");
    assert_eq!(status.counters.killed, 2);
}

#[tokio::test(start_paused = true)]
async fn what_ended_in_time_counts_though_nobody_looked() {
    let more = "maxDuration: 90s".into();
    let story = Story::of(&Spec { more, ..Spec::of("random", 2, 2) }).await;
    let begun = async { story.alive(2).await };
    story.drive_until(async { drop(begun.await) }).await;
    story.executor.end(story.alive(2).await[0], WELL).await;
    story.executor.end(story.alive(1).await[0], WELL).await;
    sleep(Duration::from_secs(200)).await;
    let status = story.drive_to_rest(async {}).await;
    assert_eq!(reason(&status), "ExperimentMaxTrialsReached");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_is_waited_for() {
    let told = async |away: &[u64]| {
        let story = Story::of(&Spec::of("tpe", 2, 8)).await;
        let mut fate = Fate::new(2, 8, |_, _| WELL);
        let weather = async {
            for times in away.chunks(2) {
                sleep(Duration::from_millis(times[0])).await;
                story.search.down();
                sleep(Duration::from_millis(times[1])).await;
                assert!(story.status().await.waiting.contains("suggestion service"));
                story.search.up().await;
            }
        };
        let life = async {
            tokio::join!(fate.go_on(&story), weather);
        };
        let status = story.drive_to_rest(life).await;
        assert!(status.is("Succeeded") && status.waiting.is_empty(), "{status:?}");
        story.told().await
    };
    let undisturbed = told(&[]).await;
    // Away from the start; and again while the fourth ends.
    told(&[0, 100_000, 3_500, 60_000]).await.assert_same(&undisturbed, "the service was away");
}

#[tokio::test(start_paused = true)]
async fn a_larger_budget_takes_a_completed_experiment_up_again() {
    let story = Story::of(&Spec::of("tpe", 2, 3)).await;
    assert!(story.drive_to_rest(story.all_end_well()).await.is("Succeeded"));
    story.wish(trials(6)).await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    assert!(status.is("Succeeded") && status.is("Restarting"));
    assert_eq!(status.counters.succeeded, 6);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_experiment_begins_when_it_may() {
    let more = "suspend: true".into();
    let story = Story::of(&Spec { more, ..Spec::of("random", 2, 3) }).await;
    let status = story.drive_to_rest(async {}).await;
    assert!(!status.is_completed() && status.counters.total() == 0 && !status.waiting.is_empty());
    story.wish(Wish::Resume).await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    assert_eq!((status.counters.succeeded, status.waiting.as_str()), (3, ""));
}

#[tokio::test(start_paused = true)]
async fn questions_nobody_answered_are_not_put_to_a_later_search() {
    let more = "maxDuration: 90s".into();
    let story = Story::of(&Spec { more, ..Spec::of("random", 3, 6) }).await;
    story.search.down();
    assert!(story.drive_to_rest(async {}).await.is_completed());
    assert_eq!(story.store.asks(story.id, study::TrialIdx(0)).await.unwrap(), []);
    let mut wish = parallel(2);
    if let Wish::Edit { max_duration, .. } = &mut wish {
        *max_duration = Some("1h".into());
    }
    story.wish(wish).await;
    story.search.up().await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    assert_eq!(status.counters.succeeded, 6);
    assert_eq!(story.store.asks(story.id, study::TrialIdx(0)).await.unwrap()[0].n, 2);
}
