//! `cairn get`

use clap::Args;
use serde_json::Value;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, seconds};
use crate::api::types::{CairnBlock, Experiment, Rung};

/// Show an experiment: its state, budgets and best trial
///
/// With -o yaml it is Katib's resource, status and all, with a block of Cairn's own.
///
/// Example: cairn get digits -o yaml
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The experiment
    experiment: String,
}

impl Get {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let experiment: Experiment = connection.client.get(&connection.path(&self.experiment, "")).await?;
        output::write(connection.format, &experiment, table)?;
        Ok(Exit::Done)
    }
}

/// Of how many runs the best value is the mean.
fn repeated(cairn: &CairnBlock) -> String {
    match (cairn.best_runs, cairn.best_std_error) {
        (Some(runs), Some(error)) => {
            format!(" (mean of {runs} runs, standard error {})", number(Some(error)))
        }
        _ => String::new(),
    }
}

fn rung(rung: &Rung) -> String {
    let Rung { step, reached, promoted, paused, stopped } = rung;
    format!("step {step}: {reached} came, {promoted} went on, {paused} wait, {stopped} stopped")
}

fn table(experiment: &Experiment) -> String {
    let (cairn, counters) = (&experiment.cairn, &experiment.cairn.counters);
    let of = |word: &str| match experiment.spec.get(word) {
        None | Some(Value::Null) => String::new(),
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    let algorithm = experiment.spec.pointer("/algorithm/algorithmName").and_then(Value::as_str);
    let ended = counters.total - counters.pending - counters.running;
    let trials = format!(
        "{ended} of {} ended: {} succeeded, {} failed, {} stopped early, {} killed, {} without metrics; {} running, {} pending",
        of("maxTrialCount"),
        counters.succeeded,
        counters.failed,
        counters.early_stopped,
        counters.killed,
        counters.metrics_unavailable,
        counters.running,
        counters.pending
    );
    let best = cairn.best_trial.as_ref().map(|name| {
        format!("{name} with {} {}{}", cairn.objective, number(cairn.best_value), repeated(cairn))
    });
    let spent = format!("{} of runs", seconds(cairn.spent.run_seconds));
    let gpu = if cairn.spent.gpu_seconds > 0.0 {
        format!(", {} of GPUs", seconds(cairn.spent.gpu_seconds))
    } else {
        String::new()
    };
    let cost = if cairn.spent.cost > 0.0 {
        format!(", cost {}", number(Some(cairn.spent.cost)))
    } else {
        String::new()
    };
    let limits =
        ["maxFailedTrialCount", "maxDuration", "maxGpuHours", "maxCost"].map(|word| (word, of(word)));
    let limits: Vec<String> = limits
        .into_iter()
        .filter(|(_, limit)| !limit.is_empty())
        .map(|(word, limit)| format!("{word} {limit}"))
        .collect();
    output::pairs(&[
        (
            "experiment",
            format!("{} in namespace {}", experiment.metadata.name, experiment.metadata.namespace),
        ),
        ("state", format!("{} ({})", cairn.state, cairn.reason)),
        ("message", cairn.message.clone()),
        ("waiting", cairn.waiting.clone()),
        ("driven by", cairn.driven_by.clone().unwrap_or_default()),
        ("objective", format!("{} {}", cairn.direction, cairn.objective)),
        ("algorithm", algorithm.unwrap_or("auto").to_owned()),
        ("seed", cairn.seed.to_string()),
        ("parallel", of("parallelTrialCount")),
        ("trials", trials),
        ("limits", limits.join(", ")),
        ("best", best.unwrap_or_default()),
        ("steps", cairn.steps.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("rungs", cairn.rungs.iter().map(rung).collect::<Vec<_>>().join("; ")),
        ("spent", format!("{spent}{gpu}{cost}")),
        ("created", experiment.metadata.creation_timestamp.clone()),
    ])
}
