//! `cairn trial`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::best;
use super::connect::Connection;
use super::exit::Exit;
use super::model::Download;
use super::output::{self, talk};
use crate::api::client::encode;
use crate::api::types::{EnqueueRequest, Trial as Shown, Wished};

/// Show a trial, download its model, enqueue, stop or retry one
#[derive(Debug, Subcommand)]
pub(super) enum Trial {
    Get(Get),
    Model(Download),
    Enqueue(Enqueue),
    Stop(One),
    Retry(Again),
}

/// Show a trial: its value, parameters, model and folder
///
/// Example: cairn trial get digits 17 -o json
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The experiment
    experiment: String,
    /// The trial, by name or number
    trial: String,
}

/// Put a point in the queue: it is tried next
///
/// Parameters that are left out are as in the best trial so far; before there is one, they take their defaults. The
/// trial runs whole: early stopping passes it over.
///
/// Example: cairn trial enqueue digits learning-rate=0.1 hidden=64
#[derive(Debug, Args)]
pub(super) struct Enqueue {
    /// The experiment
    experiment: String,
    /// Parameters with their values
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
}

/// End a trial; it becomes Killed
///
/// Example: cairn trial stop digits 17
#[derive(Debug, Args)]
pub(super) struct One {
    /// The experiment
    experiment: String,
    /// The trial, by name or number
    trial: String,
}

/// Evaluate the point of a trial once more, as a new trial
///
/// Example: cairn trial retry digits 17
#[derive(Debug, Args)]
pub(super) struct Again {
    /// The experiment
    experiment: String,
    /// The trial, by name or number
    trial: String,
}

impl Get {
    async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, &format!("/trials/{}", encode(&self.trial)));
        let trial: Shown = connection.client.get(&path).await?;
        output::write(connection.format, &trial, best::table)?;
        Ok(Exit::Done)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Trial {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (experiment, said, wished) = match self {
            Self::Get(args) => return args.run(connection).await,
            Self::Model(args) => return args.run(connection).await,
            Self::Enqueue(args) => {
                let parameters: BTreeMap<String, String> = args.parameters.into_iter().collect();
                let path = connection.path(&args.experiment, "/trials");
                let wished: Wished = connection.client.post(&path, &EnqueueRequest { parameters }).await?;
                (args.experiment, "the point is in the queue".to_owned(), wished)
            }
            Self::Stop(args) => {
                let path =
                    connection.path(&args.experiment, &format!("/trials/{}/stop", encode(&args.trial)));
                let wished = connection.client.post(&path, &serde_json::json!({})).await?;
                (args.experiment, format!("trial {} is told to end", args.trial), wished)
            }
            Self::Retry(args) => {
                let path =
                    connection.path(&args.experiment, &format!("/trials/{}/retry", encode(&args.trial)));
                let wished = connection.client.post(&path, &serde_json::json!({})).await?;
                (args.experiment, format!("the point of trial {} is in the queue", args.trial), wished)
            }
        };
        talk(&said);
        if connection.engine.is_some() && wished.driven_by.is_none() {
            talk(&format!(
                "nobody drives the experiment now; `cairn resume {}` or `cairn serve` goes on",
                connection.called(&experiment)
            ));
        }
        Ok(Exit::Done)
    }
}
