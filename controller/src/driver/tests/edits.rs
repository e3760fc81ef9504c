//! Spaces that are edited while they are searched.

use controller_core::ports::{Store as _, Wish};
use study::TrialIdx;

use super::audit::Told;
use super::world::{Spec, Story};
use crate::api::service;

/// So many points no story has.
const NEVER: u64 = 1 << 40;

/// The Experiment with a narrower parameter, a wider one, and one that is new.
fn edited(spec: &Spec) -> String {
    let changes = [
        (
            "name: left, parameterType: double, feasibleSpace: {min: \"-1\", max: \"2\"",
            "name: left, parameterType: double, feasibleSpace: {min: \"0\", max: \"2\"",
        ),
        (
            "name: right, parameterType: double, feasibleSpace: {min: \"-1\", max: \"2\"",
            "name: right, parameterType: double, feasibleSpace: {min: \"-1\", max: \"4\"",
        ),
        (
            "  parallelTrialCount:",
            "    - {name: third, parameterType: int, feasibleSpace: {min: \"1\", max: \"9\"}, default: \"3\"}\n  parallelTrialCount:",
        ),
        (
            "{name: right, reference: right}]",
            "{name: right, reference: right}, {name: third, reference: third}]",
        ),
        ("\"${trialParameters.right}\"]", "\"${trialParameters.right}\", \"${trialParameters.third}\"]"),
    ];
    changes.iter().fold(spec.yaml(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// Four trials or five in the first space, the rest in the second, with a driver that breaks off at a point.
async fn tell(algorithm: &'static str, point: u64) -> (Story, Told, bool) {
    let spec = Spec::of(algorithm, 2, 10);
    let story = Story::of(&spec).await;
    let first = async {
        for _ in 0..3 {
            let runs = story.alive(2).await;
            story.executor.end(runs[0], super::world::WELL).await;
        }
        story.alive(2).await;
        story.wish(Wish::Stop { now: false }).await;
        story.all_end_well().await;
    };
    story.drive_to_rest(first).await;
    service::edit_space(&story.api(), "default", "story", &edited(&spec)).await.unwrap();
    story.wish(Wish::Resume).await;
    story.faults.break_off_after(point);
    let mut broken_off = false;
    let outcome = loop {
        if let Some(outcome) = story.drive_while(story.all_end_well()).await {
            break outcome;
        }
        broken_off = true;
    };
    assert!(outcome.unwrap().is_completed());
    story.audit().await;
    let told = story.told().await;
    (story, told, broken_off)
}

#[tokio::test(start_paused = true)]
async fn a_search_goes_on_in_the_new_space_with_what_it_knows() {
    let (story, told, _) = tell("tpe", NEVER).await;
    let value = |idx: usize, name: &str| -> Option<f64> {
        let texts = &told.trials[idx].assignments;
        texts.iter().find(|(other, _)| other == name).and_then(|(_, text)| text.parse().ok())
    };
    let new = (0..told.trials.len()).find(|idx| value(*idx, "third").is_some()).unwrap();
    assert_eq!(new, 5, "trials that had begun keep their points");
    assert!(
        (new..told.trials.len()).all(|idx| value(idx, "third").is_some() && value(idx, "left") >= Some(0.0))
    );
    assert!((0..new).any(|idx| value(idx, "left") < Some(0.0)), "what lies outside is among the results");
    let record = story.store.experiment("default", "story").await.unwrap().unwrap();
    assert_eq!((record.earlier.len(), record.earlier[0].n_trials), (1, new as u64));
    let events = story.store.events(story.id, 0, 0).await.unwrap();
    let edits: Vec<_> = events.iter().filter(|stored| stored.event.kind() == "edited").collect();
    let said = service::explain(&story.api(), "default", "story", None).await.unwrap().lines.join("\n");
    assert_eq!(edits.len(), 1, "{said}");
}

#[tokio::test(start_paused = true)]
async fn every_question_is_asked_again_in_its_own_space() {
    for algorithm in ["random", "sobol", "tpe", "bayesianoptimization"] {
        let (story, _, _) = tell(algorithm, NEVER).await;
        let replayed = service::replay(&story.api(), "default", "story").await.unwrap();
        assert_eq!(replayed.differences, [""; 0], "{algorithm}");
        assert_eq!((replayed.asked, replayed.same), (10, 10), "{algorithm}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_carried_out_once_wherever_the_driver_is_broken_off() {
    for algorithm in ["tpe", "bayesianoptimization"] {
        let (_, undisturbed, _) = tell(algorithm, NEVER).await;
        for point in (1..).step_by(2) {
            let (_, told, broken_off) = tell(algorithm, point).await;
            if !broken_off {
                break;
            }
            told.assert_same(&undisturbed, &format!("{algorithm}, broken off at {point}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_told_where_it_lies_in_the_new_space() {
    let spec = Spec::of("tpe", 3, 9);
    let story = Story::of(&spec).await;
    let life = async {
        story.alive(3).await;
        service::edit_space(&story.api(), "default", "story", &edited(&spec)).await.unwrap();
        story.all_end_well().await;
    };
    assert_eq!(story.drive_to_rest(life).await.counters.succeeded, 9);
    let replayed = service::replay(&story.api(), "default", "story").await.unwrap();
    assert_eq!((replayed.asked, replayed.differences), (9, vec![]));
    assert!(
        story.trials().await.iter().all(|trial| (trial.idx < TrialIdx(3)) == (trial.assignments.len() == 2))
    );
}
