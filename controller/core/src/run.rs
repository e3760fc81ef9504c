//! Runs: one attempt of a trial somewhere, and how it went.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use study::{Rule, TrialIdx};

use crate::experiment::ExperimentId;
use crate::spec::{ArtifactsSpec, MetricsCollectorSpec};
use crate::time::Timestamp;

/// Names a run everywhere: experiment, trial, attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Whose.
    pub experiment: ExperimentId,
    /// Which trial.
    pub trial: TrialIdx,
    /// Which attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.experiment.0, self.trial.0, self.attempt)
    }
}

/// Everything an executor needs to run one attempt of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Namespace of the experiment.
    pub namespace: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Uid of the experiment.
    #[serde(default)]
    pub experiment_uid: String,
    /// Name of the trial.
    pub trial: String,
    /// The trial template with every placeholder replaced.
    pub manifest: serde_json::Value,
    /// Name of the container whose end is the trial's end; empty for a `Process`.
    pub primary_container: String,
    /// Labels of the pods whose metrics count.
    #[serde(default)]
    pub primary_pod_labels: BTreeMap<String, String>,
    /// Expression that says that its object has succeeded; empty for a `Process`.
    #[serde(default)]
    pub success_condition: String,
    /// Expression that says that its object has failed; empty for a `Process`.
    #[serde(default)]
    pub failure_condition: String,
    /// Whether its object stays after its end.
    #[serde(default)]
    pub retain: bool,
    /// How metrics are collected.
    pub collector: MetricsCollectorSpec,
    /// Metrics wanted, the objective first.
    pub metrics: Vec<String>,
    /// Whether the objective is to be maximised, which is what "best so far" means to rules.
    pub maximize: bool,
    /// Rules that stop it on the spot.
    pub rules: Vec<Rule>,
    /// Folder that relative paths of a local process start from; the Experiment file's own.
    pub base_dir: Option<String>,
    /// The checkpoint that it starts from.
    pub start_from: Option<Checkpoint>,
    /// Whether its checkpoint is sealed when it ends well or is stopped, so that others can start from it.
    #[serde(default)]
    pub keep_checkpoint: bool,
    /// A path that all trials share where checkpoints lie on a cluster, as Katib's `suggestion_trial_dir` names it; here each
    /// has `CAIRN_CHECKPOINT_DIR` in its place.
    #[serde(default)]
    pub checkpoint_path: Option<String>,
    /// Where what it leaves is kept.
    #[serde(default)]
    pub artifacts: ArtifactsSpec,
    /// The checkpoint that it starts from as it lies in a store, once its executor has found it there.
    #[serde(default)]
    pub start: Option<Sealed>,
}

/// A sealed folder in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Where it lies.
    pub uri: String,
    /// SHA-256 of its manifest, in hex.
    pub digest: String,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A sealed checkpoint: what a run left in `CAIRN_CHECKPOINT_DIR`, with a manifest of its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Who left it.
    pub run: RunId,
    /// SHA-256 of the manifest, in hex.
    pub digest: String,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What an executor says of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// Which run.
    pub run: RunId,
    /// How far it is.
    pub phase: RunPhase,
}

/// Why a run waits that is on its way, and of which there is no more to say.
pub const STARTING: &str = "starting";

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase")]
pub enum RunPhase {
    /// It exists and cannot begin yet.
    Waiting {
        /// What for, in one line.
        reason: String,
    },
    /// Its processes run.
    Running {
        /// Since when.
        since: Timestamp,
        /// What it occupies, such as `gpu-0`.
        slots: Vec<String>,
    },
    /// It is over: no process is left, its metrics are in the store, its model is sealed.
    Ended(RunEnd),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEnd {
    /// The primary process's end.
    pub exit: Exit,
    /// When it began, if it did.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// What it occupied.
    pub slots: Vec<String>,
    /// The rule that stopped it, if one did.
    pub stopped_by: Option<Rule>,
    /// One line that says more, such as the last line of its log; may be empty.
    pub message: String,
    /// The sealed model it left, if it exited with 0 and left one.
    pub model: Option<Model>,
    /// The sealed checkpoint it left, if it was to keep one and left one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// The ways in which a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Exit {
    /// With this exit code.
    Code {
        /// 0 to 255.
        code: i32,
    },
    /// By this signal, which nobody here sent.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// It ran longer than it may.
    TimedOut {
        /// Its limit in seconds.
        seconds: u64,
    },
    /// It was told to stop.
    Stopped,
    /// It never began: command not found, not executable, no such device.
    NotStarted {
        /// Why, naming the thing and the way out.
        reason: String,
    },
    /// It vanished through no fault of its own: a reboot, a supervisor killed from outside.
    Lost {
        /// How.
        reason: String,
    },
    /// Whoever runs it says that it has failed, after retries of its own: a Job of a cluster.
    Failed {
        /// One word; may be empty.
        reason: String,
        /// One sentence; may be empty.
        message: String,
    },
    /// It left something that cannot be kept, such as a model with links out of its folder.
    BadOutput {
        /// What.
        reason: String,
    },
}

impl Exit {
    /// Whether the primary process ended well.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Code { code: 0 })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { code } => write!(f, "exit code {code}"),
            Self::Signal { signal } => write!(f, "killed by signal {signal}"),
            Self::TimedOut { seconds } => write!(f, "timed out after {seconds} s"),
            Self::Stopped => f.write_str("stopped"),
            Self::Failed { reason, message } if message.is_empty() => f.write_str(reason),
            Self::Failed { message, .. } => f.write_str(message),
            Self::NotStarted { reason } | Self::Lost { reason } | Self::BadOutput { reason } => {
                f.write_str(reason)
            }
        }
    }
}

/// A model: a sealed folder, or whatever the program says of one that it has stored itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Where it lies, such as `file:///...`.
    pub uri: String,
    /// SHA-256 of the manifest, in hex; empty if nobody has verified it.
    pub digest: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// What it is, such as `onnx`; empty if not said.
    pub format: String,
    /// Whether the program has stored it itself, so that nobody here has seen it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// When its files were removed, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// What the store keeps of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Which run.
    pub id: RunId,
    /// Where the executor keeps it: a folder, or a cluster's object.
    pub executor_ref: String,
    /// What it occupied, known once it runs.
    pub slots: Vec<String>,
    /// The run whose checkpoint it began from.
    pub start_from: Option<RunId>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How and when it ended.
    pub end: Option<RunEnd>,
}
