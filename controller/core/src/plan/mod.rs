//! What to do next, and why. Pure: the same snapshot at the same time gives the same plan.
//!
//! [`plan`] decides changes to the record, a few at a time; [`apply`](Snapshot::apply) folds one into the snapshot and
//! the batch to be written; [`effects`] reads from a snapshot what the world should do. A crash between any two steps
//! is repaired by planning again.

mod answer;
mod apply;
mod decide;
mod effects;
mod judge;
mod keep;
mod limits;
mod points;
mod recover;
mod snapshot;
mod spared;
#[cfg(test)]
mod tests;
mod wishes;

use study::{Decision, TrialIdx, Verdict};

pub use answer::{Answer, overlay};
pub use effects::{Effect, effects};
pub use judge::{
    Fate, Fault, KILL_WANTED, PAUSE_DECIDED, STOP_DECIDED, STOP_WANTED, is_end_wanted, is_run_unwanted, judge,
};
pub use keep::{KeptCheckpoints, KeptModels};
pub use limits::{Limits, Reached};
pub use points::{Point, Points};
pub use recover::{Found, FoundEnd, FoundTrial, Recovered};
pub use snapshot::{Measured, Reports, RunView, Snapshot};
pub use spared::spared;

use crate::experiment::Hold;
use crate::ports::{AskRecord, StoredWish, Wish};
use crate::run::STARTING;
use crate::time::Timestamp;
use crate::trial::{Origin, TrialRecord, TrialState};

/// A change to the record, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A person's wish is carried out.
    Take(StoredWish),
    /// The experiment begins, or goes on after being held.
    Begin,
    /// The experiment is taken up again: its budgets allow more.
    Restart,
    /// A run has begun.
    Started {
        /// Whose.
        trial: TrialIdx,
        /// Since when.
        since: Timestamp,
        /// What it occupies.
        slots: Vec<String>,
    },
    /// A run cannot begin yet, and it is to be said why.
    Waits {
        /// Whose.
        trial: TrialIdx,
        /// What for, in one line.
        reason: String,
    },
    /// A trial that runs has reported what its scheduler wants to hear.
    Reported {
        /// Which.
        trial: TrialIdx,
        /// What.
        reports: Reports,
    },
    /// A run has ended; its trial ends or gets another.
    Ended {
        /// Whose.
        trial: TrialIdx,
        /// What becomes of the trial.
        fate: Fate,
    },
    /// A trial that has no run ends: killed, or its experiment is over.
    Drop {
        /// Which.
        trial: TrialIdx,
        /// One word.
        reason: &'static str,
        /// One sentence.
        message: String,
    },
    /// What the scheduler wants for a trial is set on its way: it is to end, to wait or to go on.
    Decide(Decision),
    /// The experiment is over.
    Complete(Reached),
    /// A point of a person's, or one that is run again, becomes a trial.
    Create {
        /// Texts by parameter.
        assignments: Vec<(String, String)>,
        /// Whose idea it was.
        origin: Origin,
        /// The wish it fulfils, if one.
        wish_no: Option<i64>,
    },
    /// The suggestion service is to be asked.
    Ask(AskRecord),
    /// A trial gets its next run.
    Run {
        /// Which.
        trial: TrialIdx,
    },
    /// The files of a beaten model are gone.
    ModelRemoved {
        /// Its trial, as it is now.
        trial: Box<TrialRecord>,
    },
    /// The checkpoint of an ended trial is gone.
    CheckpointRemoved {
        /// The trial, as it is now.
        trial: Box<TrialRecord>,
    },
    /// All is stopped and forgotten: the experiment goes.
    Delete,
}

