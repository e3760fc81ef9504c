//! `cairn submit`

use std::path::Path;

use clap::Args;

use super::connect::{Connection, read_file};
use super::exit::Exit;
use super::output::{self, Format, talk};
use crate::api::client::{ClientError, encode};
use crate::api::types::{Experiment, Submitted, called};

/// Submit an Experiment to whoever drives it, and do not wait
///
/// The same name and spec again changes nothing; other budgets are an edit; anything else is refused with the
/// difference.
///
/// Example: cairn submit experiment.yaml --server http://127.0.0.1:7700
#[derive(Debug, Args)]
pub(super) struct Submit {
    /// The Experiment; `-` for standard input
    file: String,
}

impl Submit {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (text, folder) = read_file(&self.file)?;
        let submitted = submit(connection, &text, &folder).await?;
        let name = &submitted.experiment.metadata.name;
        match submitted.outcome.as_str() {
            "created" => talk(&format!("experiment `{name}` is submitted")),
            "edited" => talk(&format!("experiment `{name}` exists: its budgets are changed")),
            _ => talk(&format!("experiment `{name}` exists with the same spec: nothing to do")),
        }
        nobody_drives(connection, &submitted.experiment);
        if connection.format == Format::Table {
            output::data(name)?;
        } else {
            output::write(connection.format, &submitted, |_| String::new())?;
        }
        Ok(Exit::Done)
    }
}

/// Says how a submitted experiment comes to run, if nobody drives it.
pub(super) fn nobody_drives(connection: &Connection, submitted: &Experiment) {
    if connection.engine.is_some() && submitted.cairn.driven_by.is_none() {
        let called = called(&submitted.metadata.namespace, &submitted.metadata.name);
        talk(&format!("nobody drives it yet: `cairn resume {called}` or `cairn serve` does"));
    }
}

/// Submits a text whose relative paths start from a folder; says what there is to say.
pub(super) async fn submit(
    connection: &Connection,
    text: &str,
    folder: &Path,
) -> Result<Submitted, ClientError> {
    let mut path = format!("/api/v1/experiments?namespace={}", encode(&connection.namespace));
    if connection.client.is_local() {
        path.push_str(&format!("&baseDir={}", encode(&folder.display().to_string())));
    }
    let submitted: Submitted = connection.client.post_document(&path, text).await?;
    output::remarks(&submitted.warnings, &submitted.notes);
    Ok(submitted)
}
