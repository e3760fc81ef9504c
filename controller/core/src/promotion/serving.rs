//! Which servers a model has and how its requests are split among them: what is wanted, and what to do for it.
//!
//! Pure as all of this room: [`keep`] compares what is wanted with what is seen. The record is written before anything is
//! done, so that whoever comes after a crash starts nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use study::TrialIdx;

use super::record::{Promotion, PromotionId};
use crate::experiment::ExperimentId;
use crate::run::{Model, RunId};
use crate::spec::{ServingSpec, manifest};
use crate::time::Timestamp;

/// The template of a server of the user's own.
pub const CUSTOM: &str = "custom";
/// All templates.
pub const TEMPLATES: [&str; 2] = [MLSERVER, CUSTOM];
pub(super) const MLSERVER: &str = "mlserver";
/// The longest wait before a server that dies again and again is started once more.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// A server that has lived this long has begun anew.
const LONG: Duration = Duration::from_mins(5);
/// How many changes of the split are remembered.
const SHIFTS: usize = 1000;

/// A version of a model with a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deployment {
    /// Its name, drawn from digest and template: the same model served alike is the same deployment.
    pub name: String,
    /// The model that is served.
    pub artifact: Model,
    /// Number of the promotion that brought it.
    pub promotion: u64,
    /// Its version, once it was champion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// How it is served.
    pub spec: ServingSpec,
    /// Folder that relative paths of its server start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
    /// Its share of the requests in percent.
    pub weight: u32,
    /// Whether it gets a copy of each request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Whether it is a candidate: one that dies is judged by that.
    pub on_trial: bool,
    /// The port of its newest server; 0 before the first.
    pub port: u16,
    /// The port on which that one speaks gRPC; 0 if it does not.
    #[serde(skip_serializing_if = "is_zero")]
    pub grpc_port: u16,
    /// Number of its newest server; 0 before the first.
    pub attempt: u32,
    /// Since when that one is wanted.
    pub since: Timestamp,
    /// How often one after the other has died soon.
    pub deaths: u32,
    /// When it goes, if it only stays warm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_until: Option<Timestamp>,
}

/// A change of the split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Shift {
    /// When.
    pub at: Timestamp,
    /// Number of the promotion that made it.
    pub promotion: u64,
    /// The digests that got requests then, with their shares in percent.
    pub shares: Vec<(String, u32)>,
}

/// The servers of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Serving {
    /// Uid of the cluster; empty without Kubernetes.
    pub cluster: String,
    /// Namespace of the model.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// Goes up with each change that the router has to know.
    pub generation: u64,
    /// Those that have a server, or are to have one.
    pub deployments: Vec<Deployment>,
    /// The newest changes of the split, oldest first.
    pub shifts: Vec<Shift>,
    /// How many servers deployments had that are gone, by name: their runs are never begun again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spent: BTreeMap<String, u32>,
}

/// What is seen of a deployment's newest server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// There is none, or it is just coming.
    #[default]
    Absent,
    /// It runs and is not ready yet, or ready no more.
    Running,
    /// It answers that it is ready.
    Ready,
    /// It has ended, with this reason, as of its own.
    Died(String),
    /// It has ended through no fault of its own.
    Lost(String),
    /// It cannot be started, for this reason.
    Refused(String),
}

/// Something to do for the servers of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keep<'a> {
    /// Write down a next server of this deployment, and start it.
    Next(&'a Deployment),
    /// See to it that the server that is written down is there.
    Ensure(&'a Deployment),
    /// Take it out of the record, then stop its server.
    Retire(&'a Deployment),
}

/// What there is to do.
pub fn keep<'a>(now: Timestamp, serving: &'a Serving, seen: &BTreeMap<String, Seen>) -> Vec<Keep<'a>> {
    let of = |deployment: &'a Deployment| {
        if deployment.weight == 0 && deployment.warm_until.is_some_and(|until| until <= now) {
            return Some(Keep::Retire(deployment));
        }
        let again = deployment.since.plus(deployment.back_off()) <= now;
        match seen.get(&deployment.name) {
            _ if deployment.attempt == 0 => Some(Keep::Next(deployment)),
            None | Some(Seen::Absent) => Some(Keep::Ensure(deployment)),
            Some(Seen::Running | Seen::Ready | Seen::Refused(_)) => None,
            Some(Seen::Died(_)) if deployment.is_given_up() || !again => None,
            Some(Seen::Died(_) | Seen::Lost(_)) => Some(Keep::Next(deployment)),
        }
    };
    serving.deployments.iter().filter_map(of).collect()
}

impl Deployment {
    /// The candidate of a promotion, without a share.
    pub fn of(promotion: &Promotion, spec: &ServingSpec) -> Self {
        Self {
            name: name(&promotion.candidate.artifact.digest, spec),
            artifact: promotion.candidate.artifact.clone(),
            promotion: promotion.number,
            version: promotion.back_to,
            spec: spec.clone(),
            base_dir: promotion.base_dir.clone(),
            on_trial: true,
            ..Self::default()
        }
    }

    /// Whether it is not started again once it has died: a candidate that had requests or copies, or has died twice. Its first server
    /// may only have found its port taken.
    pub fn is_given_up(&self) -> bool {
        self.on_trial && (self.weight > 0 || self.shadow || self.attempt > 1)
    }

