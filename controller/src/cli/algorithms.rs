//! `cairn algorithms`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, Format};
use crate::api::client::encode;
use crate::api::service;
use crate::api::types::{AlgorithmView, Algorithms as List};

/// List the algorithms and what each can do, or explain one
///
/// Example: cairn algorithms tpe
#[derive(Debug, Args)]
pub(super) struct Algorithms {
    /// One of them
    name: Option<String>,
}

impl Algorithms {
    /// Of this build.
    pub(super) fn here(self, format: Format) -> anyhow::Result<Exit> {
        match self.name {
            None => output::write(format, &service::algorithms(), table)?,
            Some(name) => output::write(format, &service::algorithm(&name)?, one)?,
        }
        Ok(Exit::Done)
    }

    /// Of a server.
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match self.name {
            None => {
                let list: List = connection.client.get("/api/v1/algorithms").await?;
                output::write(connection.format, &list, table)?;
            }
            Some(name) => {
                let path = format!("/api/v1/algorithms/{}", encode(&name));
                let algorithm: AlgorithmView = connection.client.get(&path).await?;
                output::write(connection.format, &algorithm, one)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn table(list: &List) -> String {
    let features: Vec<String> =
        list.items.first().map(|first| first.features.keys().cloned().collect()).unwrap_or_default();
    let titles: Vec<String> = features.iter().map(|feature| feature.to_uppercase()).collect();
    let mut headings = vec!["NAME"];
    headings.extend(titles.iter().map(String::as_str));
    headings.push("WHAT IT DOES");
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|algorithm| {
            let mut row = vec![algorithm.name.clone()];
            row.extend(features.iter().map(|feature| {
                algorithm.features.get(feature).and_then(|can| can.as_str()).unwrap_or_default().to_owned()
            }));
            row.push(algorithm.summary.clone());
            row
        })
        .collect();
    output::table(&headings, &rows)
}

fn one(algorithm: &AlgorithmView) -> String {
    let features = algorithm.features.iter().filter_map(|(name, can)| match can.as_str()? {
        "yes" => Some(name.clone()),
        "no" => None,
        limit => Some(format!("{name} ({limit})")),
    });
    let features: Vec<String> = features.collect();
    let head = output::pairs(&[
        ("name", algorithm.name.clone()),
        ("does", algorithm.summary.clone()),
        ("searches", features.join(", ")),
        ("source", algorithm.source.clone()),
    ]);
    if algorithm.settings.is_empty() {
        return head;
    }
    let rows: Vec<Vec<String>> = algorithm
        .settings
        .iter()
        .map(|setting| vec![setting.name.clone(), setting.default.clone(), setting.meaning.clone()])
        .collect();
    format!("{head}\n\n{}", output::table(&["SETTING", "DEFAULT", "MEANING"], &rows))
}
