//! MLflow: the trial as a run, the version in the registry, and the alias `champion` on it.
//!
//! Runs and versions carry the tag `cairn.key`, by which they are looked up before they are made; experiments and models
//! have their names. Everything else is sent again as it is, which changes nothing there.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderValue, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller_core::ports::{Measured, RecordTarget, TargetError};
use controller_core::promotion::{Record, Version};
use controller_core::time::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::fitted::{self, METRICS_PER_REQUEST, PARAM, PER_REQUEST, TAG, millis, pair, parts};
use super::wire::Wire;
use crate::api::client::encode;

/// The alias of the version that is champion.
const CHAMPION: &str = "champion";
/// The tag by which what was made is found again.
const KEY: &str = "cairn.key";
/// Stores of artifacts that MLflow takes as the place of a version. It refuses folders of other machines.
const KNOWN_STORES: [&str; 6] = ["s3://", "gs://", "az://", "abfss://", "wasbs://", "hdfs://"];

/// A server of MLflow.
pub(super) struct Mlflow {
    wire: Wire,
    base: String,
    registry: bool,
}

/// Why a call did not do what it was for.
enum Refusal {
    /// There is no such thing.
    Absent(String),
    /// There is one of that name already.
    Exists,
    /// Anything else.
    Other(TargetError),
}

impl From<Refusal> for TargetError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // It was there a moment ago.
            Refusal::Absent(why) => {
                Self::Away { why: format!("something went away meanwhile: {why}"), after: None }
            }
            Refusal::Exists => Self::Away { why: "something came meanwhile".into(), after: None },
            Refusal::Other(error) => error,
        }
    }
}

#[derive(Deserialize)]
struct Wrong {
    error_code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Found {
    experiment: Experiment,
}

#[derive(Deserialize)]
struct Experiment {
    experiment_id: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Deserialize)]
struct Made {
    experiment_id: String,
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    info: RunInfo,
}

#[derive(Deserialize)]
struct RunInfo {
    run_id: String,
}

#[derive(Deserialize)]
struct MadeRun {
    run: Run,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    model_versions: Vec<Numbered>,
}

#[derive(Deserialize)]
struct MadeVersion {
    model_version: Numbered,
}

#[derive(Deserialize)]
struct Numbered {
    version: String,
}

