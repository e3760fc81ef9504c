//! What is to be done now.

use super::state::{Cause, End, Pending, RunView, ScheduleState, View};
use super::timetable::Timetable;
use crate::duration;
use crate::spec::ScheduleSpec;
use crate::time::Timestamp;

/// Runs of each end that stay where the spec says nothing.
const SUCCEEDED_KEPT: usize = 3;
const FAILED_KEPT: usize = 1;

/// A run that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub name: String,
    /// Why, in a few words.
    pub why: &'static str,
}

/// What is to be written down, and what goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The state from now on. A run that is pending in it is made once this is written down.
    pub state: ScheduleState,
    /// Runs that are deleted.
    pub removals: Vec<Removal>,
}

/// What a schedule has come to now. Pure: of the same view and time comes the same, and once it is acted upon nothing more.
///
/// A run that waits to be made is let alone: the next is decided after it.
pub fn decide(spec: &ScheduleSpec, times: &Timetable, now: Timestamp, view: &View) -> Decision {
    let before = view.scheduled.state.clone();
    let mut state = before.unwrap_or_else(|| ScheduleState { since: now, ..ScheduleState::default() });
    let newest =
        view.runs.iter().filter(|run| run.end.is_some() && run.winner.is_some()).max_by_key(|run| run.n);
    if let Some(run) = newest {
        state.winner.clone_from(&run.winner);
    }
    state.since = times.since(state.since, now);
    if state.data.is_none() {
        // The first look says how things are; nothing has changed yet.
        state.data.clone_from(&view.data);
    }
    let mut removals = past(spec, &view.runs);
    if state.pending.is_some() {
        return Decision { state, removals };
    }
    let due = in_time(spec, times.due(state.since, now), now, &mut state);
    let Some((cause, at)) = cause(spec, view, &state, due, now) else { return Decision { state, removals } };
    let active: Vec<&RunView> = view.runs.iter().filter(|run| run.end.is_none()).collect();
    match spec.concurrency.as_deref() {
        Some("allow") => {}
        Some("replace") => {
            let replaced =
                |run: &&RunView| Removal { name: run.name.clone(), why: "the next run replaces it" };
            removals.extend(active.iter().map(replaced));
        }
        _ if !active.is_empty() => return Decision { state, removals },
        _ => {}
    }
    state.n_runs += 1;
    state.since = due.unwrap_or(state.since);
    state.taken = view.scheduled.asked;
    if view.data.is_some() {
        state.data.clone_from(&view.data);
    }
    state.pending = Some(Pending { n: state.n_runs, cause, at, first: state.winner.clone() });
    Decision { state, removals }
}

/// The time that is due, unless its deadline is over: then it is done with.
fn in_time(
    spec: &ScheduleSpec,
    due: Option<Timestamp>,
    now: Timestamp,
    state: &mut ScheduleState,
) -> Option<Timestamp> {
    let due = due?;
    let deadline = spec.starting_deadline.as_deref().and_then(duration::parse);
    if deadline.is_some_and(|deadline| now.since(due) > deadline) {
        state.since = due;
        state.missed = Some(due);
        return None;
    }
    Some(due)
}

/// Why a run is to be made now, and since when. What a person wants is done though nothing else is.
fn cause(
    spec: &ScheduleSpec,
    view: &View,
    state: &ScheduleState,
    due: Option<Timestamp>,
    now: Timestamp,
) -> Option<(Cause, Timestamp)> {
    let asked = (view.scheduled.asked > state.taken).then_some(view.scheduled.cause);
    if asked == Some(Cause::Person) {
        return Some((Cause::Person, now));
    }
    if view.scheduled.suspended.unwrap_or(spec.suspend == Some(true)) {
        return None;
    }
    if let Some(due) = due {
        return Some((Cause::Time, due));
    }
    if let Some(cause) = asked {
        return Some((cause, now));
    }
    let is_new = view.data.is_some() && view.data != state.data;
    is_new.then_some((Cause::Data, now))
}

/// Runs that are over and more than are to stay, the oldest first.
fn past(spec: &ScheduleSpec, runs: &[RunView]) -> Vec<Removal> {
    let history = spec.history.clone().unwrap_or_default();
    let kept = |n: Option<i32>, usual| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usual);
    let of = |end: End, kept: usize| {
        let mut ended: Vec<&RunView> = runs.iter().filter(|run| run.end == Some(end)).collect();
        ended.sort_by_key(|run| run.n);
        ended.truncate(ended.len().saturating_sub(kept));
        ended.into_iter().map(|run| Removal {
            name: run.name.clone(),
            why: "newer runs are kept, by spec.schedule.history",
        })
    };
    let succeeded = of(End::Succeeded, kept(history.succeeded, SUCCEEDED_KEPT));
    succeeded.chain(of(End::Failed, kept(history.failed, FAILED_KEPT))).collect()
}

#[cfg(test)]
mod tests;
