//! Trials that are judged while they run: paused, resumed, stopped and copied, whatever becomes of the driver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::event::Event;
use controller_core::ports::Store as _;
use controller_core::run::{Exit, RunId};
use controller_core::trial::TrialState;
use study::{TrialIdx, Turn};
use tokio::time::sleep;

use super::audit::Told;
use super::executor::ROWS;
use super::world::{Spec, Story, WELL};

const PARALLEL: u32 = 3;
const TRIALS: u32 = 9;
/// So many points no story has.
const NEVER: u64 = 1 << 40;
/// Between two things that trials do; the driver has looked and settled by then.
const PACE: Duration = Duration::from_secs(1);

/// A search under a scheduler: trials of three steps, from 0, with a rung at 1.
fn under(scheduler: &str) -> Spec {
    let more = format!("earlyStopping: {scheduler}");
    Spec { more, ..Spec::of("random", PARALLEL, TRIALS) }
}

const PROMOTE: &str =
    "{algorithmName: asha, algorithmSettings: [{name: r_l, value: '3'}, {name: form, value: promote}]}";
const STOP: &str = "{algorithmName: asha, algorithmSettings: [{name: r_l, value: '3'}]}";
const HYPERBAND: &str = "{algorithmName: hyperband, algorithmSettings: [{name: r_l, value: '3'}]}";
const PATIENCE: &str = "{algorithmName: patience, algorithmSettings: [{name: patience, value: '1'}]}";

/// How far each trial has come, through all its attempts.
#[derive(Default)]
struct Life {
    steps: BTreeMap<TrialIdx, u32>,
    /// How those end that are told to; none: as they are told.
    told: Option<Exit>,
}

impl Life {
    /// Trials do one thing after the other, the lowest number first: they end when told to, else report their next step,
    /// and end well after the last.
    async fn go_on(&mut self, story: &Story) {
        loop {
            sleep(PACE).await;
            self.next(story).await;
        }
    }

    async fn next(&mut self, story: &Story) {
        let alive = story.executor.alive();
        let told = alive.iter().find(|(_, told)| *told).map(|(run, _)| *run);
        if let Some(run) = told {
            story.executor.end(run, self.told.clone().unwrap_or(Exit::Stopped)).await;
        } else if let Some((run, _)) = alive.first() {
            let step = self.steps.entry(run.trial).or_default();
            if *step == ROWS {
                story.executor.end(*run, WELL).await;
            } else {
                story.executor.report(*run, *step).await;
                *step += 1;
            }
        }
    }
}

async fn story(spec: &Spec) -> Story {
    let story = Story::of(spec).await;
    story.executor.report_when_told();
    story
}

