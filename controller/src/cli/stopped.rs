//! `cairn models stop` and `cairn models start`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::talk;
use super::promote::{follow, person};
use crate::api::client::encode;
use crate::api::types::{ModelView, RollbackRequest, WordRequest};

/// Serve a model no more; its champion stays on record
///
/// Its servers end once their last requests have ended, and who asks is told that nobody serves it. `cairn models start`,
/// or the next promotion, serves it again at the same address.
///
/// Example: cairn models stop digits --reason 'the shop is closed'
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// The model
    model: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Who wants it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

/// Serve the champion of a model that was stopped again
///
/// It goes the way of a rollback: its files are compared with their digest, and it has to answer the sample.
///
/// Example: cairn models start digits
#[derive(Debug, Args)]
pub(super) struct Start {
    /// The model
    model: String,
    /// Who wants it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

impl Stop {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (model, namespace) = (encode(&self.model), encode(&connection.namespace));
        let word = WordRequest { by: self.by, reason: self.reason, digest: String::new() };
        let at = format!("/api/v1/models/{model}/stop?namespace={namespace}");
        let stopped: ModelView = connection.client.post(&at, &word).await?;
        talk(&format!(
            "model {0} is not served any more; version {1} stays its champion: cairn models start {0}",
            stopped.name, stopped.champion
        ));
        Ok(Exit::Done)
    }
}

impl Start {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (name, namespace) = (encode(&self.model), encode(&connection.namespace));
        let model: ModelView =
            connection.client.get(&format!("/api/v1/models/{name}?namespace={namespace}")).await?;
        let request = RollbackRequest { to: u32::try_from(model.champion).ok(), by: self.by };
        let at = format!("/api/v1/models/{name}/rollback?namespace={namespace}");
        follow(connection, connection.client.post(&at, &request).await?).await
    }
}
