//! `cairn purge`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, talk};
use crate::api::types::Purged;

/// Erase the record of a deleted experiment, and the folders of its runs
///
/// What was deleted stays on record until then, or until `cairn gc`. A living experiment is not erased, and the lineage of
/// promoted models stays.
///
/// Example: cairn purge digits
#[derive(Debug, Args)]
pub(super) struct Purge {
    /// The deleted experiment
    experiment: String,
}

impl Purge {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, "/purge");
        let purged: Purged = connection.client.post(&path, &serde_json::json!({})).await?;
        for left in &purged.left {
            talk(&format!("left: {left}"));
        }
        output::write(connection.format, &purged, |purged| {
            output::pairs(&[
                ("experiments", purged.experiments.to_string()),
                ("trials", purged.trials.to_string()),
                ("folders", purged.folders.to_string()),
                ("bytes", purged.bytes.to_string()),
            ])
        })?;
        Ok(Exit::Done)
    }
}
