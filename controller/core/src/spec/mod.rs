//! The Experiment as people write it: Katib's `kubeflow.org/v1beta1` with Cairn's optional additions.
//!
//! These types only say what a document holds. [`crate::validate`] says whether it makes sense.

mod artifacts;
mod objective;
mod parameter;
mod promotion;
mod schedule;
mod template;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use artifacts::{ArtifactsSpec, KeepSpec, SecretRef};
pub use objective::{MetricStrategy, ObjectiveSpec};
pub use parameter::{FeasibleSpace, GraphConfig, NasConfig, Operation, ParameterSpec, PriorSpec};
pub use promotion::{
    ApprovalSpec, CompareSpec, GateSpec, GuardSpec, MetadataSpec, MlflowSpec, PipelineSpec, PromotionSpec,
    ServingMode, ServingSpec, StepSpec, WorseBySpec, manifest,
};
pub use schedule::{HistorySpec, NewDataSpec, ScheduleSpec};
pub use template::{
    ConfigMapSource, FileSystemPath, Filter, HttpGet, MetricsCollector, MetricsCollectorSpec, Source,
    TrialParameter, TrialTemplate,
};
pub use watch::{DriftSpec, LogSpec, OnBreach, WatchSpec};

/// A name and a value, both text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// An algorithm and its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AlgorithmSpec {
    /// Registered name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub algorithm_name: String,
    /// Settings as written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub algorithm_settings: Vec<Setting>,
    /// `host:port` of somebody else's Katib suggestion service that answers instead. Cairn's addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// `spec` of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentSpec {
    /// Dimensions of the search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterSpec>,
    /// What is optimised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveSpec>,
    /// Who proposes points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmSpec>,
    /// Who stops trials early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<AlgorithmSpec>,
    /// How a trial is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_template: Option<TrialTemplate>,
    /// Trials at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_trial_count: Option<i32>,
    /// Trials at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_trial_count: Option<i32>,
    /// Failed trials at which the experiment fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failed_trial_count: Option<i32>,
    /// How metrics are collected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_collector_spec: Option<MetricsCollectorSpec>,
    /// Architecture search instead of parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nas_config: Option<NasConfig>,
    /// `Never`, `LongRunning` or `FromVolume`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_policy: Option<String>,

    /// Seed of all chance; drawn and stored when unset. Cairn's addition, as all that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Hard constraints, such as `lr * batch <= 8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameter_constraints: Vec<String>,
    /// Assignments tried before the algorithm is asked: texts by parameter name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queued_points: Vec<BTreeMap<String, String>>,
    /// Runs of a point that does best, in all; its mean counts. 1 where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<i32>,
    /// Longest time from start to end, such as `2h30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
    /// Most GPU-hours of all runs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gpu_hours: Option<f64>,
    /// Most money, in the currency of `pricePerSlotHour`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// Price of one slot (a GPU, or a CPU for runs without one) for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_slot_hour: Option<f64>,
    /// Where what trials leave is kept, and how much of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactsSpec>,
    /// A wish to hold: no new trials while true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// What happens to the winner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionSpec>,
    /// When all of this is done again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
}

impl ExperimentSpec {
    /// The main objective of a valid spec.
    pub fn objective(&self) -> ObjectiveSpec {
        self.objective.clone().unwrap_or_default()
    }

    /// Names of the texts that a trial is given: of its parameters, or of what it is told of its network.
    pub fn given(&self) -> Vec<&str> {
        let is_darts = self.algorithm.as_ref().is_some_and(|algorithm| algorithm.algorithm_name == "darts");
        match &self.nas_config {
            Some(_) if self.parameters.is_empty() && is_darts => study::ONE_SHOT_TEXTS.to_vec(),
            Some(_) if self.parameters.is_empty() => study::CHAIN_TEXTS.to_vec(),
            _ => self.parameters.iter().map(|parameter| parameter.name.as_str()).collect(),
        }
    }

    /// The seed that it names; `random_state` wins.
    pub fn own_seed(&self) -> Option<u64> {
        let settings = self.algorithm.iter().flat_map(|algorithm| &algorithm.algorithm_settings);
        let mut random_state = settings.filter(|setting| setting.name == "random_state");
        random_state.find_map(|setting| setting.value.parse().ok()).or(self.seed)
    }

    /// Where trials made for Katib look for the checkpoint to start from, all of them in the same place.
    pub fn checkpoint_path(&self) -> Option<&str> {
        let settings = &self.algorithm.as_ref()?.algorithm_settings;
        let path = settings.iter().find(|setting| setting.name == "suggestion_trial_dir")?;
        Some(path.value.trim_end_matches('/')).filter(|path| !path.is_empty())
    }

    /// SHA-256 without the words that may be edited, in hex; the order of keys does not matter.
    pub fn digest(&self) -> String {
        let fixed = Self {
            parallel_trial_count: None,
            max_trial_count: None,
            max_failed_trial_count: None,
            max_duration: None,
            max_gpu_hours: None,
            max_cost: None,
            suspend: None,
            ..self.clone()
        };
        let value = sorted(serde_json::to_value(&fixed).unwrap_or_default());
        let digest: [u8; 32] = Sha256::digest(value.to_string()).into();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The collector of a defaulted spec.
    pub fn collector(&self) -> MetricsCollectorSpec {
        self.metrics_collector_spec.clone().unwrap_or_default()
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_do_not_change_the_digest() {
        let spec = ExperimentSpec::default();
        let more = ExperimentSpec { max_trial_count: Some(9), ..spec.clone() };
        let other = ExperimentSpec { seed: Some(1), ..spec.clone() };
        assert_eq!(spec.digest(), more.digest());
        assert_ne!(spec.digest(), other.digest());
    }
}
