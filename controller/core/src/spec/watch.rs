//! What is looked at while a model is served.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ServingSpec;
use crate::duration;

/// The share of requests that is kept where none is written.
const SAMPLE: f64 = 0.1;
/// How long they are kept.
const KEEP: Duration = Duration::from_hours(7 * 24);
/// How many rows are compared at a time.
const WINDOW: u64 = 500;
/// How likely a false alarm is in one window: as often as one window in a thousand.
const THRESHOLD: f64 = 0.001;

/// `serving.watch`: what is looked at while a model is served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WatchSpec {
    /// Which requests are kept; unset: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSpec>,
    /// The output that labels are compared with; unset: the first with one value a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How what is kept is compared with the trial's profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSpec>,
    /// What comes of drift: `alert`, `rollback` or `{start: EXPERIMENT}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_breach: Option<Value>,
    /// An address that is told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

/// Which requests are kept with their answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogSpec {
    /// Their share, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// How long, such as `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Names of inputs, outputs and fields whose values are not written down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<String>,
}

/// How what is kept is compared with the trial's profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DriftSpec {
    /// How many rows are compared at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// How likely a false alarm is at most in one window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// What comes of a breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnBreach {
    /// It is said.
    Alert,
    /// The version before is wanted again.
    Rollback,
    /// A copy of this Experiment is submitted.
    Start(String),
}

impl WatchSpec {
    /// What comes of a breach; `None` if it is none of the words.
    pub fn on_breach(&self) -> Option<OnBreach> {
        match &self.on_breach {
            None => Some(OnBreach::Alert),
            Some(Value::String(word)) => match word.as_str() {
                "alert" => Some(OnBreach::Alert),
                "rollback" => Some(OnBreach::Rollback),
                _ => None,
            },
            Some(Value::Object(map)) if map.len() == 1 => {
                let name = map.get("start")?.as_str().filter(|name| !name.is_empty())?;
                Some(OnBreach::Start(name.to_owned()))
            }
            Some(_) => None,
        }
    }

    /// How many rows are compared at a time.
    pub fn window(&self) -> u64 {
        self.drift.as_ref().and_then(|drift| drift.window).unwrap_or(WINDOW)
    }

    /// How likely a false alarm is at most in one window.
    pub fn threshold(&self) -> f64 {
        self.drift.as_ref().and_then(|drift| drift.threshold).unwrap_or(THRESHOLD)
    }
}

impl LogSpec {
    /// The share of requests that is kept.
    pub fn share(&self) -> f64 {
        self.sample.unwrap_or(SAMPLE)
    }

    /// How long they are kept.
    pub fn keeps(&self) -> Duration {
        self.keep.as_deref().and_then(duration::parse).unwrap_or(KEEP)
    }
}

impl ServingSpec {
    /// Whether requests are kept.
    pub fn is_logged(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.log.is_some())
    }
}
