//! `cairn validate`

use clap::Args;
use controller_core::report::not_valid;

use super::connect::{Connection, read_file};
use super::exit::Exit;
use super::output::{self, Format, talk};
use crate::api::types::Validation;

/// Check an Experiment all the way to what this machine can run, and start nothing
///
/// All problems are reported at once, each with its path and line.
///
/// Example: cairn validate experiment.yaml
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The Experiment; `-` for standard input
    file: String,
}

impl Validate {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (text, _) = read_file(&self.file)?;
        let path = format!("/api/v1/validate?namespace={}", connection.namespace);
        let validation: Validation = connection.client.post_document(&path, &text).await?;
        if connection.format == Format::Table {
            tell(&validation);
        } else {
            output::write(connection.format, &validation, |_| String::new())?;
        }
        Ok(if validation.valid { Exit::Done } else { Exit::Usage })
    }
}

pub(super) fn tell(validation: &Validation) {
    if validation.valid {
        talk(&format!("experiment `{}` is valid", validation.name));
    } else {
        talk(&format!("error: {}", not_valid(&validation.name)));
    }
    validation.errors.iter().for_each(|problem| talk(&format!("  {}", output::problem(problem))));
    let mut hints: Vec<&str> =
        validation.errors.iter().filter_map(|problem| problem.hint.as_deref()).collect();
    hints.dedup();
    hints.iter().for_each(|hint| talk(&format!("hint: {hint}")));
    output::remarks(&validation.warnings, &validation.notes);
}
