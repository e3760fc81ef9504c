//! `cairn list`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, talk};
use crate::api::client::encode;
use crate::api::types::Experiments;

/// List experiments, newest first
///
/// Example: cairn list
#[derive(Debug, Args)]
pub(super) struct List {
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl List {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let filter = if self.all_namespaces {
            String::new()
        } else {
            format!("?namespace={}", encode(&connection.namespace))
        };
        let experiments: Experiments = connection.client.get(&format!("/api/v1/experiments{filter}")).await?;
        if experiments.items.is_empty() {
            let place = if self.all_namespaces {
                String::new()
            } else {
                format!(" in namespace `{}` (-A lists those of all)", connection.namespace)
            };
            talk(&format!("there are no experiments{place}; `cairn run FILE` starts one"));
        }
        output::write(connection.format, &experiments, |items| table(items, self.all_namespaces))?;
        Ok(Exit::Done)
    }
}

fn table(experiments: &Experiments, with_namespace: bool) -> String {
    let mut headings =
        ["NAME", "STATE", "TRIALS", "RUNNING", "FAILED", "OBJECTIVE", "BEST", "BEST TRIAL", "CREATED"]
            .to_vec();
    let mut rows: Vec<Vec<String>> = experiments
        .items
        .iter()
        .map(|experiment| {
            let (cairn, counters) = (&experiment.cairn, &experiment.cairn.counters);
            let max = experiment.spec.get("maxTrialCount").map_or("-".to_owned(), ToString::to_string);
            vec![
                experiment.metadata.name.clone(),
                cairn.state.clone(),
                format!("{}/{max}", counters.total - counters.pending - counters.running),
                counters.running.to_string(),
                counters.failed.to_string(),
                cairn.objective.clone(),
                number(cairn.best_value),
                cairn.best_trial.clone().unwrap_or_default(),
                experiment.metadata.creation_timestamp.clone(),
            ]
        })
        .collect();
    if with_namespace {
        headings.insert(0, "NAMESPACE");
        for (row, experiment) in rows.iter_mut().zip(&experiments.items) {
            row.insert(0, experiment.metadata.namespace.clone());
        }
    }
    output::table(&headings, &rows)
}
