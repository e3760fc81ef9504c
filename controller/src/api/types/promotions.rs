//! Promotions, models and the audit log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What is to be promoted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PromoteRequest {
    /// The experiment.
    pub(crate) experiment: String,
    /// The trial, by name or number; null: the best.
    #[serde(default)]
    pub(crate) trial: Option<String>,
    /// The model; null: that of the experiment's `spec.promotion`.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// Who wants it.
    #[serde(default)]
    pub(crate) by: String,
}

/// A person's word on a promotion.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct WordRequest {
    /// Who.
    #[serde(default)]
    pub(crate) by: String,
    /// Why.
    #[serde(default)]
    pub(crate) reason: String,
    /// Digest of the model that was looked at; of an approval.
    #[serde(default)]
    pub(crate) digest: String,
}

/// Where to go back to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct RollbackRequest {
    /// The version; null: the one before the champion.
    #[serde(default)]
    pub(crate) to: Option<u32>,
    /// Who wants it.
    #[serde(default)]
    pub(crate) by: String,
}

/// A promotion: how a candidate becomes the champion of a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PromotionView {
    /// Model and number, such as `digits/3`.
    pub(crate) name: String,
    /// Namespace of the model.
    pub(crate) namespace: String,
    /// The model.
    pub(crate) model: String,
    /// Its number among the promotions of the model.
    pub(crate) number: u64,
    /// `planned`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`, `superseded`, `skipped`, `rollingBack`,
    /// `rolledBack` or `rollbackFailed`.
    pub(crate) state: String,
    /// What it waits for, if it does: `approval` (a person), `turn` (an older promotion) or `bake` (its share of the
    /// requests).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<String>,
    /// `verify`, `evaluate`, `gate`, `approve`, `serve` or `register`.
    pub(crate) stage: String,
    /// The same in a sentence.
    pub(crate) message: String,
    /// Whether nothing more happens to it.
    pub(crate) ended: bool,
    /// Whether a person's word on it is still to be heard.
    #[serde(default)]
    pub(crate) heeding: bool,
    /// Who wanted it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<String>,
    /// Experiment of the candidate.
    pub(crate) experiment: String,
    /// Trial of the candidate.
    pub(crate) trial: String,
    /// Digest of its model.
    pub(crate) digest: String,
    /// Where its model lies.
    pub(crate) uri: String,
    /// The version that it goes back to, of a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) back_to: Option<u64>,
    /// The version that became champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// The version that was champion before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced: Option<u64>,
    /// What speaks for it: digest of the data, measurements of candidate and champion, how they compare.
    pub(crate) evidence: Value,
    /// Who agreed, why, when, and to which digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<Value>,
    /// How far requests have moved to the candidate, once it is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollout: Option<RolloutView>,
    /// Where it is recorded beside Cairn, and whether it is there yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) records: Vec<RecordView>,
}

/// What has come of a record for another place.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView {
    /// Where, such as `mlflow http://mlflow:5000`.
    pub(crate) target: String,
    /// `queued`, `delivered` or `refused`, which is not tried again.
    pub(crate) state: String,
    /// When it was delivered, refused, or tried last, RFC 3339; null before the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// How often it was tried in vain.
    pub(crate) tries: u32,
    /// What the target said last, where it has not taken it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) error: String,
    /// How many records wait for the target in all.
    pub(crate) queued: u64,
    /// Since when the oldest of them waits, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oldest: Option<String>,
}

/// How far requests have moved to a candidate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutView {
    /// The candidate's server.
    pub(crate) server: String,
    /// `starting`, `smoke`, `shadow` (copies of requests), `canary`, `bake` (all of them, and looked at) or `whole`.
    pub(crate) phase: Option<String>,
    /// Its share of the requests in percent.
    pub(crate) weight: u32,
    /// The shares on the way.
    pub(crate) ladder: Vec<u32>,
    /// Since when it has this one, RFC 3339.
    pub(crate) since: String,
    /// What the smoke test has shown.
    pub(crate) smoke: String,
    /// Requests that it has answered in this share.
    pub(crate) step_requests: u64,
    /// How many it answers at least.
    pub(crate) min_requests: u64,
    /// Requests that it has answered in all.
    pub(crate) requests: u64,
    /// Those of them that failed.
    pub(crate) errors: u64,
    /// Milliseconds within which it has answered 95 % of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) p95_ms: Option<f64>,
    /// Answers to copies that were compared with the champion's.
    #[serde(default)]
    pub(crate) compared: u64,
    /// Those of them that were other than those.
    #[serde(default)]
    pub(crate) disagreed: u64,
    /// Requests that the champion has answered beside it; before it, where it got all at once.
    pub(crate) champion_requests: u64,
    /// Those of them that failed.
    pub(crate) champion_errors: u64,
    /// Milliseconds within which the champion has answered 95 % of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) champion_p95_ms: Option<f64>,
    /// The guards, with the evidence that each has against the candidate: 1 is none.
    pub(crate) guards: Vec<String>,
    /// Why the requests went back, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Promotions, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct PromotionsView {
    /// The promotions.
    pub(crate) items: Vec<PromotionView>,
}