    /// How long after the start of one server the next may begin.
    fn back_off(&self) -> Duration {
        let doubled = Duration::from_millis(250).saturating_mul(1 << self.deaths.min(10));
        if self.deaths == 0 { Duration::ZERO } else { doubled.min(MAX_BACK_OFF) }
    }

    /// The same with a next server on this port.
    #[must_use]
    pub fn next(&self, now: Timestamp, port: u16) -> Self {
        let soon = self.attempt > 0 && now < self.since.plus(LONG);
        let deaths = if soon { self.deaths + 1 } else { 0 };
        Self { port, attempt: self.attempt + 1, since: now, deaths, ..self.clone() }
    }

    /// Whether its server is told of a port for gRPC.
    pub fn speaks_grpc(&self) -> bool {
        self.manifest().to_string().contains("${grpcPort}")
    }

    /// Folder that relative paths of its server start from; a template's server needs none.
    pub fn starts_in(&self) -> Option<String> {
        self.base_dir.clone().filter(|_| self.spec.template == CUSTOM)
    }

    /// The program of its server, with placeholders in place.
    pub fn manifest(&self) -> Value {
        if self.spec.template == CUSTOM {
            return manifest(self.spec.process.clone().unwrap_or_default());
        }
        manifest(mlserver(&self.artifact.format))
    }
}

impl Serving {
    /// The run that is the newest server of a deployment.
    pub fn run_id(&self, deployment: &Deployment) -> RunId {
        let number = u64::from_str_radix(&deployment.name, 16).unwrap_or_default();
        let attempt = self.spent.get(&deployment.name).copied().unwrap_or(0) + deployment.attempt;
        RunId { experiment: self.runs(), trial: TrialIdx(number), attempt }
    }

    /// What the runs of all its servers carry in place of an experiment.
    pub fn runs(&self) -> ExperimentId {
        PromotionId::of_key(&format!("servers/{}/{}/{}", self.cluster, self.namespace, self.model)).of_runs()
    }

    /// The path under which the model is reached, whatever its version.
    pub fn path(&self) -> String {
        path(&self.namespace, &self.model)
    }

    /// The deployment of a name.
    pub fn find(&self, name: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.name == name)
    }

    /// The deployment of a name, to be changed.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.name == name)
    }

    /// The one with the most requests, if any gets some.
    pub fn main(&self) -> Option<&Deployment> {
        self.deployments
            .iter()
            .filter(|deployment| deployment.weight > 0)
            .max_by_key(|deployment| deployment.weight)
    }

    /// Takes a deployment out of the record.
    pub fn remove(&mut self, deployment: &Deployment) {
        *self.spent.entry(deployment.name.clone()).or_default() += deployment.attempt;
        self.deployments.retain(|other| other.name != deployment.name);
        self.generation += 1;
    }

    /// Takes all requests from all servers, which go once their last ones have ended.
    pub fn stop(&mut self, now: Timestamp, promotion: u64) {
        self.split(now, promotion, ("", 0), None);
        self.deployments.iter_mut().for_each(|deployment| deployment.warm_until = Some(now));
    }

    /// Splits the requests anew: this share for one, the rest for another.
    pub fn split(&mut self, now: Timestamp, promotion: u64, one: (&str, u32), other: Option<&str>) {
        for deployment in &mut self.deployments {
            deployment.shadow = false;
            deployment.weight = match &deployment.name {
                name if name == one.0 => one.1,
                name if Some(name.as_str()) == other => 100 - one.1,
                _ => 0,
            };
        }
        let shares = self
            .deployments
            .iter()
            .filter(|deployment| deployment.weight > 0)
            .map(|deployment| (deployment.artifact.digest.clone(), deployment.weight))
            .collect();
        self.shifts.push(Shift { at: now, promotion, shares });
        let old = self.shifts.len().saturating_sub(SHIFTS);
        self.shifts.drain(..old);
        self.generation += 1;
    }
}

/// The path under which a model is reached.
pub fn path(namespace: &str, model: &str) -> String {
    let place = if namespace == "default" { String::new() } else { format!("/{namespace}") };
    format!("{place}/v2/models/{model}")
}

fn name(digest: &str, spec: &ServingSpec) -> String {
    let process = spec.process.as_ref().map(Value::to_string).unwrap_or_default();
    let hash: [u8; 32] =
        Sha256::new().chain_update(format!("{digest}\n{}\n{process}", spec.template)).finalize().into();
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// MLServer takes everything from its environment; what serves several models at once and its other doors are left out.
fn mlserver(format: &str) -> Value {
    let runtime = match format {
        "xgboost" => "mlserver_xgboost.XGBoostModel",
        "lightgbm" => "mlserver_lightgbm.LightGBMModel",
        "mlflow" => "mlserver_mlflow.MLflowRuntime",
        _ => "mlserver_sklearn.SKLearnModel",
    };
    let variables = [
        ("MLSERVER_HOST", "127.0.0.1"),
        ("MLSERVER_HTTP_PORT", "${port}"),
        ("MLSERVER_GRPC_PORT", "${grpcPort}"),
        ("MLSERVER_METRICS_PORT", "0"),
        ("MLSERVER_PARALLEL_WORKERS", "0"),
        ("MLSERVER_MODEL_NAME", "${model.name}"),
        ("MLSERVER_MODEL_URI", "${model.path}"),
        ("MLSERVER_MODEL_IMPLEMENTATION", runtime),
    ];
    let env: Vec<Value> =
        variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"command": ["mlserver", "start", "."], "env": env})
}

#[cfg(test)]
mod tests;
