//! `cairn resume`

use clap::Args;

use super::exit::Exit;
use super::output::talk;
use super::{Common, follow, run};
use crate::api::types::Wished;

/// Let a held or interrupted experiment go on; without a server, in this process to its end
///
/// Example: cairn resume digits
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The experiment
    experiment: String,
}

impl Resume {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let (connection, _door) = run::open(common).await?;
        let path = connection.path(&self.experiment, "/resume");
        connection.client.post::<Wished>(&path, &serde_json::json!({})).await?;
        if connection.engine.is_none() {
            talk(&format!("experiment `{}` goes on", self.experiment));
            return Ok(Exit::Done);
        }
        follow::to_the_end(&connection, &self.experiment).await
    }
}
