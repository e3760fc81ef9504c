//! `cairn nas`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, talk};
use crate::api::client::encode;
use crate::api::types::Architecture;

/// Look at architectures
#[derive(Debug, Subcommand)]
pub(super) enum Nas {
    Show(Show),
}

/// Draw the architecture of the best trial: a network's layers, or the cells that it is stacked of; with what the operations
/// of its supernet weighed after each epoch, or the population of an evolution
///
/// Example: cairn nas show enas --svg best.svg
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The experiment
    experiment: String,
    /// Another trial than the best, by name or number
    #[arg(long)]
    trial: Option<String>,
    /// Write a picture into this file too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the graphs into this file too, in the language of Graphviz
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
}

impl Nas {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match self {
            Self::Show(args) => args.run(connection).await,
        }
    }
}

impl Show {
    async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let trial = self.trial.map(|trial| format!("?trial={}", encode(&trial))).unwrap_or_default();
        let path = connection.path(&self.experiment, &format!("/architecture{trial}"));
        let shown: Architecture = connection.client.get(&path).await?;
        for (file, text) in [(self.svg, shown.svg.clone()), (self.dot, shown.dot.concat())] {
            let Some(file) = file else { continue };
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            talk(&format!("written: {}", file.display()));
        }
        output::write(connection.format, &shown, |shown| {
            let value = shown.value.map(|value| format!(", value {}", number(Some(value))));
            let head = format!("trial {} ({}){}", shown.trial, shown.idx, value.unwrap_or_default());
            format!("{head}\n\n{}", shown.text.trim_end())
        })?;
        Ok(Exit::Done)
    }
}