impl Mlflow {
    /// The one at an address. What lets us in is read from MLflow's own variables, and sent to the server that they are for
    /// alone: anybody who may write an Experiment can name an address.
    pub(super) fn new(uri: &str, registry: bool, clock: Arc<dyn Clock>) -> Self {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let authorization = authorization(uri, of);
        Self { wire: Wire::new(clock, authorization), base: format!("{uri}/api/2.0/mlflow"), registry }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Refusal> {
        let url = format!("{}/{path}", self.base);
        let answer = self.wire.ask(method, &url, body).await.map_err(Refusal::Other)?;
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|error| {
                let why = format!("what answers there is no MLflow: {path} gave {error}");
                Refusal::Other(TargetError::Closed(why))
            });
        }
        // Only what MLflow itself says has such a word; a proxy before it has not.
        let wrong: Option<Wrong> = serde_json::from_slice(&answer.body).ok();
        Err(match wrong {
            Some(wrong) if wrong.error_code == "RESOURCE_DOES_NOT_EXIST" => Refusal::Absent(wrong.message),
            Some(wrong) if wrong.error_code == "RESOURCE_ALREADY_EXISTS" => Refusal::Exists,
            Some(_) if matches!(answer.status.as_u16(), 400 | 413 | 422) => Refusal::Other(answer.refusal()),
            _ => Refusal::Other(answer.problem()),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.call(Method::GET, path, None).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Refusal> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Sends something whose answer says nothing.
    async fn send(&self, path: &str, body: &Value) -> Result<(), TargetError> {
        Ok(self.post::<Value>(path, body).await.map(drop)?)
    }

    /// The experiment of a name, made if there is none.
    async fn experiment(&self, name: &str, uid: &str) -> Result<String, TargetError> {
        let at = format!("experiments/get-by-name?experiment_name={}", encode(name));
        if let Some(id) = living(self.get(&at).await, name)? {
            return Ok(id);
        }
        let body = json!({"name": name, "tags": [pair("cairn.experimentUid", uid, TAG)]});
        match self.post::<Made>("experiments/create", &body).await {
            Ok(made) => Ok(made.experiment_id),
            // Somebody else has made it at the same moment.
            Err(Refusal::Exists) => living(self.get(&at).await, name)?.ok_or_else(|| Refusal::Exists.into()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// The run of a trial, made if there is none.
    async fn run(
        &self,
        experiment: &str,
        record: &Record,
        measured: &Measured,
    ) -> Result<String, TargetError> {
        let key = key_of_run(&record.version);
        let search = json!({
            "experiment_ids": [experiment], "filter": format!("tags.`{KEY}` = '{key}'"), "max_results": 1,
        });
        let found: Runs = self.post("runs/search", &search).await?;
        if let Some(run) = found.runs.into_iter().next() {
            return Ok(run.info.run_id);
        }
        let started = measured.started.unwrap_or(record.at);
        let body = json!({
            "experiment_id": experiment,
            "run_name": record.version.candidate.trial_name,
            "start_time": millis(started),
            "tags": [pair(KEY, &key, TAG)],
        });
        let made: MadeRun = self.post("runs/create", &body).await?;
        Ok(made.run.info.run_id)
    }

    /// Everything that is known of a trial.
    async fn log(&self, run: &str, record: &Record, measured: &Measured) -> Result<(), TargetError> {
        let version = &record.version;
        let params = version.candidate.assignments.iter();
        let params = params.map(|(name, value)| pair(name, value, PARAM)).collect();
        let tags = tags_of_run(record).iter().map(|(name, value)| pair(name, value, TAG)).collect();
        let mut metrics = fitted::metrics(measured, record.at);
        if metrics.is_empty() {
            // Erased meanwhile; what the version itself remembers is left.
            let latest = version.candidate.metrics.iter();
            metrics = latest
                .filter_map(|metric| Some((metric.name.as_str(), metric.latest.parse().ok()?)))
                .map(|(name, value)| fitted::metric(name, value, record.at, 0))
                .collect();
        }
        if let Some(measurement) = &version.evidence.candidate {
            let name = format!("evaluate/{}", version.metric);
            metrics.push(fitted::metric(&name, measurement.value, version.at, 0));
        }
        for (word, items, most) in [
            ("params", params, PER_REQUEST),
            ("tags", tags, PER_REQUEST),
            ("metrics", metrics, METRICS_PER_REQUEST),
        ] {
            for part in parts(items, most) {
                self.send("runs/log-batch", &json!({"run_id": run, word: part})).await?;
            }
        }
        if let Some(dataset) = dataset(version) {
            self.send("runs/log-inputs", &json!({"run_id": run, "datasets": [dataset]})).await?;
        }
        let ended = millis(measured.ended.unwrap_or(record.at));
        let end = json!({"run_id": run, "status": "FINISHED", "end_time": ended});
        self.send("runs/update", &end).await
    }

    /// The number of a version in the registry, made if there is none.
    async fn version(&self, model: &str, run: &str, version: &Version) -> Result<String, TargetError> {
        let tag = |name: &str, value: &str| pair(name, value, TAG);
        match self.get::<Value>(&format!("registered-models/get?name={}", encode(model))).await {
            Ok(_) => {}
            Err(Refusal::Absent(_)) => {
                let tags = [tag("cairn.namespace", &version.namespace), tag("cairn.model", &version.model)];
                match self
                    .post::<Value>("registered-models/create", &json!({"name": model, "tags": tags}))
                    .await
                {
                    Ok(_) | Err(Refusal::Exists) => {}
                    Err(refusal) => return Err(refusal.into()),
                }
            }
            Err(refusal) => return Err(refusal.into()),
        }
        let key = key_of_version(version);
        let filter = encode(&format!("name = '{model}' AND tags.`{KEY}` = '{key}'"));
        let found: Versions =
            self.get(&format!("model-versions/search?filter={filter}&max_results=1")).await?;
        if let Some(found) = found.model_versions.into_iter().next() {
            return Ok(found.version);
        }
        let artifact = &version.candidate.artifact;
        let mut tags = vec![
            tag(KEY, &key),
            tag("cairn.version", &version.number.to_string()),
            tag("cairn.digest", &artifact.digest),
            tag("cairn.uri", &artifact.uri),
            tag("cairn.promotion", &format!("{}/{}", version.model, version.promotion)),
            tag("cairn.author", &version.author),
        ];
        if !artifact.format.is_empty() {
            tags.push(tag("cairn.format", &artifact.format));
        }
        if let Some(approval) = &version.approval {
            tags.push(tag("cairn.approvedBy", &approval.by));
            tags.push(tag("cairn.approvedBecause", &approval.reason));
        }
        let (trial, experiment) = (&version.candidate.trial_name, &version.candidate.experiment);
        let body = json!({
            "name": model,
            "source": source(version),
            "run_id": run,
            "tags": tags,
            "description": format!("version {} in Cairn: trial {trial} of experiment {experiment}", version.number),
        });
        let made: MadeVersion = self.post("model-versions/create", &body).await?;
        Ok(made.model_version.version)
    }
}

#[async_trait]
impl RecordTarget for Mlflow {
    async fn deliver(&self, record: &Record, measured: &Measured) -> Result<(), TargetError> {
        let version = &record.version;
        let candidate = &version.candidate;
        let name = format!("{}/{}", version.namespace, candidate.experiment);
        let experiment = self.experiment(&name, &candidate.experiment_uid).await?;
        let run = self.run(&experiment, record, measured).await?;
        self.log(&run, record, measured).await?;
        if !self.registry {
            return Ok(());
        }
        let model = name_of_model(version);
        let number = self.version(&model, &run, version).await?;
        let alias = json!({"name": model, "alias": CHAMPION, "version": number});
        self.send("registered-models/alias", &alias).await
    }
}

/// The id of an experiment that was looked up, if there is one.
fn living(found: Result<Found, Refusal>, name: &str) -> Result<Option<String>, TargetError> {
    match found {
        Ok(Found { experiment }) if experiment.lifecycle_stage == "deleted" => {
            let id = experiment.experiment_id;
            Err(TargetError::Refused(format!(
                "the experiment `{name}` is deleted there; `mlflow experiments restore --experiment-id {id}` brings it back"
            )))
        }
        Ok(Found { experiment }) => Ok(Some(experiment.experiment_id)),
        Err(Refusal::Absent(_)) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

/// What lets us in at this address, as these variables say: a token, or a name and a password.
fn authorization(uri: &str, of: impl Fn(&str) -> Option<String>) -> Option<HeaderValue> {
    let theirs = of("MLFLOW_TRACKING_URI")?;
    if theirs.trim_end_matches('/') != uri {
        return None;
    }
    let text = match (of("MLFLOW_TRACKING_USERNAME"), of("MLFLOW_TRACKING_TOKEN")) {
        (Some(name), _) => {
            let password = of("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            format!(
                "Basic {}",
                STANDARD.encode(format!("{name}:{}", password.trim_end_matches(['\r', '\n'])))
            )
        }
        (None, Some(token)) => format!("Bearer {token}"),
        (None, None) => return None,
    };
    // A file or a Secret often ends in a line break.
    let mut value = HeaderValue::from_str(text.trim()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Names of models are per namespace with us. A dot is in no name of either.
fn name_of_model(version: &Version) -> String {
    match version.namespace.as_str() {
        "default" => version.model.clone(),
        namespace => format!("{namespace}.{}", version.model),
    }
}

fn key_of_run(version: &Version) -> String {
    format!("{}/{}", version.candidate.experiment_uid, version.candidate.trial.0)
}

fn key_of_version(version: &Version) -> String {
    format!("{}/{}/{}@{}", version.namespace, version.model, version.number, version.digest())
}

/// Where a version lies, as far as MLflow lets that be said; the whole truth is in the tag `cairn.uri`.
fn source(version: &Version) -> String {
    let uri = &version.candidate.artifact.uri;
    if KNOWN_STORES.iter().any(|store| uri.starts_with(store)) {
        return uri.clone();
    }
    format!("cairn:/{}/{}/{}", version.namespace, version.model, version.number)
}

/// The data that a version was measured on.
fn dataset(version: &Version) -> Option<Value> {
    let (digest, name) = (&version.evidence.data, version.step.as_ref()?.data.as_ref()?);
    let digest = digest.get(..fitted::DATASET_DIGEST)?;
    Some(json!({
        "dataset": {
            "name": fitted::text(name, 500),
            "digest": digest,
            "source_type": "cairn",
            "source": json!({"sha256": version.evidence.data, "path": fitted::text(name, TAG)}).to_string(),
        },
        "tags": [{"key": "mlflow.data.context", "value": "evaluation"}],
    }))
}

fn tags_of_run(record: &Record) -> Vec<(String, String)> {
    let Record { version, .. } = record;
    let candidate = &version.candidate;
    let tags = [
        ("mlflow.user", version.author.clone()),
        ("mlflow.source.name", format!("{}/{}", version.namespace, candidate.experiment)),
        ("cairn.namespace", version.namespace.clone()),
        ("cairn.experiment", candidate.experiment.clone()),
        ("cairn.experimentUid", candidate.experiment_uid.clone()),
        ("cairn.specDigest", candidate.spec_digest.clone()),
        ("cairn.seed", candidate.seed.to_string()),
        ("cairn.trial", candidate.trial_name.clone()),
        ("cairn.model", version.model.clone()),
        ("cairn.digest", version.digest().to_owned()),
    ];
    tags.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests;
