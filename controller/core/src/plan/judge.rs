//! What the end of a run means for its trial.

use study::{Direction, Outcome};

use super::snapshot::{Measured, Snapshot};
use crate::experiment::Hold;
use crate::run::Exit;
use crate::trial::{TrialEvent, TrialRecord};

/// Reason of a running trial that a person wants gone.
pub const KILL_WANTED: &str = "TrialKillWanted";
/// Reason of a running trial that a rule, looked at elsewhere, has stopped.
pub const STOP_WANTED: &str = "TrialEarlyStopWanted";

/// Reason of a running trial that the scheduler wants ended; its message says why.
pub const STOP_DECIDED: &str = "TrialEarlyStopDecided";
/// Reason of a running trial that the scheduler wants to wait; its message says why.
pub const PAUSE_DECIDED: &str = "TrialPauseDecided";

/// Whether a trial with this reason is to end.
pub fn is_end_wanted(reason: &str) -> bool {
    matches!(reason, KILL_WANTED | STOP_WANTED | STOP_DECIDED)
}

/// Whether the run of a trial with this reason is to end.
pub fn is_run_unwanted(reason: &str) -> bool {
    reason == PAUSE_DECIDED || is_end_wanted(reason)
}

/// Attempts lost through no fault of the trial after which it fails all the same.
const MAX_LOST: u32 = 10;

/// What becomes of a trial whose run has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It gets another run.
    Requeue {
        /// Whose fault the end was.
        fault: Fault,
        /// Why.
        reason: String,
    },
    /// It waits with the checkpoint that the run left.
    Pause {
        /// What for.
        reason: String,
    },
    /// It ends.
    End {
        /// How.
        event: TrialEvent,
        /// One word.
        reason: String,
        /// One sentence.
        message: String,
        /// What algorithms are told.
        outcome: Outcome,
    },
}

/// Whose fault it was that a run ended without deciding its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The trial's own; counts against its retries.
    Own,
    /// The world's; a trial that meets it too often is given up.
    World,
    /// Nobody's: a person stopped it.
    Nobody,
}

/// Decides what becomes of a trial whose newest run has ended.
pub fn judge(snapshot: &Snapshot, trial: &TrialRecord, measured: &Measured) -> Fate {
    let end = &measured.end;
    if end.stopped_by.is_some() || trial.reason == STOP_WANTED {
        let costs = costs(snapshot.limits.direction, measured);
        let outcome = Outcome::EarlyStopped { costs };
        return over(TrialEvent::Stopped, "TrialEarlyStopped", "Trial is early stopped", outcome);
    }
    if trial.reason == STOP_DECIDED {
        let outcome = Outcome::EarlyStopped { costs: costs(snapshot.limits.direction, measured) };
        return stopped_because(&trial.message, outcome);
    }
    match &end.exit {
        // Who waited and cannot go on, as its checkpoint is damaged or its program gone, keeps what it had reached.
        Exit::NotStarted { reason } if !trial.waited.is_empty() && !trial.objectives.is_empty() => {
            let costs = trial.objectives.iter().map(|value| snapshot.limits.direction.cost(*value)).collect();
            stopped_because(&format!("it cannot go on: {reason}"), Outcome::EarlyStopped { costs })
        }
        Exit::Code { code: 0 } => ended_well(snapshot, measured),
        // One that was stopped and whose checkpoint cannot be kept is no failure either.
        Exit::Stopped | Exit::BadOutput { .. } if trial.reason == KILL_WANTED => {
            over(TrialEvent::Killed, "TrialKilled", "Trial was killed by a person", Outcome::Failed)
        }
        Exit::Stopped | Exit::BadOutput { .. } if snapshot.status.is_completed() => over(
            TrialEvent::Killed,
            "ExperimentCompleted",
            "Trial was stopped because the experiment has completed",
            Outcome::Failed,
        ),
        Exit::Stopped if trial.reason == PAUSE_DECIDED => paused(snapshot, trial, measured),
        Exit::Stopped if snapshot.status.hold == Hold::Free => lost(trial, "it was stopped from outside"),
        Exit::Stopped => Fate::Requeue { fault: Fault::Nobody, reason: "the experiment was stopped".into() },
        Exit::BadOutput { .. } if snapshot.status.hold == Hold::Stopped => {
            Fate::Requeue { fault: Fault::Nobody, reason: "the experiment was stopped".into() }
        }
        Exit::BadOutput { reason } if trial.reason == PAUSE_DECIDED => {
            let outcome = Outcome::EarlyStopped { costs: costs(snapshot.limits.direction, measured) };
            stopped_because(&format!("{}; {reason}, so it ends instead of waiting", trial.message), outcome)
        }
        Exit::Lost { reason } => lost(trial, reason),
        Exit::TimedOut { .. } => failed("TrialTimedOut", measured),
        Exit::NotStarted { .. } | Exit::BadOutput { .. } => failed("TrialFailed", measured),
        Exit::Failed { reason, message } => {
            let with = |text: &str, what: &str, more: &str| {
                if more.is_empty() { text.to_owned() } else { format!("{text}. Job {what}: {more}") }
            };
            let (reason, message) =
                (with("TrialFailed", "reason", reason), with("Trial has failed", "message", message));
            over(TrialEvent::Failed, &reason, &message, Outcome::Failed)
        }
        Exit::Code { .. } | Exit::Signal { .. } => {
            let gone_on = !snapshot.status.is_completed() && trial.reason != KILL_WANTED;
            if gone_on && trial.failures < snapshot.limits.retries {
                let reason =
                    format!("{}; retry {} of {}", end.exit, trial.failures + 1, snapshot.limits.retries);
                Fate::Requeue { fault: Fault::Own, reason }
            } else {
                failed("TrialFailed", measured)
            }
        }
    }
}

