//! `cairn delete`

use std::time::Duration;

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::talk;
use crate::api::client::ClientError;
use crate::api::types::{Experiment, Wished};

/// How long to wait until it is gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// End everything of an experiment and forget it; its name is free then
///
/// Its record and the folders of its runs stay until `cairn purge` or `cairn gc`.
///
/// Example: cairn delete digits
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The experiment
    experiment: String,
}

impl Delete {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, "");
        let before: Experiment = connection.client.get(&path).await?;
        let wished: Wished = connection.client.delete(&path).await?;
        connection.carry_out(&self.experiment, &wished).await?;
        let gone = async {
            loop {
                match connection.client.get::<Experiment>(&path).await {
                    Ok(now) if now.metadata.uid == before.metadata.uid => {}
                    Ok(_) => return Ok(()),
                    Err(ClientError::Refused(detail)) if detail.code == "not_found" => return Ok(()),
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, gone).await {
            Ok(gone) => gone?,
            Err(_) => anyhow::bail!(
                "experiment `{}` is not gone after {} s; its driver will delete it, `cairn explain {}` says what it does",
                self.experiment,
                PATIENCE.as_secs(),
                connection.called(&self.experiment)
            ),
        }
        talk(&format!("experiment `{}` is deleted", self.experiment));
        Ok(Exit::Done)
    }
}
