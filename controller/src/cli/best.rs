//! `cairn best`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, parameters, seconds};
use crate::api::types::Trial;

/// Show the best trial so far: its value, parameters, model and folder
///
/// Example: cairn best digits -o json
#[derive(Debug, Args)]
pub(super) struct Best {
    /// The experiment
    experiment: String,
}

impl Best {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let trial: Trial = connection.client.get(&connection.path(&self.experiment, "/best")).await?;
        output::write(connection.format, &trial, table)?;
        Ok(Exit::Done)
    }
}

/// A trial with all that is to be known of it.
pub(super) fn table(trial: &Trial) -> String {
    let metric = |metric: &crate::api::types::Metric| {
        format!("{} {} (min {}, max {})", metric.name, metric.latest, metric.min, metric.max)
    };
    let model = trial.model.as_ref().map(|model| {
        let digest = if model.digest.is_empty() { "unverified" } else { &model.digest };
        format!("{} ({}, {} bytes, sha256 {digest})", model.uri, model.format, model.bytes)
    });
    output::pairs(&[
        ("trial", format!("{} ({})", trial.name, trial.idx)),
        ("state", trial.state.clone()),
        ("value", number(trial.value)),
        ("parameters", parameters(trial)),
        ("metrics", trial.metrics.iter().map(metric).collect::<Vec<_>>().join(", ")),
        ("time", trial.seconds.map(seconds).unwrap_or_default()),
        ("model", model.unwrap_or_default()),
        ("folder", trial.place.clone().unwrap_or_default()),
    ])
}