/// What to change next. Empty: nothing until something happens. The caller applies and plans again until nothing comes.
///
/// Ends are taken one at a time, in the order of their recorded times, and what follows from one is planned before the
/// next is taken: so it does not matter whether anybody looked in between.
pub fn plan(now: Timestamp, snapshot: &Snapshot) -> Vec<Action> {
    if let Some(wish) = next_wish(now, snapshot) {
        return vec![Action::Take(wish.clone())];
    }
    if let Some(trial) = snapshot.removed.first() {
        return vec![Action::ModelRemoved { trial: Box::new(trial.clone()) }];
    }
    if let Some(trial) = snapshot.let_go.first() {
        return vec![Action::CheckpointRemoved { trial: Box::new(trial.clone()) }];
    }
    let end = next_end(snapshot);
    let then = end.map_or(now, |(_, measured)| measured.end.ended.min(now));
    let actions = plan_before_ends(then, snapshot);
    if !actions.is_empty() {
        return actions;
    }
    if snapshot.awaits_answers() {
        return Vec::new();
    }
    if !snapshot.reports.is_empty() {
        let reported = |(trial, reports): (&TrialIdx, &Reports)| Action::Reported {
            trial: *trial,
            reports: reports.clone(),
        };
        return snapshot.reports.iter().map(reported).collect();
    }
    let end = end.and_then(|(trial, measured)| take_end(snapshot, trial, measured));
    end.map_or_else(|| waits(snapshot).collect(), |end| vec![end])
}

/// What keeps runs from beginning, where that is not said yet.
fn waits(snapshot: &Snapshot) -> impl Iterator<Item = Action> {
    snapshot.active.values().filter_map(|trial| match snapshot.runs.get(&trial.idx) {
        Some(RunView::Waiting { reason }) if reason != STARTING => {
            let is_new = trial.message != *reason && !is_end_wanted(&trial.reason);
            is_new.then(|| Action::Waits { trial: trial.idx, reason: reason.clone() })
        }
        _ => None,
    })
}

/// What to change before the next end is taken, at the time of that end.
fn plan_before_ends(now: Timestamp, snapshot: &Snapshot) -> Vec<Action> {
    let started = starts(snapshot);
    if !started.is_empty() {
        return started;
    }
    if snapshot.status.hold == Hold::Deleting {
        return if is_stopped(snapshot) { vec![Action::Delete] } else { Vec::new() };
    }
    if snapshot.status.is_completed() {
        return after_the_end(now, snapshot);
    }
    if let Some(reached) = snapshot.limits.reached(now, snapshot) {
        return vec![Action::Complete(reached)];
    }
    let killed = drop_killed(snapshot);
    if !killed.is_empty() {
        return killed;
    }
    if snapshot.status.hold != Hold::Free {
        return Vec::new();
    }
    if !snapshot.status.is("Running") {
        return vec![Action::Begin];
    }
    let steps = [decide::decided, new_trials, next_runs, decide::left_over];
    steps.into_iter().map(|step| step(snapshot)).find(|actions| !actions.is_empty()).unwrap_or_default()
}

/// The wish to be taken now, if one. Those about points wait for a free place; once the experiment is over for good, or
/// the space was edited and they lie outside, they are taken to be refused, after every other wish, which may be for more
/// budget or another space.
fn next_wish(now: Timestamp, snapshot: &Snapshot) -> Option<&StoredWish> {
    let is_point = |stored: &&StoredWish| stored.wish.is_point();
    let over =
        snapshot.status.hold == Hold::Deleting || snapshot.status.is_completed() && !may_go_on(now, snapshot);
    let other = snapshot.wishes.iter().find(|stored| !is_point(stored));
    other.or_else(|| {
        snapshot.wishes.iter().find(|stored| is_point(stored) && (over || snapshot.is_outside(&stored.wish)))
    })
}

/// Whether a completed experiment is to be taken up again: its budgets allow more.
fn may_go_on(now: Timestamp, snapshot: &Snapshot) -> bool {
    snapshot.status.is("Succeeded")
        && snapshot.limits.edited_since_end
        && snapshot.limits.reached(now, snapshot).is_none()
}

/// The earliest end that has not been taken.
fn next_end(snapshot: &Snapshot) -> Option<(TrialIdx, &Measured)> {
    let ended = snapshot.runs.iter().filter_map(|(trial, view)| match view {
        RunView::Ended(measured) => Some((*trial, measured)),
        _ => None,
    });
    ended.min_by_key(|(trial, measured)| (measured.end.ended, *trial))
}

fn take_end(snapshot: &Snapshot, trial: TrialIdx, measured: &Measured) -> Option<Action> {
    let fate = judge(snapshot, snapshot.active.get(&trial)?, measured);
    Some(Action::Ended { trial, fate })
}

fn starts(snapshot: &Snapshot) -> Vec<Action> {
    let starting = snapshot.active.values().filter(|trial| trial.state == TrialState::Pending);
    starting
        .filter_map(|trial| match snapshot.runs.get(&trial.idx) {
            Some(RunView::Running { since, slots }) => {
                Some(Action::Started { trial: trial.idx, since: *since, slots: slots.clone() })
            }
            _ => None,
        })
        .collect()
}

