//! The same order of ends, the same search: broken off or not.

use controller_core::ports::{Store as _, Wish};
use controller_core::run::Exit;
use controller_core::trial::Origin;
use study::TrialIdx;

use super::audit::Told;
use super::endings::parallel;
use super::world::{Fate, Spec, Story};

const PARALLEL: u32 = 3;
const TRIALS: u32 = 8;
/// So many points no story has.
const NEVER: u64 = 1 << 40;

/// One is lost once, one fails.
fn exit(trial: TrialIdx, attempt: u32) -> Exit {
    match (trial.0, attempt) {
        (1, 1) => Exit::Lost { reason: "the machine was started anew".into() },
        (4, _) => Exit::Code { code: 1 },
        _ => Exit::Code { code: 0 },
    }
}

/// What happens while no driver is there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    /// All that run end, in their order.
    Ends,
}

/// Tells the story with a driver that breaks off at a point, and whether there was such a point.
async fn tell(algorithm: &'static str, more: &str, point: u64, meanwhile: Meanwhile) -> (Told, bool) {
    let spec = Spec { more: more.into(), ..Spec::of(algorithm, PARALLEL, TRIALS) };
    let story = Story::of(&spec).await;
    let mut fate = Fate::new(PARALLEL, TRIALS, exit);
    story.faults.break_off_after(point);
    let mut broken_off = false;
    let outcome = loop {
        if let Some(outcome) = story.drive_while(fate.go_on(&story)).await {
            break outcome;
        }
        broken_off = true;
        if meanwhile == Meanwhile::Ends {
            fate.rush(&story).await;
        }
    };
    assert!(outcome.unwrap().is_completed());
    story.audit().await;
    assert!(story.executor.most_alive() <= PARALLEL as usize);
    (story.told().await, broken_off)
}

/// Breaks off at every point, or at some of them, until there is none left.
async fn holds(algorithm: &'static str, more: &str, meanwhile: Meanwhile, step: usize) -> Told {
    let (undisturbed, _) = tell(algorithm, more, NEVER, Meanwhile::Nothing).await;
    assert_eq!((undisturbed.counters.succeeded, undisturbed.counters.failed), (u64::from(TRIALS) - 1, 1));
    for point in (1..).step_by(step) {
        let (told, broken_off) = tell(algorithm, more, point, meanwhile).await;
        if !broken_off {
            assert!(point > 80, "there are more points than {point}");
            break;
        }
        told.assert_same(
            &undisturbed,
            &format!("{algorithm}, broken off at {point}, meanwhile {meanwhile:?}"),
        );
    }
    undisturbed
}

#[tokio::test(start_paused = true)]
async fn a_search_goes_on_as_if_nothing_had_happened() {
    holds("random", "", Meanwhile::Nothing, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_estimator_goes_on_as_if_nothing_had_happened() {
    holds("tpe", "", Meanwhile::Nothing, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_gaussian_process_goes_on_as_if_nothing_had_happened() {
    holds("bayesianoptimization", "", Meanwhile::Nothing, 3).await;
}

#[tokio::test(start_paused = true)]
async fn an_estimator_does_not_mind_whether_anybody_looks() {
    holds("tpe", "", Meanwhile::Ends, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_gaussian_process_does_not_mind_whether_anybody_looks() {
    holds("bayesianoptimization", "", Meanwhile::Ends, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_repeated_does_not_depend_on_whether_anybody_looks() {
    for meanwhile in [Meanwhile::Nothing, Meanwhile::Ends] {
        let told = holds("random", "repeats: 3", meanwhile, 2).await;
        assert!(told.trials.iter().any(|tale| matches!(tale.origin, Origin::Repeat { .. })));
    }
}

/// Three questions in one, after a history: everything is drained, then all places are filled at once or one by one.
#[tokio::test(start_paused = true)]
async fn asked_for_three_or_three_times_for_one() {
    for algorithm in ["random", "sobol", "tpe", "multivariate-tpe", "bayesianoptimization", "cmaes"] {
        let mut told = Vec::new();
        for steps in [&[3][..], &[1, 2, 3]] {
            let story = Story::of(&Spec::of(algorithm, PARALLEL, 9)).await;
            let drained = async {
                story.alive(3).await;
                story.wish(Wish::Stop { now: false }).await;
                story.all_end_well().await;
            };
            assert_eq!(story.drive_to_rest(drained).await.counters.succeeded, 3);
            story.wish(parallel(steps[0])).await;
            story.wish(Wish::Resume).await;
            let filled = async {
                for places in steps {
                    story.wish(parallel(*places)).await;
                    story.alive(*places as usize).await;
                }
            };
            story.drive_until(filled).await;
            let asks = story.store.asks(story.id, TrialIdx(0)).await.unwrap();
            let asked: Vec<u32> = asks.iter().map(|ask| ask.n).collect();
            assert_eq!(asked, if steps.len() == 1 { vec![3, 3] } else { vec![3, 1, 1, 1] });
            let trials = story.trials().await.into_iter().map(|trial| trial.assignments);
            told.push(trials.collect::<Vec<_>>());
        }
        assert_eq!(told[0], told[1], "{algorithm}");
        assert_eq!(told[0].len(), 6);
    }
}
