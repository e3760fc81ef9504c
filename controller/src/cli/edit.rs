//! `cairn edit`

use clap::Args;

use super::connect::{Connection, read_file};
use super::exit::Exit;
use super::output::talk;
use crate::api::types::{Budgets, Wished};

/// Change the budgets or the search space of an experiment; a completed one goes on if they allow it
///
/// The space comes from a file: the Experiment as it is to be, with other bounds, lists, constraints, or parameters that
/// are new (with a default, which the trials so far are taken to have had) or gone. What was found stays; trials outside
/// of the new space are in the results, and the algorithm does not hear of them.
///
/// Examples: cairn edit digits --max-trial-count 100 --parallel-trial-count 8; cairn edit digits --space experiment.yaml
#[derive(Debug, Args)]
pub(super) struct Edit {
    /// The experiment
    experiment: String,
    #[command(flatten)]
    wanted: Wanted,
}

/// What is wanted; what is left out stays.
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
    /// Search the space of this Experiment from now on; `-` for standard input
    #[arg(long, value_name = "FILE")]
    space: Option<String>,
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
        let mut driven_by = None;
        if let Some(file) = &wanted.space {
            let (text, _) = read_file(file)?;
            let path = connection.path(&self.experiment, "/space");
            let wished: Wished = connection.client.post_document(&path, &text).await?;
            talk(&format!("the search space of experiment `{}` is changed", self.experiment));
            driven_by = wished.driven_by;
        }
        if !budgets.is_empty() {
            let wished: Wished =
                connection.client.patch(&connection.path(&self.experiment, ""), &budgets).await?;
            talk(&format!("the budgets of experiment `{}` are changed", self.experiment));
            driven_by = wished.driven_by;
        }
        if connection.engine.is_some() && driven_by.is_none() {
            talk(&format!(
                "nobody drives it now; `cairn resume {}` or `cairn serve` goes on",
                connection.called(&self.experiment)
            ));
        }
        Ok(Exit::Done)
    }
}
