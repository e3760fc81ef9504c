//! Conditions of experiments and trials: their mechanics, reasons and messages, as Katib has them.

use crate::experiment::{Condition, ExperimentStatus};
use crate::time::Timestamp;
use crate::trial::{TrialRecord, TrialState, WAITING};

/// Sets a condition: without effect if status and reason are unchanged, else the old entry goes and the new one is
/// appended. The transition time stays while the status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    now: Timestamp,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) {
    let status = if status { "True" } else { "False" };
    let old = conditions.iter().position(|c| c.kind == kind);
    if old.is_some_and(|i| conditions[i].status == status && conditions[i].reason == reason) {
        return;
    }
    let old = old.map(|i| conditions.remove(i));
    let kept = old.filter(|c| c.status == status).map(|c| c.last_transition_time);
    conditions.push(Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_update_time: now,
        last_transition_time: kept.unwrap_or(now),
    });
}

/// Sets a final condition: first `Running` becomes `False` with its reason and message kept, then the final one follows.
pub fn end(conditions: &mut Vec<Condition>, now: Timestamp, kind: &str, reason: &str, message: &str) {
    if let Some(i) = conditions.iter().position(|c| c.kind == "Running" && c.status == "True") {
        let mut running = conditions.remove(i);
        running.status = "False".into();
        running.last_update_time = now;
        running.last_transition_time = now;
        conditions.push(running);
    }
    set(conditions, now, kind, true, reason, message);
}

/// Marks an experiment as taken up again after its end: the final conditions go, `Restarting` is set and stays.
pub fn restart(status: &mut ExperimentStatus, now: Timestamp) {
    status.conditions.retain(|c| c.kind != "Succeeded" && c.kind != "Failed" && c.kind != "Restarting");
    status.completed = None;
    set(&mut status.conditions, now, "Restarting", true, "ExperimentRestarting", "Experiment is restarted");
}

/// The conditions of a trial, in their order; a pure function of its record.
pub fn of_trial(trial: &TrialRecord) -> Vec<Condition> {
    let mut conditions = Vec::new();
    set(&mut conditions, trial.created, "Created", true, "TrialCreated", "Trial is created");
    if let Some(started) = trial.started {
        let running = !trial.state.is_final() && trial.state == TrialState::Running;
        if running || trial.state.is_final() {
            set(&mut conditions, started, "Running", true, "TrialRunning", "Trial is running");
        } else {
            set(&mut conditions, started, "Running", false, &trial.reason, &trial.message);
        }
    } else if trial.reason == WAITING {
        set(&mut conditions, trial.created, "Running", false, &trial.reason, &trial.message);
    }
    if trial.state.is_final() {
        let ended = trial.ended.unwrap_or(trial.created);
        end(&mut conditions, ended, trial.state.name(), &trial.reason, &trial.message);
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(conditions: &[Condition]) -> Vec<(&str, &str)> {
        conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str())).collect()
    }

    #[test]
    fn the_last_condition_is_the_current_state() {
        let mut conditions = Vec::new();
        set(&mut conditions, Timestamp(1), "Created", true, "C", "");
        set(&mut conditions, Timestamp(2), "Running", true, "R", "");
        end(&mut conditions, Timestamp(3), "Succeeded", "S", "");
        assert_eq!(kinds(&conditions), [("Created", "True"), ("Running", "False"), ("Succeeded", "True")]);
        assert_eq!(conditions[1].reason, "R");
    }

    #[test]
    fn an_unchanged_condition_keeps_its_place_and_times() {
        let mut conditions = Vec::new();
        set(&mut conditions, Timestamp(1), "Running", true, "R", "");
        set(&mut conditions, Timestamp(2), "Other", true, "O", "");
        set(&mut conditions, Timestamp(3), "Running", true, "R", "new");
        assert_eq!(kinds(&conditions), [("Running", "True"), ("Other", "True")]);
        set(&mut conditions, Timestamp(4), "Running", true, "R2", "");
        assert_eq!(conditions[1].last_transition_time, Timestamp(1));
        assert_eq!(conditions[1].last_update_time, Timestamp(4));
    }

    #[test]
    fn restarting_stays_and_final_conditions_go() {
        let mut status = ExperimentStatus::default();
        set(&mut status.conditions, Timestamp(1), "Running", true, "R", "");
        end(&mut status.conditions, Timestamp(2), "Succeeded", "S", "");
        restart(&mut status, Timestamp(3));
        assert!(!status.is_completed());
        set(&mut status.conditions, Timestamp(4), "Running", true, "R", "");
        assert_eq!(kinds(&status.conditions), [("Restarting", "True"), ("Running", "True")]);
    }
}
