//! Wishes of people, carried out whatever else happens.

use controller_core::ports::{Store as _, Wish};
use controller_core::run::Exit;
use controller_core::trial::{Origin, TrialState};
use study::TrialIdx;

use super::endings::{parallel, trials};
use super::world::{Spec, Story, WELL};

#[tokio::test(start_paused = true)]
async fn what_is_stopped_goes_on_with_its_next_attempt() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let life = async {
        let runs = story.alive(2).await;
        story.wish(Wish::Stop { now: true }).await;
        assert_eq!(runs.len(), 2);
        story.stopped(2).await;
    };
    let status = story.drive_to_rest(life).await;
    assert_eq!((status.counters.pending, status.counters.total()), (2, 2));
    story.wish(Wish::Resume).await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    assert_eq!(status.counters.succeeded, 4);
    let attempts: Vec<_> = story.trials().await.iter().map(|trial| trial.attempt).collect();
    assert_eq!(attempts, [2, 2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_every_time_is_given_up() {
    let story = Story::of(&Spec::of("random", 1, 1)).await;
    let life = async {
        loop {
            let run = story.alive(1).await[0];
            story.executor.end(run, Exit::Lost { reason: "no memory".into() }).await;
        }
    };
    assert_eq!(story.drive_to_rest(life).await.counters.failed, 1);
    assert_eq!(story.trials().await[0].attempt, 10);
}

#[tokio::test(start_paused = true)]
async fn people_stop_repeat_and_add_trials() {
    let story = Story::of(&Spec::of("random", 2, 5)).await;
    let life = async {
        let runs = story.alive(2).await;
        story.wish(Wish::StopTrial { trial: TrialIdx(0) }).await;
        story.wish(Wish::RetryTrial { trial: TrialIdx(0) }).await;
        let point = [("left", "0.25"), ("right", "0.5")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        story.wish(Wish::Enqueue { assignments: point.to_vec() }).await;
        story.stopped(1).await;
        assert_eq!(runs.len(), 2);
        story.all_end_well().await;
    };
    let status = story.drive_to_rest(life).await;
    assert_eq!((status.counters.succeeded, status.counters.killed), (4, 1));
    let trials = story.trials().await;
    assert_eq!(trials[0].state, TrialState::Killed);
    assert_eq!(trials[2].origin, Origin::Retry { of: TrialIdx(0) });
    assert_eq!(trials[2].assignments, trials[0].assignments);
    assert_eq!((trials[3].origin.clone(), trials[3].assignments[0].1.as_str()), (Origin::Enqueued, "0.25"));
}

#[tokio::test(start_paused = true)]
async fn what_does_best_is_run_again_before_it_is_trusted() {
    let spec = Spec { more: "repeats: 3".into(), ..Spec::of("random", 1, 8) };
    let story = Story::of(&spec).await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    let (trials, best) = (story.trials().await, status.best.unwrap());
    // The first result is the best of all there are, so it is run until it has had its runs.
    let repeated: Vec<_> = (1..3).map(|i| (&trials[i].origin, &trials[i].assignments)).collect();
    assert_eq!(repeated, [(&Origin::Repeat { of: TrialIdx(0) }, &trials[0].assignments); 2]);
    assert_eq!((trials[3].origin.clone(), best.runs), (Origin::Search, 3));
    assert!(trials.iter().filter(|trial| trial.assignments == best.assignments).count() == 3);
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_carried_out_once_wherever_the_driver_is_broken_off() {
    for point in 1.. {
        let story = Story::of(&Spec::of("random", 2, 3)).await;
        story.drive_until(async { drop(story.alive(2).await) }).await;
        story.wish(trials(4)).await;
        story.wish(Wish::StopTrial { trial: TrialIdx(1) }).await;
        story.wish(Wish::RetryTrial { trial: TrialIdx(0) }).await;
        story.faults.break_off_after(point);
        let mut broken_off = false;
        loop {
            let life = async {
                if !broken_off || story.executor.alive().iter().any(|(run, _)| run.trial == TrialIdx(1)) {
                    story.stopped(1).await;
                }
                story.all_end_well().await;
            };
            match story.drive_while(life).await {
                Some(outcome) => break assert!(outcome.unwrap().is_completed()),
                None => broken_off = true,
            }
        }
        story.audit().await;
        let repeats = story.trials().await.iter().filter(|t| t.origin != Origin::Search).count();
        let counters = story.status().await.counters;
        assert_eq!((repeats, counters.succeeded, counters.killed), (1, 3, 1), "broken off at {point}");
        if !broken_off {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_is_stopped_forgotten_and_gone() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let life = async {
        story.alive(2).await;
        story.wish(Wish::Delete).await;
        story.stopped(2).await;
    };
    story.drive_to_rest(life).await;
    assert!(story.store.experiments().await.unwrap().is_empty());
    assert_eq!(story.executor.forgotten().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_experiment_cannot_be_held() {
    let story = Story::of(&Spec::of("random", 2, 4)).await;
    let life = async {
        story.alive(2).await;
        story.wish(Wish::Delete).await;
        story.wish(Wish::Stop { now: true }).await;
        story.wish(Wish::Resume).await;
        story.stopped(2).await;
    };
    story.drive_to_rest(life).await;
    assert!(story.store.experiments().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn fewer_places_hold_for_trials_that_wait() {
    let story = Story::of(&Spec::of("random", 3, 6)).await;
    let life = async {
        story.alive(3).await;
        story.wish(Wish::Stop { now: true }).await;
        story.stopped(3).await;
    };
    story.drive_to_rest(life).await;
    story.wish(parallel(1)).await;
    story.wish(Wish::Resume).await;
    // The audit knows how many were begun at once.
    assert_eq!(story.drive_to_rest(story.all_end_well()).await.counters.succeeded, 6);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_budget_holds_for_trials_that_wait() {
    let story = Story::of(&Spec::of("random", 3, 6)).await;
    let life = async {
        story.alive(3).await;
        story.wish(Wish::Stop { now: true }).await;
        story.stopped(3).await;
    };
    story.drive_to_rest(life).await;
    story.wish(trials(2)).await;
    story.wish(Wish::Resume).await;
    let status = story.drive_to_rest(story.all_end_well()).await;
    assert_eq!((status.counters.succeeded, status.counters.killed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_often_was_never_lost() {
    let story = Story::of(&Spec::of("random", 1, 1)).await;
    for _ in 0..12 {
        let life = async {
            story.alive(1).await;
            story.wish(Wish::Stop { now: true }).await;
            story.stopped(1).await;
        };
        story.drive_to_rest(life).await;
        story.wish(Wish::Resume).await;
    }
    let life = async {
        let run = story.alive(1).await[0];
        story.executor.end(run, Exit::Lost { reason: "the machine was started anew".into() }).await;
        story.all_end_well().await;
    };
    assert_eq!(story.drive_to_rest(life).await.counters.succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_edited_is_the_same_to_whoever_drives_on() {
    // Nine points: a budget of as many or more makes `auto` a grid.
    let told = async |anew: bool| {
        let story = Story::of(&Spec::of("auto", 1, 4)).await;
        let begun = async {
            let run = story.alive(1).await[0];
            story.wish(trials(9)).await;
            while !story.store.open_wishes(story.id).await.unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            story.executor.end(run, WELL).await;
        };
        if anew {
            story.drive_until(begun).await;
            story.drive_to_rest(story.all_end_well()).await;
        } else {
            let life = async {
                begun.await;
                story.all_end_well().await;
            };
            story.drive_to_rest(life).await;
        }
        story.told().await
    };
    told(true).await.assert_same(&told(false).await, "the driver was another");
}
