//! `cairn edit`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::talk;
use crate::api::types::{Budgets, Wished};

/// Change the budgets of an experiment; a completed one goes on if they allow it
///
/// Example: cairn edit digits --max-trial-count 100 --parallel-trial-count 8
#[derive(Debug, Args)]
pub(super) struct Edit {
    /// The experiment
    experiment: String,
    #[command(flatten)]
    wanted: Wanted,
}

/// The budgets as they are wanted; those left out stay.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Wanted {
    /// Trials at all
    #[arg(long, value_name = "N")]
    max_trial_count: Option<i32>,
    /// Trials at once
    #[arg(long, value_name = "N")]
    parallel_trial_count: Option<i32>,
    /// Failed trials at which the experiment fails
    #[arg(long, value_name = "N")]
    max_failed_trial_count: Option<i32>,
    /// Longest time, such as 2h30m
    #[arg(long, value_name = "DURATION")]
    max_duration: Option<String>,
    /// Most GPU-hours
    #[arg(long, value_name = "HOURS")]
    max_gpu_hours: Option<f64>,
    /// Most money
    #[arg(long, value_name = "COST")]
    max_cost: Option<f64>,
}

impl Edit {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let wanted = self.wanted;
        let budgets = Budgets {
            max_trial_count: wanted.max_trial_count,
            parallel_trial_count: wanted.parallel_trial_count,
            max_failed_trial_count: wanted.max_failed_trial_count,
            max_duration: wanted.max_duration,
            max_gpu_hours: wanted.max_gpu_hours,
            max_cost: wanted.max_cost,
        };
        let wished: Wished =
            connection.client.patch(&connection.path(&self.experiment, ""), &budgets).await?;
        talk(&format!("the budgets of experiment `{}` are changed", self.experiment));
        if connection.engine.is_some() && wished.driven_by.is_none() {
            talk(&format!(
                "nobody drives it now; `cairn resume {}` or `cairn serve` goes on",
                connection.called(&self.experiment)
            ));
        }
        Ok(Exit::Done)
    }
}
