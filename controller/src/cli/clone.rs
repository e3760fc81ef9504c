//! `cairn clone`

use clap::Args;
use serde_json::{Value, json};

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output::{data, talk};
use super::{submit, yaml};
use crate::api::types::Experiment;

/// Submit an experiment once more under another name
///
/// Its trials are not copied. With --dry-run the new Experiment is only printed, to be changed and run.
///
/// Example: cairn clone digits digits-2 --dry-run > digits-2.yaml
#[derive(Debug, Args)]
pub(super) struct Clone {
    /// The experiment
    experiment: String,
    /// Name of the new one
    name: String,
    /// Print it and submit nothing
    #[arg(long)]
    dry_run: bool,
}

impl Clone {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let old: Experiment = connection.client.get(&connection.path(&self.experiment, "")).await?;
        let new = document(&old, &self.name);
        if self.dry_run {
            data(yaml::write(&new).trim_end())?;
            return Ok(Exit::Done);
        }
        let folder = match old.cairn.base_dir {
            Some(folder) => folder.into(),
            None => std::env::current_dir()?,
        };
        let submitted = submit::submit(connection, &new.to_string(), &folder).await?;
        if submitted.outcome != "created" {
            return Err(
                Wrong(format!("experiment `{}` exists; give the clone another name", self.name)).into()
            );
        }
        talk(&format!("experiment `{}` is submitted", self.name));
        submit::nobody_drives(connection, &submitted.experiment);
        data(&self.name)?;
        Ok(Exit::Done)
    }
}

/// The same experiment, as its author might have written it, under another name.
fn document(old: &Experiment, name: &str) -> Value {
    let mut metadata = json!({ "name": name, "namespace": old.metadata.namespace });
    for (word, map) in [("labels", &old.metadata.labels), ("annotations", &old.metadata.annotations)] {
        if !map.is_null() {
            metadata[word] = map.clone();
        }
    }
    let mut spec = old.spec.clone();
    if let Value::Object(spec) = &mut spec {
        spec.remove("suspend");
    }
    json!({ "apiVersion": old.api_version, "kind": old.kind, "metadata": metadata, "spec": spec })
}
