//! What is kept of promotions and models.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use study::TrialIdx;

use super::gate::{Comparison, Measurement};
use super::rollout::Rollout;
use super::state::{PromotionState, Stage};
use crate::duration;
use crate::experiment::ExperimentId;
use crate::run::Model;
use crate::spec::{MetadataSpec, PromotionSpec, ServingSpec, StepSpec};
use crate::time::Timestamp;
use crate::trial::MetricSummary;

/// Key of a promotion in the store. Its runs carry it where those of a trial carry the experiment's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromotionId(pub i64);

impl PromotionId {
    /// Drawn from the key that makes a promotion one and the same; small enough for every JSON reader.
    pub fn of_key(key: &str) -> Self {
        const EXACT: u64 = (1 << 53) - 1;
        let digest: [u8; 32] = Sha256::new().chain_update("promotion").chain_update(key).finalize().into();
        let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) & EXACT;
        Self(number as i64)
    }

    /// What its runs carry in place of an experiment.
    pub fn of_runs(self) -> ExperimentId {
        ExperimentId(self.0)
    }
}

/// What is to become the champion, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// The sealed model.
    pub artifact: Model,
    /// Name of the experiment.
    pub experiment: String,
    /// Its uid.
    pub experiment_uid: String,
    /// Digest of its spec.
    pub spec_digest: String,
    /// Its seed.
    pub seed: u64,
    /// The trial.
    pub trial: TrialIdx,
    /// Its name.
    pub trial_name: String,
    /// Its parameters as text.
    pub assignments: Vec<(String, String)>,
    /// Its metrics.
    pub metrics: Vec<MetricSummary>,
}

/// What speaks for a candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// SHA-256 of the data that was measured on, in hex; empty if none was named.
    pub data: String,
    /// What the candidate reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Measurement>,
    /// What the champion reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub champion: Option<Measurement>,
    /// The version that was champion then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<u64>,
    /// How they compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// A person's yes, bound to what was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Digest of the model that it is for.
    pub digest: String,
    /// When.
    pub at: Timestamp,
}

/// What a promotion waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A person.
    Approval,
    /// An older promotion of the model.
    Turn,
    /// Its share of the requests.
    Bake,
}

impl WaitsFor {
    /// Its name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Turn => "turn",
            Self::Bake => "bake",
        }
    }
}

/// A promotion: what does not change, then where it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Promotion {
    /// Key.
    pub id: PromotionId,
    /// What makes it one and the same, however often it is proposed.
    pub key: String,
    /// Uid of the cluster; empty without Kubernetes.
    pub cluster: String,
    /// Namespace of the model.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// Its number among the promotions of the model, from 1.
    pub number: u64,
    /// Who wanted it.
    pub author: String,
    /// When.
    pub created: Timestamp,
    /// What was wanted.
    pub spec: PromotionSpec,
    /// Of whom.
    pub candidate: Candidate,
    /// The version that it goes back to, if it is a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// Folder that relative paths of its steps start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,

    /// Where it stands.
    pub state: PromotionState,
    /// How far it is.
    pub stage: Stage,
    /// The same in a sentence.
    pub message: String,
    /// What speaks for it.
    pub evidence: Evidence,
    /// Who has agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Since when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// Attempts of its step that were lost through no fault of their own, by role.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, u32>,
    /// How far requests have moved to the candidate, once it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The version that it made, or went back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The version that was champion before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<u64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Promotion {
    /// As people name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.model, self.number)
    }

    /// The lease under which its model is changed.
    pub fn lease(&self) -> ExperimentId {
        PromotionId::of_key(&format!("model/{}/{}/{}", self.cluster, self.namespace, self.model)).of_runs()
    }

    /// Whether its candidate has a server, and may have requests.
    pub fn is_serving(&self) -> bool {
        self.rollout.is_some() && !self.state.is_final()
    }

    /// What it waits for, if it does.
    pub fn waits_for(&self) -> Option<WaitsFor> {
        match (self.state, self.stage) {
            (PromotionState::Waiting, Stage::Approve) => Some(WaitsFor::Approval),
            (PromotionState::Waiting, Stage::Serve) => Some(WaitsFor::Bake),
            (PromotionState::Waiting, _) => Some(WaitsFor::Turn),
            _ => None,
        }
    }

    /// When its approval comes too late, if it waits for one that expires.
    pub fn approval_ends(&self) -> Option<Timestamp> {
        let expires = self.spec.approval.as_ref()?.expires.as_deref().and_then(duration::parse)?;
        Some(self.waiting_since?.plus(expires))
    }
}

/// A version of a model: a candidate that became champion once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// Namespace.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// Its number, from 1.
    pub number: u64,
    /// What it is, and where it comes from.
    pub candidate: Candidate,
    /// Number of the promotion that made it.
    pub promotion: u64,
    /// Who wanted that.
    pub author: String,
    /// Who agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What spoke for it.
    pub evidence: Evidence,
    /// The metric of its measurement.
    pub metric: String,
    /// The step that measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepSpec>,
    /// How it is served, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingSpec>,
    /// Where it is recorded beside Cairn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataSpec>,
    /// Folder that relative paths of its server start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dir: Option<String>,
    /// Since when it exists.
    pub at: Timestamp,
}

impl Version {
    /// Its digest.
    pub fn digest(&self) -> &str {
        &self.candidate.artifact.digest
    }
}
