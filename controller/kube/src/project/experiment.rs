//! The status of an Experiment.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::katib;
use controller_core::trial::TrialRecord;
use serde_json::{Value, json};

/// The status of an Experiment, whole. `lists` are the answers to [`katib::lists`], each newest first; in the status the
/// oldest of them comes first.
pub fn status(
    record: &ExperimentRecord,
    status: &ExperimentStatus,
    lists: &[(&'static str, Vec<TrialRecord>)],
) -> Value {
    let mut view = katib::status(record, status);
    for (word, trials) in lists {
        let newest = trials.iter().take(katib::MAX_NAMES as usize);
        let names: Vec<&str> = newest.rev().map(|trial| trial.name.as_str()).collect();
        view.insert((*word).into(), json!(names));
    }
    Value::Object(view)
}
