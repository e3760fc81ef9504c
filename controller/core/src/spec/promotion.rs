//! What happens to the winner of a search.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::WatchSpec;
use crate::duration;

/// `spec.promotion`: how the best trial becomes the champion of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromotionSpec {
    /// Name of the model; champion, versions and aliases are per namespace and model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Whence the model comes: `trial`, where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What a candidate has to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSpec>,
    /// Who has to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSpec>,
    /// The steps on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineSpec>,
    /// How it is served; unset: as the champion is, if that is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingSpec>,
    /// Where it is recorded beside Cairn; unset: where the champion is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataSpec>,
}

/// What a candidate has to reach on the data of the step `evaluate`, which the search has not seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GateSpec {
    /// The metric that counts, as the step `evaluate` prints it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metric: String,
    /// The smallest value that passes, of a metric that is to be large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The largest value that passes, of a metric that is to be small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// `champion`: the candidate has to be better than what is in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub improves_on: Option<String>,
    /// By how much, in the unit of the metric; 0 where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<f64>,
    /// How sure that has to be, such as 0.95, by a paired test; unset: the difference of the two values is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

impl GateSpec {
    /// Whether large values of the metric are good.
    pub fn is_maximize(&self) -> bool {
        self.maximum.is_none()
    }
}

/// Who has to agree before a candidate goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalSpec {
    /// People or groups of whom one has to agree; empty: anyone but the author.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// How long it may take, such as `7d`; unset: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Steps between the winner and the champion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineSpec {
    /// The steps, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepSpec>,
}

impl PipelineSpec {
    /// The step of a name.
    pub fn step(&self, name: &str) -> Option<&StepSpec> {
        self.steps.iter().find(|step| step.name == name)
    }
}

/// A step: a program that is run as trials are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepSpec {
    /// Which step: `evaluate`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The file that it measures on, relative to the Experiment's folder; its digest goes into the evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The program, with the fields of a `Process` and placeholders such as `${model.path}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Value>,
}

impl StepSpec {
    /// The `Process` that is run, with placeholders in place.
    pub fn manifest(&self) -> Value {
        manifest(self.process.clone().unwrap_or_default())
    }
}

/// The `Process` with these fields.
pub fn manifest(process: Value) -> Value {
    let mut manifest = Map::new();
    manifest.insert("apiVersion".into(), "cairn.dev/v1".into());
    manifest.insert("kind".into(), "Process".into());
    manifest.insert("spec".into(), process);
    Value::Object(manifest)
}

/// How a model is served, and how requests move over to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServingSpec {
    /// Which server: `mlserver`, or `custom` with a process of one's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// The server of `custom`, with the fields of a `Process` and placeholders such as `${port}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Value>,
    /// How requests move over to a candidate, one of [`ServingMode::NAMES`]; unset: `canary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Shares of the requests in percent, one after the other, up to 100; unset: all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<u32>,
    /// The candidate's share in percent that stands, of mode `ab`; unset: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
    /// How answers are compared, of mode `shadow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<CompareSpec>,
    /// How long each share lasts at least, such as `10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<String>,
    /// How many requests the candidate answers at least in each share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u64>,
    /// What sends the requests back to the champion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<GuardSpec>,
    /// How long the version before stays warm, such as `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_previous: Option<String>,
    /// How long a server may take until it is ready, such as `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_within: Option<String>,
    /// A header by whose value requests are told apart: equal values go to one version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<String>,
    /// What is looked at while it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchSpec>,
}

/// How requests move over to a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServingMode {
    /// One share after the other.
    #[default]
    Canary,
    /// It gets copies first, and its answers go to nobody.
    Shadow,
    /// All at once; the version before stays warm while the candidate is watched.
    BlueGreen,
    /// One share, which stands.
    Ab,
}

impl ServingMode {
    /// Their names, as written.
    pub const NAMES: [&str; 4] = ["canary", "shadow", "blueGreen", "ab"];

    /// The one of a name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "canary" => Some(Self::Canary),
            "shadow" => Some(Self::Shadow),
            "blueGreen" => Some(Self::BlueGreen),
            "ab" => Some(Self::Ab),
            _ => None,
        }
    }
}

impl ServingSpec {
    /// How requests move over to a candidate.
    pub fn mode(&self) -> ServingMode {
        self.mode.as_deref().and_then(ServingMode::of).unwrap_or_default()
    }

    /// The shares of the ladder; the last is 100.
    pub fn ladder(&self) -> Vec<u32> {
        match self.mode() {
            ServingMode::Canary | ServingMode::Shadow if !self.canary.is_empty() => self.canary.clone(),
            ServingMode::Canary | ServingMode::Shadow | ServingMode::BlueGreen => vec![100],
            ServingMode::Ab => vec![self.share.unwrap_or(50), 100],
        }
    }

    /// Whether a share stands until a person ends it.
    pub fn stands(&self) -> bool {
        self.mode() == ServingMode::Ab && self.bake.is_none()
    }

    /// Whether anything says how long a candidate is watched.
    pub fn takes_time(&self) -> bool {
        !self.bakes().is_zero() || self.min_requests.unwrap_or(0) > 0
    }

    /// How long each share lasts at least.
    pub fn bakes(&self) -> Duration {
        self.bake.as_deref().and_then(duration::parse).unwrap_or_default()
    }

    /// How long the version before stays warm: ten minutes where unset.
    pub fn keeps_previous(&self) -> Duration {
        self.keep_previous.as_deref().and_then(duration::parse).unwrap_or(Duration::from_mins(10))
    }

    /// How long a server may take until it is ready: a minute where unset.
    pub fn is_ready_within(&self) -> Duration {
        self.ready_within.as_deref().and_then(duration::parse).unwrap_or(Duration::from_mins(1))
    }

    /// The same for a way back: what was the champion once gets all requests at once.
    #[must_use]
    pub fn at_once(&self) -> Self {
        let (canary, guards) = (Vec::new(), Vec::new());
        Self { mode: None, canary, share: None, compare: None, guards, ..self.clone() }
    }
}

/// How the answers of a candidate are compared with the champion's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareSpec {
    /// The output that has to be alike; unset: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How far numbers may lie from the champion's: absolutely, and as a share of it on top; unset: as in smoke tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// A guard: one of its words is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GuardSpec {
    /// On the share of requests that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<WorseBySpec>,
    /// On the time within which 95 % of the requests are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<WorseBySpec>,
    /// On how often answers are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<WorseBySpec>,
    /// On how often answers to copies are other than the champion's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<WorseBySpec>,
}

/// How much worse a candidate may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorseBySpec {
    /// A number such as 0.01, or a share such as `20%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worse_by: Option<Value>,
}

impl WorseBySpec {
    /// As a share: 0.01 of 0.01, 0.2 of `20%`.
    pub fn share(&self) -> Option<f64> {
        let value = match self.worse_by.as_ref()? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
                None => text.trim().parse().ok()?,
            },
            _ => return None,
        };
        (value >= 0.0 && value.is_finite()).then_some(value)
    }
}

/// Where what becomes of a model is recorded beside Cairn, whose own store always keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataSpec {
    /// A server of MLflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<MlflowSpec>,
}

/// A server of MLflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MlflowSpec {
    /// Its address, such as `http://mlflow:5000`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Whether versions go into its registry too: yes, where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<bool>,
}
