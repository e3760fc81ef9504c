//! The status of an Experiment that is not taken in.

use controller_core::conditions;
use controller_core::katib;
use controller_core::report::Problem;
use controller_core::time::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// The status of an Experiment that is not valid: it has failed, with every problem. It is looked at again once it is
/// edited.
pub fn refused(resource: &DynamicObject, problems: &[Problem]) -> Value {
    let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.as_microsecond());
    let at = Timestamp(created.unwrap_or_default());
    let mut list = Vec::new();
    conditions::set(&mut list, at, "Created", true, "ExperimentCreated", "Experiment is created");
    let lines = problems.iter().map(|problem| {
        let hint = problem.hint.iter().map(|hint| format!(" ({hint})")).collect::<String>();
        format!("{}: {}{hint}", problem.path, problem.message)
    });
    let message = format!("Experiment is not valid: {}", lines.collect::<Vec<_>>().join("; "));
    conditions::end(&mut list, at, "Failed", "ExperimentFailed", &message);
    json!({
        "startTime": at.to_rfc3339(),
        "completionTime": at.to_rfc3339(),
        "conditions": katib::conditions(&list),
        "currentOptimalTrial": {"observation": {}},
    })
}
