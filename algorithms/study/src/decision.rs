//! What is to become of trials that run or wait.

use serde::{Deserialize, Serialize};

use crate::TrialIdx;

/// What is wanted for a trial, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Which trial.
    pub trial: TrialIdx,
    /// What.
    pub verdict: Verdict,
    /// Why, in one line for people.
    pub reason: String,
}

/// What a scheduler that judges trials while they run wants to hear of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// Steps at which trials are judged, rising; empty: at every report.
    pub steps: Vec<u64>,
    /// Whether it lets trials wait with their checkpoints.
    pub pauses: bool,
}

impl Watch {
    /// Whether a report at a step is to be heard. `last`: the step of the last one that was.
    pub fn wants(&self, last: Option<u64>, step: u64) -> bool {
        let passed = |step: u64| self.steps.partition_point(|level| *level <= step);
        let is_new = last.is_none_or(|last| step > last);
        is_new && (self.steps.is_empty() || passed(step) > last.map_or(0, passed))
    }
}

/// The fates a trial can meet. Whoever is to begin from the checkpoint of another is a new trial: see
/// [`Suggestion::with_checkpoint_of`](crate::Suggestion::with_checkpoint_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Goes on.
    Continue,
    /// Waits with its checkpoint.
    Pause,
    /// Ends now, its result so far counts.
    Stop,
    /// A paused one goes on.
    Resume,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_on_each_rung_is_heard_and_what_is_repeated_is_not() {
        let watch = Watch { steps: vec![1, 3, 9], pauses: true };
        let heard = |watch: &Watch, steps: &[u64]| {
            let mut last = None;
            let mut heard = Vec::new();
            for step in steps {
                if watch.wants(last, *step) {
                    heard.push(*step);
                    last = Some(*step);
                }
            }
            heard
        };
        assert_eq!(heard(&watch, &[0, 1, 2, 4, 5, 3, 4, 20, 21]), [1, 4, 20]);
        assert_eq!(heard(&Watch::default(), &[0, 1, 1, 0, 2]), [0, 1, 2]);
    }
}
