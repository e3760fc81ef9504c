//! `cairn run`

use clap::Args;
use tokio::task::JoinSet;

use super::connect::{Connection, read_file};
use super::exit::Exit;
use super::output::talk;
use super::submit::submit;
use super::{Common, follow, plan, serve};
use crate::api::types::Wished;

/// Run an Experiment to its best trial
///
/// Trials are processes of this machine; records and runs are kept in DIR. The same command goes on after a stop or a
/// crash, and prints the result once the experiment is completed. Ctrl-C lets running trials finish; twice ends them.
///
/// Example: cairn run experiment.yaml
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The Experiment; `-` for standard input
    file: String,
    /// Show what comes of its trials and what that costs, and start nothing
    #[arg(long)]
    plan: bool,
}

impl Run {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let (text, folder) = read_file(&self.file)?;
        if self.plan {
            return plan::show(&Connection::open(common).await?, &text).await;
        }
        let (mut connection, _door) = open(common).await?;
        let submitted = submit(&connection, &text, &folder).await?;
        let name = submitted.experiment.metadata.name.clone();
        // A namespace that the file names wins.
        connection.namespace.clone_from(&submitted.experiment.metadata.namespace);
        if submitted.experiment.spec.get("schedule").is_some() {
            talk(&format!("experiment `{name}` is a schedule; `cairn serve` makes its runs"));
            return Ok(Exit::Done);
        }
        match submitted.outcome.as_str() {
            "unchanged" if follow::is_completed(&submitted.experiment) => {
                return follow::finish(&connection, &name).await;
            }
            "unchanged" => talk(&format!("experiment `{name}` goes on")),
            "edited" => talk(&format!("experiment `{name}` goes on with other budgets")),
            _ => {}
        }
        if submitted.outcome != "created" && submitted.experiment.cairn.hold != "free" {
            let path = connection.path(&name, "/resume");
            connection.client.post::<Wished>(&path, &serde_json::json!({})).await?;
        }
        follow::to_the_end(&connection, &name).await
    }
}

/// A server that is named; or an engine in this process, with a door for the programs of its trials.
pub(super) async fn open(common: &Common) -> anyhow::Result<(Connection, JoinSet<()>)> {
    if common.server.is_some() {
        return Ok((Connection::open(common).await?, JoinSet::new()));
    }
    let listener = serve::listen("--listen", "127.0.0.1:0").await?;
    let connection = Connection::at(common, listener.local_addr()?).await?;
    let mut door = JoinSet::new();
    if let Some(engine) = &connection.engine {
        let router = serve::door(&engine.api, listener.local_addr()?, None, Vec::new(), None).await?;
        door.spawn(async move {
            if let Err(error) = axum::serve(serve::prompt(listener), router).await {
                tracing::error!(%error, "programs of trials cannot report any more");
            }
        });
    }
    Ok((connection, door))
}
