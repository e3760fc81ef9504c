//! Experiments: identity, status and conditions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use study::{Study, TrialIdx};

use crate::conditions;
use crate::document::ExperimentDocument;
use crate::event::{Event, StoredEvent};
use crate::spec::{ExperimentSpec, Setting};
use crate::time::Timestamp;
use crate::trial::{MetricSummary, TrialState};

/// Key of an experiment in the store; drawn by whoever creates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExperimentId(pub i64);

/// An experiment as it was submitted and checked: what does not change but for budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentRecord {
    /// Key.
    pub id: ExperimentId,
    /// Universally unique, as Kubernetes' `metadata.uid`.
    pub uid: String,
    /// Uid of the cluster's kube-system namespace; empty without Kubernetes.
    pub cluster: String,
    /// Namespace, `default` where there are none.
    pub namespace: String,
    /// Name, unique in its namespace while not deleted.
    pub name: String,
    /// Labels of the resource.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the resource.
    pub annotations: BTreeMap<String, String>,
    /// The whole spec with all defaults filled in.
    pub spec: ExperimentSpec,
    /// SHA-256 of the spec without the words that may be edited, in hex.
    pub spec_digest: String,
    /// Seed of its random streams.
    pub seed: u64,
    /// Folder that relative paths of local processes start from.
    pub base_dir: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// The studies that it had before edits, oldest first: what was asked then is asked again of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
}

/// Where and when an experiment comes into the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// Universally unique; its key and, where the spec names none, its seed are drawn from it.
    pub uid: String,
    /// Uid of the cluster's kube-system namespace; empty without Kubernetes.
    pub cluster: String,
    /// Folder that relative paths of local processes start from.
    pub base_dir: Option<String>,
    /// The time.
    pub at: Timestamp,
}

/// The record, first status and first event of a new experiment.
pub fn begin(
    document: &ExperimentDocument,
    birth: Birth,
) -> (ExperimentRecord, ExperimentStatus, StoredEvent) {
    let spec = document.spec.clone();
    let record = ExperimentRecord {
        id: id_of(&birth),
        namespace: document.metadata.namespace.clone(),
        name: document.metadata.name.clone(),
        labels: document.metadata.labels.clone(),
        annotations: document.metadata.annotations.clone(),
        spec_digest: spec.digest(),
        seed: spec.own_seed().unwrap_or_else(|| drawn(&birth, "seed")),
        created: birth.at,
        uid: birth.uid,
        cluster: birth.cluster,
        base_dir: birth.base_dir,
        earlier: Vec::new(),
        spec,
    };
    let mut status = ExperimentStatus { last_seq: 1, ..ExperimentStatus::default() };
    let (condition, reason, message) = ("Created", "ExperimentCreated", "Experiment is created");
    conditions::set(&mut status.conditions, record.created, condition, true, reason, message);
    if record.spec.schedule.is_some() {
        status.hold = Hold::Draining;
        status.waiting = "a schedule; its runs are experiments of their own: `cairn schedule list`".into();
    } else if record.spec.suspend == Some(true) {
        status.hold = Hold::Draining;
        status.waiting = "submitted with `suspend: true`; `cairn resume` lets it begin".into();
    }
    let created = Event::Condition {
        condition: condition.into(),
        status: "True".into(),
        reason: reason.into(),
        message: message.into(),
    };
    let event = StoredEvent { seq: 1, at: record.created, event: created };
    (record, status, event)
}

/// The key of an experiment that is born so.
pub fn id_of(birth: &Birth) -> ExperimentId {
    ExperimentId(drawn(birth, "id") as i64)
}

/// A number from the uid, small enough for every JSON reader to hold it exactly.
fn drawn(birth: &Birth, what: &str) -> u64 {
    const EXACT: u64 = (1 << 53) - 1;
    let parts = Sha256::new().chain_update(&birth.cluster).chain_update(&birth.uid).chain_update(what);
    let digest: [u8; 32] = parts.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) & EXACT
}

/// A study that an edit has replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier {
    /// Number of the last event of its time.
    pub until: u64,
    /// Trials that there were at its end.
    pub n_trials: u64,
    /// What its algorithm saw.
    pub study: Study,
}

/// A condition as Kubernetes resources have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Such as `Running`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// When it was written.
    pub last_update_time: Timestamp,
    /// When its status last changed.
    pub last_transition_time: Timestamp,
}

/// How many trials are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Waiting, paused ones too.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly.
    pub failed: u64,
    /// Ended by a person.
    pub killed: u64,
    /// Ended by a rule.
    pub early_stopped: u64,
    /// Ended without an objective.
    pub metrics_unavailable: u64,
}

