//! `cairn watch`

use clap::Args;
use futures::StreamExt as _;

use super::connect::Connection;
use super::exit::Exit;
use super::follow;
use super::output::{Format, data};
use crate::api::types::Experiment;

/// Print the changes of an experiment as they happen, until it is completed
///
/// Example: cairn watch digits --after 120
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The experiment
    experiment: String,
    /// Number of the last change seen; the ones after it are printed first
    #[arg(long)]
    after: Option<u64>,
}

impl Watch {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, "");
        let now: Experiment = connection.client.get(&path).await?;
        let after = self.after.unwrap_or(now.cairn.last_seq);
        if follow::is_completed(&now) && after >= now.cairn.last_seq {
            return Ok(follow::exit_of(&now));
        }
        // Something may come after its end, such as that a beaten model is gone.
        let mut last = follow::is_completed(&now).then_some(now.cairn.last_seq);
        let mut changes = connection.client.changes(&connection.namespace, &self.experiment, after).await?;
        while let Some(change) = changes.next().await {
            let change = change.map_err(anyhow::Error::msg)?;
            match connection.format {
                Format::Table => data(&format!("{:>6}  {}  {}", change.seq, change.at, change.text))?,
                _ => data(&serde_json::to_string(&change)?)?,
            }
            if change.kind == "condition" || last.is_some_and(|last| change.seq >= last) {
                let now: Experiment = connection.client.get(&path).await?;
                last = follow::is_completed(&now).then_some(now.cairn.last_seq);
                if last.is_some_and(|last| change.seq >= last) {
                    return Ok(follow::exit_of(&now));
                }
            }
        }
        Ok(Exit::Done)
    }
}
