//! What is known of what is served.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What is true of a request that was answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LabelRequest {
    /// Id of the request, which its answer has carried as `x-request-id`.
    pub(crate) request_id: String,
    /// What is true: a value, or a list with one for each row.
    pub(crate) label: Value,
}

/// One label or several.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FeedbackRequest {
    /// One.
    One(LabelRequest),
    /// Several.
    Several(Vec<LabelRequest>),
}

/// What has become of labels.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct FeedbackView {
    /// How many found their request.
    pub(crate) joined: u64,
    /// Ids of requests that have a label already; the first counts.
    pub(crate) known: Vec<String>,
    /// Ids of requests that were not kept, or are kept no more.
    pub(crate) unknown: Vec<String>,
    /// Labels that do not fit their request.
    pub(crate) refused: Vec<RefusedView>,
}

/// A label that does not fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedView {
    /// Id of the request.
    pub(crate) request_id: String,
    /// Why.
    pub(crate) why: String,
}

/// What is known of the requests of a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchView {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Whether the router says what it has counted.
    pub(crate) counted: bool,
    /// Its servers, the one with the most requests first.
    pub(crate) servers: Vec<WatchedView>,
    /// The newest breaches, oldest first.
    pub(crate) breaches: Vec<BreachView>,
    /// How many there were in all.
    pub(crate) n_breaches: u64,
    /// Calls of the webhook that are still tried.
    pub(crate) calls: u64,
    /// Calls that were given up.
    pub(crate) lost_calls: u64,
}

/// What is known of the requests of a version.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchedView {
    /// Its name, which answers carry as `x-cairn-version`.
    pub(crate) server: String,
    /// The version; null of a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// Its share of the requests in percent.
    pub(crate) weight: u32,
    /// Requests that it has answered since the router began.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) errors: u64,
    /// Milliseconds within which it has answered half of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    /// Milliseconds within which it has answered 95 % of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p95_ms: Option<f64>,
    /// Requests that were kept.
    pub(crate) kept: u64,
    /// Rows that have a label.
    pub(crate) labelled: u64,
    /// The share of them that was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quality: Option<f64>,
    /// Rows in the window that is filled now.
    pub(crate) rows: u64,
    /// Rows of a whole window.
    pub(crate) window: u64,
    /// Whether the last whole window has drifted; null before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drifted: Option<bool>,
    /// When that one ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) judged_at: Option<String>,
    /// The features that differ most from the profile in it.
    pub(crate) worst: Vec<FindingView>,
    /// Why nothing is compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) problem: String,
}

/// What the comparison of a feature with the profile has shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct FindingView {
    /// The feature, such as `inputs.age`.
    pub(crate) feature: String,
    /// `ks` (Kolmogorov and Smirnov) or `chi2`.
    pub(crate) test: String,
    /// The largest distance of both distributions, or chi squared.
    pub(crate) statistic: f64,
    /// How likely so large a difference of any feature is if nothing has changed (Holm).
    pub(crate) p: f64,
}

/// A window that has drifted where the one before had not.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct BreachView {
    /// When, RFC 3339.
    pub(crate) at: String,
    /// The server.
    pub(crate) server: String,
    /// Which features, in a sentence.
    pub(crate) detail: String,
    /// What was done about it.
    pub(crate) done: String,
}
