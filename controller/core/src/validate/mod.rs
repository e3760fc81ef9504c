//! The one validator behind every door: what Katib's webhook refuses, what Cairn adds, all problems at once.

mod artifacts;
mod collector;
mod endpoint;
mod metadata;
mod parameters;
mod promotion;
mod schedule;
mod serving;
mod template;
mod top;
mod update;
mod watch;

pub use artifacts::local_problems as local_artifact_problems;
pub use parameters::point_problems;
pub use promotion::{model_problem, promotion};
pub use update::{Changes, changes, edited, space_changes, space_edit};

use serde_json::Value;

use crate::defaults;
use crate::document::{self, ExperimentDocument};
use crate::report::{Problem, Report};
use crate::spec::ExperimentSpec;
use crate::yaml::Source;

/// Reads, defaults and validates the one Experiment of a text. The document is usable if the report is valid.
pub fn text(text: &str) -> (ExperimentDocument, Source, Report) {
    let (mut document, source, report) = document::read(text);
    let report = rest(&mut document, report).with_lines(&source);
    (document, source, report)
}

/// Decodes, defaults and validates an Experiment that is no text any more, such as a resource of a cluster.
pub fn value(value: Value) -> (ExperimentDocument, Report) {
    let (mut document, report) = document::decode(value);
    let report = rest(&mut document, report);
    (document, report)
}

/// Everything else that is to be said of a document after what its reading has said.
fn rest(document: &mut ExperimentDocument, mut report: Report) -> Report {
    if !document.metadata.name.is_empty() || document.spec != ExperimentSpec::default() || report.is_valid() {
        let mut found = self::document(document);
        found.errors.retain(|error| !report.errors.iter().any(|cause| follows(error, cause)));
        report.extend(found);
    }
    report
}

/// Whether an error is only there because another node could not be read and was left out: it stands at the same place
/// or below it, or right above and names what is missing.
fn follows(error: &Problem, cause: &Problem) -> bool {
    let below = |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.starts_with(['.', '[']));
    if cause.path.is_empty() {
        return false;
    }
    if error.path == cause.path || below(&error.path, &cause.path) {
        return true;
    }
    let name = cause.path.rsplit('.').next().unwrap_or_default();
    cause.path.strip_suffix(name).is_some_and(|parent| parent.trim_end_matches('.') == error.path)
        && error.message.contains(name)
}

/// Defaults and validates a document in place.
pub fn document(document: &mut ExperimentDocument) -> Report {
    let mut report = Report::default();
    defaults::apply(&mut document.spec, &mut report);
    top::check(document, &mut report);
    endpoint::check(&document.spec, &mut report);
    parameters::check(&document.spec, &mut report);
    template::check(&document.spec, &mut report);
    collector::check(&document.spec, &mut report);
    artifacts::check(&document.spec, &mut report);
    promotion::check(&document.spec, &mut report);
    schedule::check(&document.metadata.name, &document.spec, &mut report);
    report
}

#[cfg(test)]
mod tests;