/// Whether no run is left, not even at the executor.
fn is_stopped(snapshot: &Snapshot) -> bool {
    snapshot.finished.is_empty() && snapshot.runs.values().all(|view| *view == RunView::Unborn)
}

/// A completed experiment drops what has no run, ends what waits with what it reached, and is taken up again when its budgets allow more.
fn after_the_end(now: Timestamp, snapshot: &Snapshot) -> Vec<Action> {
    if may_go_on(now, snapshot) {
        return vec![Action::Restart];
    }
    let waiting = snapshot.waiting().map(|trial| {
        let reason = "the experiment has completed".into();
        Action::Decide(Decision { trial: trial.idx, verdict: Verdict::Stop, reason })
    });
    let without_run = snapshot.active.values().filter(|trial| {
        trial.state != TrialState::Paused && snapshot.runs.get(&trial.idx) == Some(&RunView::Unborn)
    });
    let dropped = without_run.map(|trial| Action::Drop {
        trial: trial.idx,
        reason: "ExperimentCompleted",
        message: "Trial was not run because the experiment has completed".into(),
    });
    waiting.chain(dropped).collect()
}

fn drop_killed(snapshot: &Snapshot) -> Vec<Action> {
    let killed = snapshot.active.values().filter(|trial| {
        is_end_wanted(&trial.reason) && snapshot.runs.get(&trial.idx) == Some(&RunView::Unborn)
    });
    killed
        .map(|trial| Action::Drop {
            trial: trial.idx,
            reason: "TrialKilled",
            message: if trial.reason == KILL_WANTED {
                "Trial was killed by a person".into()
            } else {
                "Trial was stopped early while it waited for its next attempt".into()
            },
        })
        .collect()
}

/// People's points first, then the best point once more if it has not had all its runs, then one question for all
/// remaining places. Questions may be open already, as each end has its own; points wait for their answers, whose
/// numbers come first.
fn new_trials(snapshot: &Snapshot) -> Vec<Action> {
    let places = snapshot.limits.places(snapshot);
    // Whoever waits goes first, so that has to be known.
    if places == 0 || !snapshot.is_decided() {
        return Vec::new();
    }
    let first = snapshot.next_idx();
    let queued =
        snapshot.record.spec.queued_points.iter().skip(first.0 as usize).map(|point| Action::Create {
            assignments: point.iter().map(|(name, text)| (name.clone(), text.clone())).collect(),
            origin: Origin::Enqueued,
            wish_no: None,
        });
    let wished = snapshot.wishes.iter().filter_map(|stored| match &stored.wish {
        Wish::Enqueue { assignments } => Some(Action::Create {
            assignments: assignments.clone(),
            origin: Origin::Enqueued,
            wish_no: Some(stored.wish_no),
        }),
        Wish::RetryTrial { trial } => Some(Action::Create {
            assignments: snapshot.repeats.get(trial)?.clone(),
            origin: Origin::Retry { of: *trial },
            wish_no: Some(stored.wish_no),
        }),
        _ => None,
    });
    let again = snapshot.to_repeat().map(|point| Action::Create {
        assignments: point.assignments.clone(),
        origin: Origin::Repeat { of: point.first() },
        wish_no: None,
    });
    let mut actions: Vec<Action> = queued.chain(wished).chain(again).take(places as usize).collect();
    if !actions.is_empty() && !snapshot.asks.is_empty() {
        return Vec::new();
    }
    let n = places as u32 - actions.len() as u32;
    if n > 0 && !snapshot.exhausted {
        let first_idx = TrialIdx(first.0 + actions.len() as u64);
        let history_seq = snapshot.status.last_seq + actions.len() as u64;
        actions.push(Action::Ask(AskRecord { first_idx, n, history_seq }));
    }
    actions
}

fn next_runs(snapshot: &Snapshot) -> Vec<Action> {
    let waiting = snapshot.active.values().filter(|trial| trial.state == TrialState::Pending);
    waiting
        .filter(|trial| snapshot.runs.get(&trial.idx) == Some(&RunView::Unborn))
        .take(snapshot.limits.free(snapshot) as usize)
        .map(|trial| Action::Run { trial: trial.idx })
        .collect()
}