impl Counters {
    /// The counter of a state.
    pub fn of(&mut self, state: TrialState) -> &mut u64 {
        match state {
            TrialState::Pending | TrialState::Paused => &mut self.pending,
            TrialState::Running => &mut self.running,
            TrialState::Succeeded => &mut self.succeeded,
            TrialState::Failed => &mut self.failed,
            TrialState::Killed => &mut self.killed,
            TrialState::EarlyStopped => &mut self.early_stopped,
            TrialState::MetricsUnavailable => &mut self.metrics_unavailable,
        }
    }

    /// All trials.
    pub fn total(&self) -> u64 {
        self.active() + self.ended()
    }

    /// Trials that have not ended.
    pub fn active(&self) -> u64 {
        self.pending + self.running
    }

    /// Trials that have ended, in whatever way.
    pub fn ended(&self) -> u64 {
        self.succeeded + self.failed + self.killed + self.early_stopped + self.metrics_unavailable
    }
}

/// The best trial so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Best {
    /// Its number.
    pub idx: TrialIdx,
    /// Its name.
    pub name: String,
    /// Its parameters as text.
    pub assignments: Vec<(String, String)>,
    /// Its metrics.
    pub observation: Vec<MetricSummary>,
    /// Its objective; `None` if it is a text, such as a genotype.
    #[serde(with = "crate::floats::option")]
    pub value: Option<f64>,
    /// Runs of its point that were measured; of more than one `value` is the mean, and the trial the one nearest to it.
    #[serde(default = "one")]
    pub runs: u32,
    /// Standard error of that mean.
    #[serde(default)]
    pub std_error: Option<f64>,
}

fn one() -> u32 {
    1
}

/// What an experiment has spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spent {
    /// Seconds of runs that have ended, summed.
    pub run_seconds: f64,
    /// Seconds of GPUs held, summed over devices.
    pub gpu_seconds: f64,
    /// Price of the slots held, in the currency of `pricePerSlotHour`.
    pub cost: f64,
}

/// Steps that trials have run until they waited or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepsRun {
    /// All.
    pub all: u64,
    /// How many it were when the best trial was found.
    pub at_best: u64,
}

/// An experiment that is not deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Living {
    /// What was asked for.
    pub record: ExperimentRecord,
    /// Where it stands.
    pub status: ExperimentStatus,
}

/// Everything that changes about an experiment; written by its driver alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// Generation of the lease it was written under.
    pub generation: i64,
    /// Conditions; the last one is the current state.
    pub conditions: Vec<Condition>,
    /// Trials by state.
    pub counters: Counters,
    /// Best trial so far.
    pub best: Option<Best>,
    /// What was spent by runs that have ended.
    pub spent: Spent,
    /// Steps that were run, where a scheduler judges trials that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepsRun>,
    /// Number of the newest event.
    pub last_seq: u64,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it was completed.
    pub completed: Option<Timestamp>,
    /// Whether it is held by a person's wish, and how firmly.
    pub hold: Hold,
    /// Settings that somebody else's suggestion service wants to be told again; they lie over those of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub algorithm_settings: Vec<Setting>,
    /// Why nothing happens right now, in one line; empty while something does.
    pub waiting: String,
    /// The builds that have proposed its points, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<Build>,
}

/// A build that has proposed points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its name: version, machine and level of vector instructions, on which the last bits of a suggestion depend.
    pub name: String,
    /// Number of the first event of its time.
    pub since: u64,
}

/// How firmly an experiment is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hold {
    /// It goes on.
    #[default]
    Free,
    /// No new runs; running ones finish.
    Draining,
    /// No runs at all; ended ones get their next attempt later.
    Stopped,
    /// It is being deleted: as stopped, and never goes on.
    Deleting,
}

impl ExperimentStatus {
    /// Whether a condition of this type is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.conditions.iter().any(|c| c.kind == kind && c.status == "True")
    }

    /// From now on this build proposes.
    pub fn built_by(&mut self, name: &str) {
        if self.builds.last().is_none_or(|last| last.name != name) {
            self.builds.push(Build { name: name.to_owned(), since: self.last_seq + 1 });
        }
    }

    /// Whether it has succeeded or failed.
    pub fn is_completed(&self) -> bool {
        self.is("Succeeded") || self.is("Failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_once_until_another_takes_over() {
        let mut status = ExperimentStatus::default();
        for (name, last_seq) in [("a", 1), ("a", 5), ("b", 9), ("a", 12)] {
            status.last_seq = last_seq;
            status.built_by(name);
        }
        let builds: Vec<_> = status.builds.iter().map(|build| (&*build.name, build.since)).collect();
        assert_eq!(builds, [("a", 2), ("b", 10), ("a", 13)]);
    }
}
