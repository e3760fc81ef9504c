//! Every reason for a run, and every reason against one.

use super::*;
use crate::schedule::{Point, Scheduled};
use crate::spec::HistorySpec;

const HOUR: i64 = 3_600_000_000;

fn hourly() -> ScheduleSpec {
    ScheduleSpec { every: Some("1h".into()), ..ScheduleSpec::default() }
}

fn seen(state: ScheduleState) -> View {
    View { scheduled: Scheduled { state: Some(state), ..Scheduled::default() }, ..View::default() }
}

fn run(n: u64, end: Option<End>) -> RunView {
    RunView { n, name: format!("again-{n}"), end, winner: Some(point(n)) }
}

fn point(n: u64) -> Point {
    [("lr".to_owned(), n.to_string())].into()
}

fn decided(spec: &ScheduleSpec, now: i64, view: &View) -> Decision {
    decide(spec, &Timetable::of(spec).unwrap(), Timestamp(now), view)
}

fn cause_of(spec: &ScheduleSpec, now: i64, view: &View) -> Option<Cause> {
    decided(spec, now, view).state.pending.map(|pending| pending.cause)
}

#[test]
fn a_schedule_that_is_new_waits_for_its_first_time() {
    let first = decided(&hourly(), 5 * HOUR, &View::default());
    assert_eq!(first.state, ScheduleState { since: Timestamp(5 * HOUR), ..ScheduleState::default() });
    let due = decided(&hourly(), 6 * HOUR, &seen(first.state)).state;
    assert_eq!((due.n_runs, due.since), (1, Timestamp(6 * HOUR)));
}

#[test]
fn times_that_were_missed_are_made_up_for_by_one_run_and_not_after_the_deadline() {
    let view = seen(ScheduleState::default());
    let made = decided(&hourly(), 9 * HOUR + 5, &view).state;
    assert_eq!(
        (made.n_runs, made.since, made.pending.unwrap().at),
        (1, Timestamp(9 * HOUR), Timestamp(9 * HOUR))
    );
    let spec = ScheduleSpec { starting_deadline: Some("10m".into()), ..hourly() };
    let late = decided(&spec, 9 * HOUR + HOUR / 2, &view).state;
    assert_eq!((late.n_runs, late.since, late.missed), (0, Timestamp(9 * HOUR), Some(Timestamp(9 * HOUR))));
}

#[test]
fn a_run_that_is_decided_is_not_decided_again() {
    let made = decided(&hourly(), HOUR, &seen(ScheduleState::default())).state;
    let again = decided(&hourly(), 3 * HOUR, &seen(made.clone()));
    assert_eq!(again.state, made);
    let done = ScheduleState { pending: None, ..made };
    assert_eq!(decided(&hourly(), HOUR + 1, &seen(done.clone())).state, done);
}

#[test]
fn a_run_that_goes_on_is_waited_for_joined_or_replaced() {
    let with = |concurrency: &str| ScheduleSpec { concurrency: Some(concurrency.into()), ..hourly() };
    let mut view = seen(ScheduleState { n_runs: 1, ..ScheduleState::default() });
    view.runs = vec![run(1, None)];
    let waits = decided(&with("forbid"), HOUR, &view);
    assert_eq!((waits.state.n_runs, waits.state.since), (1, Timestamp(0)));
    let joins = decided(&with("allow"), HOUR, &view);
    assert_eq!((joins.state.n_runs, joins.removals.len()), (2, 0));
    let replaces = decided(&with("replace"), HOUR, &view);
    assert_eq!((replaces.state.n_runs, &*replaces.removals[0].name), (2, "again-1"));
    view.runs = vec![run(1, Some(End::Succeeded))];
    assert_eq!(decided(&with("forbid"), HOUR, &view).state.n_runs, 2, "it has ended");
}

#[test]
fn the_winner_of_the_newest_run_that_has_one_is_tried_first() {
    let mut view = seen(ScheduleState { n_runs: 3, winner: Some(point(0)), ..ScheduleState::default() });
    let first = |view: &View| decided(&hourly(), HOUR, view).state.pending.unwrap().first;
    assert_eq!(first(&view), Some(point(0)), "the run is gone, its winner is not");
    let failed = RunView { winner: None, ..run(3, Some(End::Failed)) };
    view.runs = vec![run(1, Some(End::Succeeded)), run(2, Some(End::Succeeded)), failed];
    assert_eq!(first(&view), Some(point(2)));
}

#[test]
fn while_it_is_suspended_only_a_person_begins_a_run() {
    let mut view = seen(ScheduleState { data: Some("a".into()), ..ScheduleState::default() });
    (view.scheduled.suspended, view.data) = (Some(true), Some("b".into()));
    assert_eq!(cause_of(&hourly(), HOUR, &view), None);
    (view.scheduled.asked, view.scheduled.cause) = (1, Cause::Drift);
    assert_eq!(cause_of(&hourly(), HOUR, &view), None);
    view.scheduled.cause = Cause::Person;
    assert_eq!(cause_of(&hourly(), HOUR, &view), Some(Cause::Person));
    view.scheduled = Scheduled { suspended: Some(false), ..view.scheduled };
    let suspended = ScheduleSpec { suspend: Some(true), ..hourly() };
    view.scheduled.asked = 0;
    assert_eq!(
        cause_of(&suspended, HOUR, &view),
        Some(Cause::Time),
        "a person's word is newer than the spec"
    );
}

#[test]
fn data_begins_a_run_when_it_has_changed_since_the_last_one() {
    let spec = ScheduleSpec::default();
    let mut view = seen(ScheduleState::default());
    view.data = Some("a".into());
    let first = decided(&spec, 1, &view).state;
    assert_eq!((&first.pending, first.data.as_deref()), (&None, Some("a")));
    view = View { data: Some("b".into()), ..seen(first) };
    let made = decided(&spec, 2, &view).state;
    assert_eq!(
        (made.pending.map(|pending| pending.cause), made.data.as_deref()),
        (Some(Cause::Data), Some("b"))
    );
}

#[test]
fn what_was_asked_for_is_done_once() {
    let spec = ScheduleSpec::default();
    let mut view = seen(ScheduleState::default());
    (view.scheduled.asked, view.scheduled.cause) = (2, Cause::Drift);
    let made = decided(&spec, 1, &view).state;
    assert_eq!((made.n_runs, made.taken), (1, 2));
    view.scheduled.state = Some(ScheduleState { pending: None, ..made });
    assert_eq!(cause_of(&spec, 2, &view), None);
}

#[test]
fn runs_beyond_the_history_go_and_those_that_go_on_stay() {
    let mut view = seen(ScheduleState { since: Timestamp(HOUR), n_runs: 8, ..ScheduleState::default() });
    let (good, bad) = (Some(End::Succeeded), Some(End::Failed));
    view.runs =
        vec![run(1, good), run(2, bad), run(3, good), run(4, good), run(5, bad), run(6, good), run(7, None)];
    let names = |spec: &ScheduleSpec| -> Vec<String> {
        decided(spec, HOUR, &view).removals.into_iter().map(|removal| removal.name).collect()
    };
    assert_eq!(names(&hourly()), ["again-1", "again-2"]);
    let none = HistorySpec { succeeded: Some(0), failed: Some(0) };
    assert_eq!(names(&ScheduleSpec { history: Some(none), ..hourly() }).len(), 6);
}