/// A version of a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionView {
    /// Its number.
    pub(crate) number: u64,
    /// Whether it is the champion.
    pub(crate) champion: bool,
    /// Digest of its files' manifest.
    pub(crate) digest: String,
    /// Where it lies.
    pub(crate) uri: String,
    /// What it is, such as `onnx`.
    pub(crate) format: String,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Experiment that found it.
    pub(crate) experiment: String,
    /// Uid of that experiment.
    pub(crate) experiment_uid: String,
    /// Digest of that experiment's spec.
    pub(crate) spec_digest: String,
    /// Seed of that experiment.
    pub(crate) seed: u64,
    /// Trial that left it.
    pub(crate) trial: String,
    /// Parameters of that trial.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Metrics of that trial, the latest values.
    pub(crate) metrics: BTreeMap<String, String>,
    /// Number of the promotion that made it.
    pub(crate) promotion: u64,
    /// Who wanted that.
    pub(crate) author: String,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approved_by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approval_reason: Option<String>,
    /// The metric it was judged by.
    pub(crate) metric: String,
    /// What it reached of it on the data of the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<f64>,
    /// Digest of that data.
    pub(crate) data: String,
    /// The version that was champion then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<u64>,
    /// Since when it exists, RFC 3339.
    pub(crate) at: String,
    /// When it got requests.
    #[serde(default)]
    pub(crate) served: Vec<ServedView>,
}

/// A time in which a version got requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServedView {
    /// From when, RFC 3339.
    pub(crate) from: String,
    /// To when; null: it gets some.
    pub(crate) to: Option<String>,
    /// Its shares of the requests in percent, one after the other.
    pub(crate) shares: Vec<u32>,
}

/// A server of a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerView {
    /// Its name, which answers carry as `x-cairn-version`.
    pub(crate) name: String,
    /// The version that it serves; null of a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// Number of the promotion that brought it.
    pub(crate) promotion: u64,
    /// Digest of its model.
    pub(crate) digest: String,
    /// Its template.
    pub(crate) template: String,
    /// Its share of the requests in percent.
    pub(crate) weight: u32,
    /// Where it listens, behind the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Since when, RFC 3339.
    pub(crate) since: String,
    /// Until when it stays warm, if it is only that, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_until: Option<String>,
}

/// A model with its versions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelView {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Number of the champion.
    pub(crate) champion: u64,
    /// Since when, RFC 3339.
    pub(crate) since: String,
    /// Its address, the same whatever its version; null where it is not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Its servers with their shares of the requests.
    #[serde(default)]
    pub(crate) servers: Vec<ServerView>,
    /// Versions, newest first.
    pub(crate) versions: Vec<VersionView>,
}

/// Models by namespace and name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ModelsView {
    /// The models.
    pub(crate) items: Vec<ModelView>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    /// Its number, from 1 without gaps.
    pub(crate) seq: u64,
    /// When, RFC 3339.
    pub(crate) at: String,
    /// By whom.
    pub(crate) actor: String,
    /// Model and number of the promotion.
    pub(crate) promotion: String,
    /// Namespace of the model.
    pub(crate) namespace: String,
    /// What was done, one word.
    pub(crate) deed: String,
    /// The same in a sentence.
    pub(crate) detail: String,
    /// Its hash.
    pub(crate) hash: String,
}

/// The audit log, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditLog {
    /// The entries.
    pub(crate) items: Vec<AuditView>,
    /// What is wrong with the chain of hashes; null if it is whole.
    #[serde(default)]
    pub(crate) problem: Option<String>,
}
