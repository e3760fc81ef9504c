//! `cairn export`

use std::io::Write as _;

use clap::{Args, ValueEnum};
use futures::StreamExt as _;

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output::Format;

/// How to export.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum As {
    /// One row a trial
    Csv,
    /// The experiment with all trials
    Json,
}

/// Write all trials of an experiment, or every value they reported, as CSV or JSON
///
/// Example: cairn export digits > digits.csv; cairn export digits --observations > curves.csv
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The experiment
    experiment: String,
    /// How [default: csv, or json with `-o json`]
    #[arg(long = "as", value_enum)]
    format: Option<As>,
    /// Every value of every trial: as CSV in place of the trials, as JSON beside them
    #[arg(long)]
    observations: bool,
}

impl Export {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let format = match (self.format, connection.format) {
            (Some(As::Csv), _) | (None, Format::Table) => "csv",
            (Some(As::Json), _) | (None, Format::Json) => "json",
            (None, Format::Yaml) => {
                let message = "an export is CSV or JSON; `cairn trials -o yaml` writes trials as YAML";
                return Err(Wrong(message.to_owned()).into());
            }
        };
        let path = connection
            .path(&self.experiment, &format!("/export?format={format}&observations={}", self.observations));
        let mut chunks = connection.client.bytes(&path).await?;
        while let Some(chunk) = chunks.next().await {
            std::io::stdout().lock().write_all(&chunk.map_err(anyhow::Error::msg)?)?;
        }
        Ok(Exit::Done)
    }
}
