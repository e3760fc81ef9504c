//! `cairn compare`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output;
use crate::api::client::encode;
use crate::api::types::Comparison;

/// Put trials side by side; what differs is marked with `*`
///
/// Example: cairn compare digits 3 17
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The experiment
    experiment: String,
    /// Trials, by name or number
    #[arg(required = true, num_args = 2..)]
    trials: Vec<String>,
}

impl Compare {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let rest = format!("/compare?trials={}", encode(&self.trials.join(",")));
        let comparison: Comparison = connection.client.get(&connection.path(&self.experiment, &rest)).await?;
        output::write(connection.format, &comparison, table)?;
        Ok(Exit::Done)
    }
}

fn table(comparison: &Comparison) -> String {
    let mut headings = vec!["", ""];
    headings.extend(comparison.trials.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = comparison
        .rows
        .iter()
        .map(|row| {
            let mark = if row.differs { "*" } else { "" };
            let mut cells = vec![mark.to_owned(), row.name.clone()];
            cells.extend(row.values.iter().cloned());
            cells
        })
        .collect();
    output::table(&headings, &rows)
}
