//! How a trial is run and its metrics are collected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `spec.trialTemplate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrialTemplate {
    /// Whether the run's objects stay after its end, and checkpoints of ended trials that nobody goes on from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
    /// The object to run, inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_spec: Option<serde_json::Value>,
    /// The object to run, in a config map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// Placeholders; `None` differs from an empty list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_parameters: Option<Vec<TrialParameter>>,
    /// Labels of the pods whose metrics count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub primary_pod_labels: BTreeMap<String, String>,
    /// Container whose end is the trial's end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub primary_container_name: String,
    /// GJSON expression that says the run has succeeded.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_condition: String,
    /// GJSON expression that says the run has failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_condition: String,
}

impl TrialTemplate {
    /// Kind of the inline object; empty if there is none.
    pub fn kind(&self) -> &str {
        self.word("kind")
    }

    /// Its group and version, likewise.
    pub fn api_version(&self) -> &str {
        self.word("apiVersion")
    }

    fn word(&self, word: &str) -> &str {
        let value = self.trial_spec.as_ref().and_then(|object| object.get(word));
        value.and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// Whether trials are processes of Cairn's own kind.
    pub fn is_process(&self) -> bool {
        self.kind() == "Process"
    }

    /// How often a failing trial is tried again: `retries` of a Process, `backoffLimit` of a Job, 0 when unset.
    pub fn retries(&self) -> u32 {
        let Some(object) = &self.trial_spec else { return 0 };
        let spec = object.get("spec");
        let count = if self.is_process() {
            // Its fields may stand at the top as well.
            spec.unwrap_or(object).get("retries")
        } else {
            // Jobs of the training operator keep it in their run policy.
            let policy = spec.and_then(|spec| spec.get("runPolicy"));
            [spec, policy].into_iter().flatten().find_map(|holder| holder.get("backoffLimit"))
        };
        count.and_then(serde_json::Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }
}

/// A template kept in a config map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapSource {
    /// Name.
    pub config_map_name: String,
    /// Namespace.
    pub config_map_namespace: String,
    /// Key in its data.
    pub template_path: String,
}

/// A placeholder `${trialParameters.<name>}` and what stands for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrialParameter {
    /// Name in the template.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A parameter's name, or `${trialSpec.Name}` and its like.
    pub reference: String,
}

/// `spec.metricsCollectorSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsCollectorSpec {
    /// Where metrics come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Who collects them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<MetricsCollector>,
}

impl MetricsCollectorSpec {
    /// The kind, `StdOut` if unset.
    pub fn kind(&self) -> &str {
        self.collector.as_ref().map_or("StdOut", |collector| collector.kind.as_str())
    }
}

/// Who collects metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricsCollector {
    /// `StdOut`, `File`, `TensorFlowEvent`, `PrometheusMetric`, `Custom` or `Push`.
    pub kind: String,
    /// A container, for `Custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_collector: Option<serde_json::Value>,
}

/// Where metrics come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// A page to scrape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// A file or folder to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system_path: Option<FileSystemPath>,
    /// How lines are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

/// A page to scrape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpGet {
    /// Path, beginning with `/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Port: a number, or a text of digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<serde_json::Value>,
    /// Host; the trial's own if unset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// `HTTP` or `HTTPS`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
}

/// A file or folder to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSystemPath {
    /// Absolute path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// `Directory` or `File`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `TEXT` or `JSON`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
}

/// How lines are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Regular expressions with two groups: name and value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics_format: Vec<String>,
}
