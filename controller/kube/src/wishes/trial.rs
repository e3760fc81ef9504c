//! Wishes of a Trial.

use controller_core::plan::KILL_WANTED;
use controller_core::ports::{StoredWish, Wish};
use controller_core::trial::TrialRecord;
use kube::core::DynamicObject;
use serde_json::Value;

/// A person's `Killed=True` on a Trial that has not ended is the wish to end it.
pub fn of_trial(resource: &DynamicObject, trial: &TrialRecord, open: &[StoredWish]) -> Option<Wish> {
    let conditions = resource.data.pointer("/status/conditions").and_then(Value::as_array);
    let killed = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Killed" && condition["status"] == "True");
    let wish = Wish::StopTrial { trial: trial.idx };
    let known = trial.state.is_final()
        || trial.reason == KILL_WANTED
        || open.iter().any(|stored| stored.wish == wish);
    (killed && !known).then_some(wish)
}
