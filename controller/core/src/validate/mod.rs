//! The one validator behind every door: what Katib's webhook refuses, what Cairn adds, all problems at once.

mod collector;
mod endpoint;
mod parameters;
mod template;
mod top;
mod update;

pub use parameters::point_problems;
pub use update::{Changes, changes};

use crate::defaults;
use crate::document::{self, ExperimentDocument};
use crate::report::Report;
use crate::yaml::Source;

/// Reads, defaults and validates the one Experiment of a text. The document is usable if the report is valid.
pub fn text(text: &str) -> (ExperimentDocument, Source, Report) {
    let (mut document, source, mut report) = document::read(text);
    if !document.metadata.name.is_empty() || document.spec != Default::default() || report.is_valid() {
        report.extend(self::document(&mut document));
    }
    let report = report.with_lines(&source);
    (document, source, report)
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
    report
}

#[cfg(test)]
mod tests;
