//! Trials and their observations as they travel.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trial {
    /// Its number in the experiment, from 0.
    pub(crate) idx: u64,
    /// Its name.
    pub(crate) name: String,
    /// `Pending`, `Running`, `Paused`, `Succeeded`, `Failed`, `Killed`, `EarlyStopped` or `MetricsUnavailable`.
    pub(crate) state: String,
    /// Why it is in its state, one word.
    pub(crate) reason: String,
    /// The same in a sentence.
    pub(crate) message: String,
    /// Parameter texts by name, in the order of the spec.
    #[schema(value_type = Object)]
    pub(crate) parameters: serde_json::Map<String, Value>,
    /// Its objective; null if it has none, or no number.
    pub(crate) value: Option<f64>,
    /// Of the best: all runs of its point, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeated: Option<Repeated>,
    /// Metrics reduced.
    pub(crate) metrics: Vec<Metric>,
    /// Newest attempt, from 1; 0 before the first.
    pub(crate) attempt: u32,
    /// How it came about: `search`, `enqueued`, `repeat` (a point that did best is run again) or `retry`.
    pub(crate) origin: String,
    /// The trial whose point it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_of: Option<u64>,
    /// The trial that it is a child of: whose checkpoint it begins from, or from whose point it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<u64>,
    /// Steps that it has run until it waited or ended, where trials are judged while they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<u64>,
    /// The newest of its steps at which it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reached: Option<u64>,
    /// What the algorithm wrote beside it.
    #[schema(value_type = Object)]
    pub(crate) notes: Value,
    /// Who proposed it, of the algorithms behind the one that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proposed_by: Option<String>,
    /// What was predicted of its objective before it ran, where the algorithm has a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predicted: Option<Predicted>,
    /// How promising the algorithm took it to be, in a unit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acquisition: Option<f64>,
    /// Share of the budget it gets, where the algorithm gives shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fidelity: Option<f64>,
    /// The model it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Model>,
    /// Where its newest run lies, such as a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// When it was written down.
    pub(crate) created: String,
    /// When its first run began.
    pub(crate) started: Option<String>,
    /// When it ended.
    pub(crate) ended: Option<String>,
    /// Seconds from its start to its end, or to now.
    pub(crate) seconds: Option<f64>,
}

/// What is predicted of an objective, in its own unit.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Predicted {
    /// Expected value.
    pub(crate) mean: f64,
    /// Standard deviation.
    pub(crate) std: f64,
}

/// The trial that the algorithm believes the best.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PredictedBest {
    /// The trial; null where the algorithm has no model.
    pub(crate) trial: Option<Trial>,
    /// What it believes of its point now, with all that is known.
    pub(crate) predicted: Option<Predicted>,
}

/// Several runs of one point.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repeated {
    /// How many were measured.
    pub(crate) runs: u32,
    /// Mean of their objectives.
    pub(crate) mean: f64,
    /// Standard error of the mean.
    pub(crate) std_error: f64,
}

/// A metric of a trial, reduced; texts as the trial wrote them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Metric {
    /// Metric.
    pub(crate) name: String,
    /// Smallest number.
    pub(crate) min: String,
    /// Largest number.
    pub(crate) max: String,
    /// Newest value.
    pub(crate) latest: String,
}

/// A sealed model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Model {
    /// Where it lies.
    pub(crate) uri: String,
    /// SHA-256 of its manifest; empty if nobody has verified it.
    pub(crate) digest: String,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// What it is, such as `onnx`.
    pub(crate) format: String,
    /// Whether the program has stored it itself, so that it is fetched there.
    #[serde(default)]
    pub(crate) elsewhere: bool,
    /// When its files were removed, as better models are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed: Option<String>,
}

/// A page of trials.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Trials {
    /// The page.
    pub(crate) items: Vec<Trial>,
    /// How many there are in all pages.
    pub(crate) total: u64,
}

/// A measured value.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Observation {
    /// Metric.
    pub(crate) metric: String,
    /// Which attempt of the trial.
    pub(crate) attempt: u32,
    /// Step or epoch, else the ordinal of the row.
    pub(crate) step: i64,
    /// When it was measured, RFC 3339.
    pub(crate) time: Option<String>,
    /// As written.
    pub(crate) text: String,
    /// The number it is; null for a text, NaN and infinities.
    pub(crate) value: Option<f64>,
}

/// Measured values.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Observations {
    /// In the order in which they were written.
    pub(crate) items: Vec<Observation>,
}

/// Values that a program reports of its own trial.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PushRequest {
    /// What sends: one name for each process of the trial that reports.
    pub(crate) source: String,
    /// Which attempt of the trial sends, as in `CAIRN_ATTEMPT`; another than the running one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// The values, each with its number.
    pub(crate) items: Vec<PushItem>,
}

/// A value that a program reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PushItem {
    /// Its number within the source; the same number sent again adds nothing.
    pub(crate) seq: u64,
    /// Metric.
    pub(crate) metric: String,
    /// The value as text.
    pub(crate) value: String,
    /// Step or epoch; without one, `seq`.
    #[serde(default)]
    pub(crate) step: Option<i64>,
    /// When it was measured, RFC 3339; without one, now.
    #[serde(default)]
    pub(crate) time: Option<String>,
}
