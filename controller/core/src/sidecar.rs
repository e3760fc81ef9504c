//! What a metrics sidecar is told by whoever puts it into a pod.

use serde::{Deserialize, Serialize};
use study::Rule;

use crate::run::{RunId, Sealed};
use crate::spec::MetricsCollectorSpec;

/// Variable with the [`Task`].
pub const TASK: &str = "CAIRN_SIDECAR_TASK";
/// Variable with the address of the controller, such as `https://cairn.cairn-system.svc:6790`.
pub const SERVER: &str = "CAIRN_SERVER";
/// Variable with the file that holds the token to show there.
pub const TOKEN_FILE: &str = "CAIRN_TOKEN_FILE";

/// Variable with the uid of the pod, by which the logs of one are told from those of another of the same run.
pub const POD: &str = "CAIRN_POD_UID";

/// Variable with what to [`Fetch`], of a container that does only that.
pub const FETCH: &str = "CAIRN_FETCH_TASK";
/// Variables with the number of a pod among those of one job; only the first keeps anything.
pub const RANKS: [&str; 2] = ["JOB_COMPLETION_INDEX", "CAIRN_REPLICA_INDEX"];
/// `CAIRN_TRIAL_DIR` of a pod: the folder that program and sidecar share.
pub const TRIAL_DIR: &str = "/cairn";
/// Where a volume is mounted that artifacts are kept in.
pub const CLAIM_DIR: &str = "/cairn-store";

/// How lines begin that a sidecar says of itself, among those that it shows of its program.
pub const OWN_LINE: &str = "cairn-sidecar: ";
/// What a pod's standard output is written to for a sidecar to read.
pub const OUTPUT: &str = "/var/log/katib/metrics.log";
/// What a program's wrapper writes into its marker once it has ended well.
pub const COMPLETED: &str = "completed";
/// What the sidecar writes into the marker before it stops the program.
pub const EARLY_STOPPED: &str = "early-stopped";

/// Everything that a sidecar has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Whose metrics.
    pub run: RunId,
    /// Namespace of the experiment.
    pub namespace: String,
    /// Name of the trial.
    pub trial: String,
    /// How they are collected.
    pub collector: MetricsCollectorSpec,
    /// Metrics wanted, the objective first.
    pub metrics: Vec<String>,
    /// Whether the objective is to be maximised.
    pub maximize: bool,
    /// Rules that stop the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The file or folder that metrics are read from; empty if they are scraped.
    pub path: String,
    /// The folder of the markers by which the program's wrapper says how it has ended, if it is wrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markers: Option<String>,
    /// How its end is known.
    pub end: End,
    /// Whether it waits for all programs of the pod, and not for the trial's alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_all: bool,
    /// Seconds between the signal to end and being killed.
    pub grace: u64,
    /// The authorities by which the controller is known over TLS, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What is kept of the program's folders, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Whether its metrics are read elsewhere, so that it is here for the program's folders alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_only: bool,
}

/// What is kept of a program's folders at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keep {
    /// Where: the place of the run.
    pub place: String,
    /// Most bytes of its model.
    pub max_bytes: u64,
    /// Whether the checkpoint is kept after a good end too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
}

/// What is put into a program's checkpoint folder before it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetch {
    /// For which run.
    pub run: RunId,
    /// Namespace of the experiment.
    pub namespace: String,
    /// Name of the trial.
    pub trial: String,
    /// What.
    pub checkpoint: Sealed,
    /// The authorities by which the controller is known over TLS, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// How a sidecar knows that the program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// It sees the program's processes: when those are gone.
    Processes,
    /// As with processes, but the program is started again until it has ended well.
    Restarts,
    /// It is told to end itself after the program has.
    Signal,
}

/// The marker of a wrapped program by the number of its shell.
pub fn marker(folder: &str, pid: impl std::fmt::Display) -> String {
    format!("{folder}/{pid}.pid")
}

/// What a wrapper's command holds, by which its process is known.
pub fn marking(folder: &str) -> String {
    format!("echo {COMPLETED} > {folder}")
}
