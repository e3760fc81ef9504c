//! What of the log of an experiment is told as events of the cluster, beside its Experiment and its Trials.

use controller_core::event::{Event, StoredEvent};
use controller_core::trial::TrialState;
use study::TrialIdx;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The trial that it is about; none: the experiment.
    pub trial: Option<TrialIdx>,
    /// Whether somebody should look at it.
    pub warning: bool,
    /// One word, Katib's where it has one.
    pub reason: String,
    /// One sentence.
    pub note: String,
}

/// What is told of an event of the log. `name` is that of its trial, which is that of the object that runs it.
pub fn happenings(stored: &StoredEvent, name: &str) -> Vec<Happening> {
    let trial = stored.event.trial();
    let told = |warning: bool, reason: &str, note: String| {
        vec![Happening { trial, warning, reason: reason.to_owned(), note }]
    };
    match &stored.event {
        Event::Condition { condition, status, reason, message } => {
            let failed = condition == "Failed" && status == "True";
            told(failed, reason, message.clone())
        }
        Event::Edited { change } => told(false, "Edited", change.clone()),
        Event::TrialCreated { .. } => told(false, "TrialCreated", "Trial is created".into()),
        Event::TrialStarted { attempt, .. } => {
            let mut all = told(false, "JobCreated", format!("Job {name} has been created"));
            all.extend(told(false, "JobRunning", format!("Job {name} is running (attempt {attempt})")));
            all
        }
        // At each of its steps: too many for what a cluster keeps of events.
        Event::TrialReported { .. } => Vec::new(),
        Event::TrialRequeued { attempt, reason, .. } => {
            told(true, "TrialRequeued", format!("attempt {attempt} ended and there is another: {reason}"))
        }
        Event::TrialPaused { attempt, reason, .. } => {
            told(false, "TrialPaused", format!("it waits with the checkpoint of attempt {attempt}: {reason}"))
        }
        Event::TrialResumed { attempt, reason, .. } => told(
            false,
            "TrialResumed",
            format!("it goes on from the checkpoint of attempt {attempt}: {reason}"),
        ),
        Event::TrialEnded { state, message, .. } => {
            let (warning, reason) = match state {
                TrialState::Succeeded => (false, "JobSucceeded"),
                TrialState::Failed => (true, "JobFailed"),
                TrialState::MetricsUnavailable => (true, "MetricsUnavailable"),
                TrialState::EarlyStopped => (false, "TrialEarlyStopped"),
                TrialState::Killed => (false, "TrialKilled"),
                TrialState::Pending | TrialState::Running | TrialState::Paused => return Vec::new(),
            };
            told(warning, reason, message.clone())
        }
        Event::ModelRemoved { uri, .. } => {
            told(false, "ModelRemoved", format!("better ones are kept: {uri}"))
        }
        Event::Noted { message, .. } => told(false, "Noted", message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use controller_core::time::Timestamp;

    use super::*;

    fn told(event: Event) -> Vec<(bool, String, String)> {
        let stored = StoredEvent { seq: 1, at: Timestamp(0), event };
        let told = happenings(&stored, "demo-x");
        told.into_iter().map(|it| (it.warning, it.reason, it.note)).collect()
    }

    #[test]
    fn a_failed_experiment_is_a_warning_and_its_trials_are_told_as_katib_s() {
        let condition = |condition: &str| Event::Condition {
            condition: condition.into(),
            status: "True".into(),
            reason: "Why".into(),
            message: "so".into(),
        };
        assert_eq!(told(condition("Failed")), [(true, "Why".into(), "so".into())]);
        assert_eq!(told(condition("Running")), [(false, "Why".into(), "so".into())]);
        let started = Event::TrialStarted { trial: TrialIdx(0), attempt: 2, slots: Vec::new() };
        assert_eq!(
            told(started),
            [
                (false, "JobCreated".into(), "Job demo-x has been created".into()),
                (false, "JobRunning".into(), "Job demo-x is running (attempt 2)".into())
            ]
        );
    }
}
