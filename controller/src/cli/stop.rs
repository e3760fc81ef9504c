//! `cairn stop`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::follow;
use super::output::talk;
use crate::api::types::{Experiment, StopRequest, Wished};

/// Hold an experiment: no new trials; `cairn resume` lets it go on
///
/// Example: cairn stop digits --now
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// The experiment
    experiment: String,
    /// End running trials too; they get another attempt after `resume`
    #[arg(long)]
    now: bool,
}

impl Stop {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, "/stop");
        let wished: Wished = connection.client.post(&path, &StopRequest { now: self.now }).await?;
        connection.carry_out(&self.experiment, &wished).await?;
        let now: Experiment = connection.client.get(&connection.path(&self.experiment, "")).await?;
        if follow::is_completed(&now) {
            talk(&format!("experiment `{}` has ended: there is nothing to hold", self.experiment));
            return Ok(Exit::Done);
        }
        let what = if self.now { "running trials end" } else { "running trials finish, no new ones begin" };
        let called = connection.called(&self.experiment);
        talk(&format!(
            "experiment `{}` is held: {what}; `cairn resume {called}` lets it go on",
            self.experiment
        ));
        Ok(Exit::Done)
    }
}
