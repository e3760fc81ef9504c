//! `cairn trial model`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_trait::async_trait;
use clap::Args;
use controller_core::artifacts::{MODEL, manifest_of};
use controller_core::ports::{ArtifactError, ArtifactSource, Pieces};
use futures::StreamExt as _;
use serde::Serialize;

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output;
use crate::api::client::{Client, encode};
use crate::api::types::{Model, Trial};

/// Download the model that a trial has left
///
/// Every file is compared with the manifest, and the manifest with the digest that was recorded when the trial ended: the
/// folder appears whole or not at all.
///
/// Example: cairn trial model digits 17 --to model
#[derive(Debug, Args)]
pub(super) struct Download {
    /// The experiment
    experiment: String,
    /// The trial, by name or number
    trial: String,
    /// The folder to make [default: one of the trial's name, here]
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// What was downloaded.
#[derive(Serialize)]
struct Downloaded {
    #[serde(flatten)]
    model: Model,
    folder: String,
    files: usize,
}

/// A trial's model as the API serves it.
struct Served<'a> {
    client: &'a Client,
    /// The path of the model, and what follows it.
    path: String,
    query: String,
}

impl Download {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = connection.path(&self.experiment, &format!("/trials/{}", encode(&self.trial)));
        let trial: Trial = connection.client.get(&path).await?;
        let to = self.to.unwrap_or_else(|| PathBuf::from(&trial.name));
        if is_taken(&to) {
            let text = format!("{} is there and not empty; choose another folder with --to", to.display());
            return Err(Wrong(text).into());
        }
        let path = connection.path(&self.experiment, &format!("/trials/{}/model", encode(&trial.name)));
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let source = Served { client: &connection.client, path: path.into(), query: query.into() };
        let model = trial.model.clone().unwrap_or_default();
        // Without a model the server says why.
        let manifest = artifacts::manifest(&source, MODEL, Some(&model.digest)).await?;
        artifacts::fetch(&source, MODEL, &manifest, &to).await?;
        let folder = std::path::absolute(&to).context("the working directory is gone")?.display().to_string();
        let done = Downloaded { model, folder, files: manifest.files.len() };
        output::write(connection.format, &done, |done| {
            output::pairs(&[
                ("folder", done.folder.clone()),
                ("files", format!("{}, {} bytes", done.files, done.model.bytes)),
                ("format", done.model.format.clone()),
                ("sha256", done.model.digest.clone()),
            ])
        })?;
        Ok(Exit::Done)
    }
}

fn is_taken(folder: &Path) -> bool {
    folder.symlink_metadata().is_ok_and(|found| {
        !found.is_dir() || folder.read_dir().map_or(true, |mut entries| entries.next().is_some())
    })
}

#[async_trait]
impl ArtifactSource for Served<'_> {
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError> {
        let rest = if key == manifest_of(MODEL) {
            String::new()
        } else {
            let path = key.strip_prefix(MODEL).unwrap_or(key);
            format!("/files{}", path.split('/').map(encode).collect::<Vec<_>>().join("/"))
        };
        let bytes = self.client.bytes(&format!("{}{rest}?{}", self.path, self.query)).await;
        let bytes = bytes.map_err(|error| ArtifactError::Refused(error.to_string()))?;
        Ok(bytes.map(|piece| piece.map_err(ArtifactError::Unavailable)).boxed())
    }
}