fn ended_well(snapshot: &Snapshot, measured: &Measured) -> Fate {
    if !measured.available {
        let objective = snapshot.record.spec.objective().objective_metric_name;
        let more = more(measured);
        let message = format!(
            "Metrics are not available. Job message: the objective `{objective}` was never reported{more}"
        );
        return over(TrialEvent::MetricsMissing, "MetricsUnavailable", &message, Outcome::Failed);
    }
    let costs = costs(snapshot.limits.direction, measured);
    if costs.is_empty() {
        let message = "Trial has succeeded; its objective is no finite number and cannot be compared";
        return over(TrialEvent::Succeeded, "TrialSucceeded", message, Outcome::Failed);
    }
    let outcome = Outcome::Succeeded { costs };
    over(TrialEvent::Succeeded, "TrialSucceeded", "Trial has succeeded", outcome)
}

/// A program that cannot go on from a checkpoint is stopped, never paused, and that is said.
fn paused(snapshot: &Snapshot, trial: &TrialRecord, measured: &Measured) -> Fate {
    if measured.end.checkpoint.is_some() {
        return Fate::Pause { reason: trial.message.clone() };
    }
    let outcome = Outcome::EarlyStopped { costs: costs(snapshot.limits.direction, measured) };
    let why = format!(
        "{}; it left nothing in CAIRN_CHECKPOINT_DIR to go on from, so it ends instead of waiting",
        trial.message
    );
    stopped_because(&why, outcome)
}

/// The end of a trial that a scheduler has ended.
pub(super) fn stopped_because(why: &str, outcome: Outcome) -> Fate {
    over(TrialEvent::Stopped, "TrialEarlyStopped", &format!("Trial is early stopped: {why}"), outcome)
}

fn lost(trial: &TrialRecord, reason: &str) -> Fate {
    if trial.lost + 1 >= MAX_LOST {
        let message = format!(
            "Trial has failed. Job message: its run was lost {MAX_LOST} times, last because {reason}"
        );
        return over(TrialEvent::Failed, "TrialFailed", &message, Outcome::Failed);
    }
    Fate::Requeue { fault: Fault::World, reason: reason.to_owned() }
}

fn failed(reason: &str, measured: &Measured) -> Fate {
    let message = format!("Trial has failed. Job message: {}{}", measured.end.exit, more(measured));
    over(TrialEvent::Failed, reason, &message, Outcome::Failed)
}

/// What the executor has said beside the end, behind a colon.
fn more(measured: &Measured) -> String {
    let message = &measured.end.message;
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn over(event: TrialEvent, reason: &str, message: &str, outcome: Outcome) -> Fate {
    Fate::End { event, reason: reason.into(), message: message.into(), outcome }
}

/// Costs told to algorithms; none if the objective is no finite number.
fn costs(direction: Direction, measured: &Measured) -> Vec<f64> {
    measured.objectives.iter().map(|value| direction.cost(*value)).collect()
}