/// Tells the story with a driver that breaks off at a point: what came of it, the kinds of its events, and whether there was
/// such a point.
async fn tell(spec: &Spec, point: u64) -> (Told, Vec<(&'static str, Option<TrialIdx>)>, bool) {
    let story = story(spec).await;
    let mut life = Life::default();
    story.faults.break_off_after(point);
    let mut broken_off = false;
    let outcome = loop {
        if let Some(outcome) = story.drive_while(life.go_on(&story)).await {
            break outcome;
        }
        broken_off = true;
    };
    assert!(outcome.unwrap().is_completed());
    story.audit().await;
    assert!(story.executor.most_alive() <= PARALLEL as usize);
    let events = story.store.events(story.id, 0, 0).await.unwrap();
    let judged = events.iter().filter(|stored| !matches!(stored.event, Event::TrialStarted { .. }));
    let kinds = judged.map(|stored| (stored.event.kind(), stored.event.trial())).collect();
    (story.told().await, kinds, broken_off)
}

/// Breaks off at points until there is none left: what happens is the same, and in the same order.
async fn holds(spec: &Spec, step: usize) -> Told {
    let (undisturbed, kinds, _) = tell(spec, NEVER).await;
    for point in (1..).step_by(step) {
        let (told, again, broken_off) = tell(spec, point).await;
        told.assert_same(&undisturbed, &format!("broken off at {point}"));
        assert_eq!(again, kinds, "broken off at {point}");
        if !broken_off {
            assert!(point > 80, "there are more points than {point}");
            break;
        }
    }
    undisturbed
}

fn count(told: &Told, state: TrialState) -> usize {
    told.trials.iter().filter(|tale| tale.state == state).count()
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_goes_on_does_so_once_whatever_becomes_of_the_driver() {
    let told = holds(&under(PROMOTE), 3).await;
    let (well, stopped) = (count(&told, TrialState::Succeeded), count(&told, TrialState::EarlyStopped));
    assert_eq!((well, stopped), (3, 6), "of nine the best three ran to their ends");
    assert!(told.trials.iter().any(|tale| tale.attempt == 2), "some have waited");
}

#[tokio::test(start_paused = true)]
async fn brackets_are_waited_for_whatever_becomes_of_the_driver() {
    let told = holds(&under(HYPERBAND), 5).await;
    assert!(count(&told, TrialState::EarlyStopped) > 0 && count(&told, TrialState::Succeeded) > 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_is_stopped_once_whatever_becomes_of_the_driver() {
    let told = holds(&under(STOP), 5).await;
    assert!(count(&told, TrialState::EarlyStopped) > 0 && count(&told, TrialState::Succeeded) > 0);
    assert!(told.trials.iter().all(|tale| tale.attempt == 1), "nobody waits");
}

/// Every report counts under patience; all curves fall, so that nobody ends.
#[tokio::test(start_paused = true)]
async fn patience_hears_every_report() {
    let story = story(&under(PATIENCE)).await;
    let mut life = Life::default();
    story.drive_to_rest(life.go_on(&story)).await;
    let events = story.store.events(story.id, 0, 0).await.unwrap();
    let heard: usize = events
        .iter()
        .map(|stored| match &stored.event {
            Event::TrialReported { curve, .. } | Event::TrialEnded { curve, .. } => curve.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(heard, (TRIALS * ROWS) as usize);
    assert_eq!(story.status().await.counters.succeeded, u64::from(TRIALS));
}

/// The log grows by the rungs that trials reach, not by what they report, and says how much of that was seen.
#[tokio::test(start_paused = true)]
async fn one_event_a_rung() {
    let story = story(&under(STOP)).await;
    let mut life = Life::default();
    story.drive_to_rest(life.go_on(&story)).await;
    let events = story.store.events(story.id, 0, 0).await.unwrap();
    let reported: Vec<_> = events
        .iter()
        .filter_map(|stored| match &stored.event {
            Event::TrialReported { trial, curve, rows, .. } => Some((trial.0, curve[0].0, *rows)),
            _ => None,
        })
        .collect();
    let mut expected: Vec<_> = (0..u64::from(TRIALS)).map(|trial| (trial, 1, 2)).collect();
    expected.sort_unstable();
    let mut sorted = reported.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{reported:?}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_leaves_no_checkpoint_is_stopped_and_that_is_said() {
    let story = story(&under(PROMOTE)).await;
    story.executor.be_forgetful(true);
    let mut life = Life::default();
    let status = story.drive_to_rest(life.go_on(&story)).await;
    assert_eq!(status.counters.total(), u64::from(TRIALS));
    let trials = story.trials().await;
    let ended: Vec<_> = trials.iter().filter(|trial| trial.state == TrialState::EarlyStopped).collect();
    assert!(!ended.is_empty());
    for trial in ended {
        assert!(trial.message.contains("left nothing in CAIRN_CHECKPOINT_DIR"), "{}", trial.message);
        assert_eq!((trial.objectives.len(), trial.attempt), (1, 1), "what it had reached counts");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_checkpoint_finds_no_room_is_stopped_and_that_is_said() {
    let story = story(&under(PROMOTE)).await;
    let reason = "its checkpoint cannot be kept: checkpoint.json: No space left on device";
    let mut life = Life { told: Some(Exit::BadOutput { reason: reason.into() }), ..Life::default() };
    story.drive_to_rest(life.go_on(&story)).await;
    let trials = story.trials().await;
    assert!(trials.iter().any(|trial| trial.state == TrialState::EarlyStopped));
    for trial in trials.iter().filter(|trial| trial.state != TrialState::Succeeded) {
        assert_eq!((trial.state, trial.objectives.len(), trial.attempt), (TrialState::EarlyStopped, 1, 1));
        let said = format!("{reason}, so it ends instead of waiting");
        assert!(trial.message.ends_with(&said), "{}", trial.message);
    }
}

/// What an attempt had reached before its trial waited counts as much as what the next one reaches.
#[tokio::test(start_paused = true)]
async fn who_goes_on_starts_from_its_checkpoint_and_keeps_what_it_had_reached() {
    let story = story(&under(PROMOTE)).await;
    let mut life = Life::default();
    let mut resumed: BTreeMap<RunId, Option<RunId>> = BTreeMap::new();
    let watched = async {
        loop {
            sleep(PACE).await;
            for (run, _) in story.executor.alive().into_iter().filter(|(run, _)| run.attempt > 1) {
                let start_from = story.executor.run(run).start_from.map(|checkpoint| checkpoint.run);
                resumed.insert(run, start_from);
            }
            life.next(&story).await;
        }
    };
    story.drive_to_rest(watched).await;
    assert!(!resumed.is_empty());
    for (run, from) in &resumed {
        assert_eq!(*from, Some(RunId { attempt: run.attempt - 1, ..*run }));
    }
    for trial in story.trials().await.iter().filter(|trial| trial.state == TrialState::Succeeded) {
        let metric = &trial.observation[0];
        let (least, most): (f64, f64) = (metric.min.parse().unwrap(), metric.max.parse().unwrap());
        assert!((most - least - f64::from(ROWS - 1)).abs() < 1e-9, "all attempts are one curve: {metric:?}");
    }
}

/// The children of a population begin from what their parents have left, and drivers may come and go.
#[tokio::test(start_paused = true)]
async fn copies_begin_from_the_checkpoints_of_their_parents() {
    let settings = "[{name: n_population, value: '5'}, {name: truncation_threshold, value: '0.4'}]";
    let spec = Spec { settings: Some(settings), ..Spec::of("pbt", PARALLEL, 20) };
    let story = story(&spec).await;
    story.faults.break_off_after(150);
    let mut life = Life::default();
    let mut begun: BTreeMap<TrialIdx, Option<RunId>> = BTreeMap::new();
    loop {
        let watched = async {
            loop {
                sleep(PACE).await;
                for (run, _) in story.executor.alive() {
                    let start_from = story.executor.run(run).start_from.map(|checkpoint| checkpoint.run);
                    begun.insert(run.trial, start_from);
                }
                life.next(&story).await;
            }
        };
        if story.drive_while(watched).await.is_some() {
            break;
        }
    }
    story.audit().await;
    let trials = story.trials().await;
    let copies = trials.iter().filter(|trial| trial.suggestion.checkpoint_of().is_some());
    assert_eq!(copies.count(), 15, "all but the first turns");
    for trial in &trials {
        let from = begun[&trial.idx].map(|run| run.trial);
        assert_eq!(from, trial.suggestion.checkpoint_of(), "trial {}", trial.idx.0);
    }
    // Of each member the newest turn stays, and the best; whoever was to begin from what is gone would be a wrong.
    let turns: BTreeMap<TrialIdx, Turn> =
        trials.iter().filter_map(|trial| Some((trial.idx, Turn::of(&trial.suggestion)?))).collect();
    let best = story.status().await.best.map(|best| best.idx);
    let let_go: BTreeSet<TrialIdx> = story.executor.let_go().iter().map(|run| run.trial).collect();
    for trial in &trials {
        let turn = turns[&trial.idx];
        let is_newest = turns.values().all(|other| other.member != turn.member || *other <= turn);
        let stays = is_newest || best == Some(trial.idx);
        let found = (trial.checkpoint.is_some(), let_go.contains(&trial.idx));
        assert_eq!(found, (stays, !stays), "trial {}", trial.idx.0);
    }
}
