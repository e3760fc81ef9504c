//! Wishes of an Experiment.

use controller_core::document::ExperimentDocument;
use controller_core::experiment::{ExperimentRecord, ExperimentStatus, Hold};
use controller_core::ports::{StoredWish, Wish};
use controller_core::report::{Problem, Report};
use controller_core::validate;
use kube::core::DynamicObject;

use super::edit;
use crate::job::Path;
use crate::template;

/// What is asked of an experiment that exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// What is to be done.
    pub wishes: Vec<Wish>,
    /// What cannot be done; nothing comes of it.
    pub refused: Vec<Problem>,
}

/// The document of a resource, with its defaults, and all that is to be said of it: what every door says, and whether its
/// conditions can be read, which only matters here.
pub fn document(resource: &DynamicObject) -> (ExperimentDocument, Report) {
    let (document, mut report) = validate::value(serde_json::to_value(resource).unwrap_or_default());
    let template = document.spec.trial_template.iter();
    let conditions = template.flat_map(|template| {
        [("successCondition", &template.success_condition), ("failureCondition", &template.failure_condition)]
    });
    for (word, text) in conditions.filter(|(_, text)| !text.is_empty()) {
        if let Err(error) = Path::parse(text) {
            report.error(Problem::new(format!("spec.trialTemplate.{word}"), error.to_string()));
        }
    }
    if document.spec.schedule.is_some() {
        let problem =
            Problem::new("spec.schedule", "experiments of a cluster are not run again by themselves yet");
        report
            .error(problem.hint(
                "leave it out, and let a CronJob create the Experiment; or submit it to `cairn serve`",
            ));
    }
    (document, report)
}

/// What a resource asks of its experiment. `open` are the wishes that are written down and not yet carried out.
pub fn of_experiment(
    resource: &DynamicObject,
    record: &ExperimentRecord,
    status: &ExperimentStatus,
    open: &[StoredWish],
) -> Asked {
    let ends = status.hold == Hold::Deleting || open.iter().any(|stored| stored.wish == Wish::Delete);
    if ends {
        return Asked::default();
    }
    if resource.metadata.deletion_timestamp.is_some() {
        return Asked { wishes: vec![Wish::Delete], ..Asked::default() };
    }
    let taken_in = template::as_taken_in(resource, &record.spec);
    let (document, report) = document(taken_in.as_ref().unwrap_or(resource));
    if !report.is_valid() {
        return Asked { refused: report.errors, ..Asked::default() };
    }
    let mut asked = edit::budgets(&document.spec, record, status, open);
    asked.wishes.extend(hold(document.spec.suspend == Some(true), status, open));
    asked
}

/// The wish that makes an experiment held or free, if it is not.
fn hold(suspend: bool, status: &ExperimentStatus, open: &[StoredWish]) -> Option<Wish> {
    let wished = open.iter().rev().find_map(|stored| match stored.wish {
        Wish::Stop { .. } => Some(true),
        Wish::Resume => Some(false),
        _ => None,
    });
    let held = wished.unwrap_or(status.hold != Hold::Free);
    if status.is_completed() || held == suspend {
        return None;
    }
    Some(if suspend { Wish::Stop { now: false } } else { Wish::Resume })
}
