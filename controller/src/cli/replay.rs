//! `cairn replay`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, talk};
use crate::api::types::Replay as Replayed;

/// Ask the recorded questions again and say whether the suggestions are the same
///
/// Example: cairn replay digits
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The experiment
    experiment: String,
}

impl Replay {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, "/replay");
        let replayed: Replayed = connection.client.post(&path, &serde_json::json!({})).await?;
        if !replayed.other_builds.is_empty() {
            talk(&format!(
                "note: this is build {}, points came from {}: the last bits of a suggestion may differ",
                replayed.build,
                replayed.other_builds.join(", ")
            ));
        }
        output::write(connection.format, &replayed, |replayed| {
            let first = format!("{} of {} suggestions are the same", replayed.same, replayed.asked);
            std::iter::once(first).chain(replayed.differences.iter().cloned()).collect::<Vec<_>>().join("\n")
        })?;
        Ok(if replayed.same == replayed.asked { Exit::Done } else { Exit::Ours })
    }
}
