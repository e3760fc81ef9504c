//! `cairn best`

use clap::Args;
use serde::Serialize;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, parameters, seconds};
use crate::api::types::{PredictedBest, Trial};

/// Show the best trial so far: its value, parameters, model and folder
///
/// Where the algorithm has a model of the objective, also the trial that it believes the best: noise makes the lowest
/// value seen look better than it is.
///
/// Example: cairn best digits -o json
#[derive(Debug, Args)]
pub(super) struct Best {
    /// The experiment
    experiment: String,
}

impl Best {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let trial: Trial = connection.client.get(&connection.path(&self.experiment, "/best")).await?;
        let believed: PredictedBest =
            connection.client.get(&connection.path(&self.experiment, "/best/predicted")).await?;
        let predicted_best = believed.predicted.is_some().then_some(believed);
        output::write(connection.format, &Shown { trial, predicted_best }, |shown| {
            let believed =
                shown.predicted_best.as_ref().map(|believed| self::believed(&shown.trial, believed));
            [table(&shown.trial)].into_iter().chain(believed).collect::<Vec<_>>().join("\n")
        })?;
        Ok(Exit::Done)
    }
}

/// The best trial by the values seen, with the best by what is believed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    trial: Trial,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_best: Option<PredictedBest>,
}

/// The trial believed the best, beside the one that was seen to be.
fn believed(seen: &Trial, believed: &PredictedBest) -> String {
    let (Some(trial), Some(predicted)) = (&believed.trial, believed.predicted) else { return String::new() };
    let expected =
        format!("{} expected, deviation {}", number(Some(predicted.mean)), number(Some(predicted.std)));
    if trial.idx == seen.idx {
        return format!("\nbest predicted: the same trial, {expected}");
    }
    let rows = [
        ("trial", format!("{} ({})", trial.name, trial.idx)),
        ("value", format!("{expected}; seen {}", number(trial.value))),
        ("parameters", parameters(trial)),
    ];
    format!("\nbest predicted, with noise left out:\n{}", output::pairs(&rows))
}

/// A trial with all that is to be known of it.
pub(super) fn table(trial: &Trial) -> String {
    let metric = |metric: &crate::api::types::Metric| {
        format!("{} {} (min {}, max {})", metric.name, metric.latest, metric.min, metric.max)
    };
    let model = trial.model.as_ref().map(|model| {
        let digest = if model.digest.is_empty() { "unverified" } else { &model.digest };
        let format = if model.format.is_empty() { "no format" } else { &model.format };
        match &model.removed {
            Some(at) => format!("removed at {at}, as better ones are kept ({format}, sha256 {digest})"),
            None => format!("{} ({format}, {} bytes, sha256 {digest})", model.uri, model.bytes),
        }
    });
    let repeated = trial.repeated.map(|all| {
        format!(
            "{} over {} runs, standard error {}",
            number(Some(all.mean)),
            all.runs,
            number(Some(all.std_error))
        )
    });
    output::pairs(&[
        ("trial", format!("{} ({})", trial.name, trial.idx)),
        ("state", trial.state.clone()),
        ("value", number(trial.value)),
        ("mean", repeated.unwrap_or_default()),
        ("parameters", parameters(trial)),
        ("metrics", trial.metrics.iter().map(metric).collect::<Vec<_>>().join(", ")),
        ("time", trial.seconds.map(seconds).unwrap_or_default()),
        ("model", model.unwrap_or_default()),
        ("folder", trial.place.clone().unwrap_or_default()),
    ])
}
