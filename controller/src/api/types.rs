//! What travels over the HTTP API as JSON.

mod architecture;
mod promotions;
mod schedules;
mod trials;
mod watch;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use architecture::*;
pub(crate) use promotions::*;
pub(crate) use schedules::*;
pub(crate) use trials::*;
pub(crate) use watch::*;

/// An error, as every door tells it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    pub(crate) error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// One word for programs: `invalid`, `not_found`, `conflict`, `unauthorized`, `forbidden`, `unavailable`,
    /// `unimplemented`, `internal`.
    pub(crate) code: String,
    /// One sentence for people.
    pub(crate) message: String,
    /// Each thing that is wrong with what was sent.
    #[serde(default)]
    pub(crate) problems: Vec<ProblemView>,
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemView {
    /// Path in the document, such as `spec.parameters[2].feasibleSpace`.
    pub(crate) path: String,
    /// Line in the text that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    /// What is wrong.
    pub(crate) message: String,
    /// A way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What the validator says of a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Validation {
    /// Whether it may be submitted.
    pub(crate) valid: bool,
    /// Name of the experiment, if it has one.
    pub(crate) name: String,
    /// Reasons to refuse it.
    pub(crate) errors: Vec<ProblemView>,
    /// Reasons to look again.
    pub(crate) warnings: Vec<ProblemView>,
    /// What was decided for the user.
    pub(crate) notes: Vec<String>,
    /// What comes of its trials, where they climb rungs and none fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) plan: Vec<Ladder>,
    /// The spec with all defaults filled in.
    #[schema(value_type = Object)]
    pub(crate) spec: Value,
}

/// Trials that climb the same rungs, as it will be if none fails.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ladder {
    /// The rungs, the lowest first; the last is the whole budget.
    pub(crate) rungs: Vec<LadderRung>,
    /// Steps that all of them run together.
    pub(crate) steps: u64,
    /// Steps that they would run to their ends.
    pub(crate) whole: u64,
}

/// How many trials come to a step.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LadderRung {
    /// The step.
    pub(crate) step: u64,
    /// How many trials come there.
    pub(crate) trials: u64,
}

/// An experiment as a command must name it: with its namespace, unless that is the usual one.
pub(crate) fn called(namespace: &str, name: &str) -> String {
    if namespace == "default" { name.to_owned() } else { format!("{name} -n {namespace}") }
}

/// An experiment as Katib's resource, with a block of Cairn's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Experiment {
    /// `kubeflow.org/v1beta1`.
    pub(crate) api_version: String,
    /// `Experiment`.
    pub(crate) kind: String,
    /// Name, namespace, uid, labels, annotations, creation time.
    pub(crate) metadata: ExperimentMetadata,
    /// The spec with all defaults.
    #[schema(value_type = Object)]
    pub(crate) spec: Value,
    /// Status as Katib has it.
    #[schema(value_type = Object)]
    pub(crate) status: Value,
    /// What Katib has no word for.
    pub(crate) cairn: CairnBlock,
}

/// `metadata` of an experiment.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExperimentMetadata {
    /// Name.
    pub(crate) name: String,
    /// Namespace.
    pub(crate) namespace: String,
    /// Universally unique.
    pub(crate) uid: String,
    /// When it was submitted, RFC 3339.
    pub(crate) creation_timestamp: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub(crate) labels: Value,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub(crate) annotations: Value,
}

/// What was run of the steps that all trials would have come to, where they are judged while they run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Steps {
    /// Steps that trials have run until they waited or ended.
    pub(crate) run: u64,
    /// What the same trials would have run to their ends, where that is known.
    pub(crate) whole: Option<u64>,
    /// How many were run when the best trial was found.
    pub(crate) at_best: u64,
    /// Seconds that trials that were stopped early would have run beside what they have, each at the mean pace of its own
    /// steps; null where it is not known how far they would have come.
    pub(crate) saved_run_seconds: Option<f64>,
    /// The same of GPUs, summed over devices; null where none was held.
    pub(crate) saved_gpu_seconds: Option<f64>,
}

/// Where trials stand that are compared at a step.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rung {
    /// The step.
    pub(crate) step: u64,
    /// Trials that have come there.
    pub(crate) reached: u64,
    /// Those of them that have gone on.
    pub(crate) promoted: u64,
    /// Those that wait there with their checkpoints.
    pub(crate) paused: u64,
    /// Those that were ended there.
    pub(crate) stopped: u64,
}

/// What Katib has no word for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CairnBlock {
    /// Current state: `Created`, `Running`, `Stopped`, `Restarting`, `Succeeded`, `Failed` or `Deleting`.
    pub(crate) state: String,
    /// Why it is in this state, one word.
    pub(crate) reason: String,
    /// The same in a sentence.
    pub(crate) message: String,
    /// Seed of its random streams.
    pub(crate) seed: u64,
    /// Digest of the spec without budgets.
    pub(crate) spec_digest: String,
    /// `minimize` or `maximize`.
    pub(crate) direction: String,
    /// Metric that is optimised.
    pub(crate) objective: String,
    /// Trials by state.
    pub(crate) counters: Counters,
    /// Objective of the best trial so far; the mean of its point's runs where points are run again.
    pub(crate) best_value: Option<f64>,
    /// Runs of the best point that were measured.
    #[serde(default)]
    pub(crate) best_runs: Option<u32>,
    /// Standard error of their mean.
    #[serde(default)]
    pub(crate) best_std_error: Option<f64>,
    /// Name of the best trial so far.
    pub(crate) best_trial: Option<String>,
    /// What runs that have ended have spent.
    pub(crate) spent: Spent,
    /// What was run of all steps, where trials are judged while they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<Steps>,
    /// Where trials stand that are compared on rungs, the lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rungs: Vec<Rung>,
    /// How firmly it is held by a wish: `free`, `draining`, `stopped`, `deleting`.
    pub(crate) hold: String,
    /// Why nothing happens right now; empty while something does.
    pub(crate) waiting: String,
    /// Who drives it: host and process; null when nobody does.
    pub(crate) driven_by: Option<String>,
    /// Wishes that nobody has carried out yet.
    pub(crate) open_wishes: u64,
    /// Number of its newest event.
    pub(crate) last_seq: u64,
    /// Folder that relative paths of local processes start from.
    pub(crate) base_dir: Option<String>,
}

/// Trials by state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counters {
    /// All.
    pub(crate) total: u64,
    /// Waiting.
    pub(crate) pending: u64,
    /// Running.
    pub(crate) running: u64,
    /// Ended well.
    pub(crate) succeeded: u64,
    /// Ended badly.
    pub(crate) failed: u64,
    /// Ended by a person.
    pub(crate) killed: u64,
    /// Ended by a rule.
    pub(crate) early_stopped: u64,
    /// Ended without an objective.
    pub(crate) metrics_unavailable: u64,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spent {
    /// Seconds of runs, summed.
    pub(crate) run_seconds: f64,
    /// Seconds of GPUs held, summed over devices.
    pub(crate) gpu_seconds: f64,
    /// Price of the slots held.
    pub(crate) cost: f64,
}

/// A list of experiments.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Experiments {
    /// Newest first.
    pub(crate) items: Vec<Experiment>,
}

/// What became of a submission.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Submitted {
    /// `created`, `unchanged` (the same exists), or `edited` (only budgets differ: a wish was written down).
    pub(crate) outcome: String,
    /// The experiment.
    pub(crate) experiment: Experiment,
    /// Reasons to look again.
    pub(crate) warnings: Vec<ProblemView>,
    /// What was decided for the user.
    pub(crate) notes: Vec<String>,
}

/// New budgets; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Budgets {
    /// Trials at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_trial_count: Option<i32>,
    /// Trials at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parallel_trial_count: Option<i32>,
    /// Failed trials at which the experiment fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_failed_trial_count: Option<i32>,
    /// Longest time, such as `2h30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_duration: Option<String>,
    /// Most GPU-hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_gpu_hours: Option<f64>,
    /// Most money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_cost: Option<f64>,
}

impl Budgets {
    /// Whether all of them stay.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How to stop.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct StopRequest {
    /// Whether running trials end too; they get another attempt after `resume`.
    #[serde(default)]
    pub(crate) now: bool,
}

/// A point to try.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct EnqueueRequest {
    /// Parameter texts by name; parameters with a default may be left out.
    pub(crate) parameters: std::collections::BTreeMap<String, String>,
}

/// A wish, written down for the driver.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wished {
    /// Its number within the experiment.
    pub(crate) wish_no: i64,
    /// Who will carry it out: the process that drives the experiment; null when nobody does.
    pub(crate) driven_by: Option<String>,
}

/// What is known of a trial, a field, or of why nothing happens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Explanation {
    /// What is explained.
    pub(crate) subject: String,
    /// One fact a line.
    pub(crate) lines: Vec<String>,
    /// Of an experiment: how well its algorithm's predictions have met what came, if it has made any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) calibration: Option<Calibration>,
}

/// How well predictions have met what came.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calibration {
    /// Ended trials of which something was predicted.
    pub(crate) trials: u64,
    /// Share of values within the predicted interval that should hold 50 of 100.
    pub(crate) within50: f64,
    /// Share of values within the predicted interval that should hold 90 of 100.
    pub(crate) within90: f64,
    /// Root of the mean squared distance between seen and predicted, in predicted standard deviations: 1 is right, more
    /// says that the model was too sure, less that it was not sure enough.
    pub(crate) rms_z: f64,
}

/// Trials side by side.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Comparison {
    /// Names of the trials.
    pub(crate) trials: Vec<String>,
    /// One row for each state, parameter and metric.
    pub(crate) rows: Vec<ComparisonRow>,
}

/// A row of a comparison.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct ComparisonRow {
    /// `trial`, `parameter` or `metric`.
    pub(crate) kind: String,
    /// Name of the parameter or metric.
    pub(crate) name: String,
    /// One text a trial.
    pub(crate) values: Vec<String>,
    /// Whether they differ.
    pub(crate) differs: bool,
}

/// Trials that failed alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FailureGroup {
    /// The cause.
    pub(crate) cause: String,
    /// How many.
    pub(crate) count: u64,
    /// All failures of the experiment.
    pub(crate) of: u64,
    /// What sets their parameters apart from those of other trials, such as `batch >= 512`; may be empty.
    pub(crate) pattern: String,
    /// Names of some.
    pub(crate) trials: Vec<String>,
}

/// Failures grouped by cause, the largest group first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Failures {
    /// The groups.
    pub(crate) groups: Vec<FailureGroup>,
}

/// What asking again has shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Replay {
    /// How many suggestions were asked for again.
    pub(crate) asked: u64,
    /// How many were the same.
    pub(crate) same: u64,
    /// Each that was not: trial, then and now.
    pub(crate) differences: Vec<String>,
    /// The build that was asked now: version, machine and level of vector instructions.
    pub(crate) build: String,
    /// Other builds that have proposed points then: the last bits of their suggestions may differ.
    #[serde(default)]
    pub(crate) other_builds: Vec<String>,
}

/// An algorithm.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlgorithmView {
    /// Its name in Experiments.
    pub(crate) name: String,
    /// One line.
    pub(crate) summary: String,
    /// Whether it stops trials instead of proposing points.
    pub(crate) early_stopping: bool,
    /// Where it was published.
    pub(crate) source: String,
    /// What it can do: `yes` or `no` by feature.
    #[schema(value_type = Object)]
    pub(crate) features: serde_json::Map<String, Value>,
    /// Settings.
    pub(crate) settings: Vec<SettingView>,
}

/// A setting of an algorithm.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct SettingView {
    /// Name.
    pub(crate) name: String,
    /// Value when unset.
    pub(crate) default: String,
    /// What it does.
    pub(crate) meaning: String,
}

/// All algorithms.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Algorithms {
    /// In the order of the registry.
    pub(crate) items: Vec<AlgorithmView>,
}

/// Which Cairn this is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Version {
    /// Version.
    #[expect(clippy::struct_field_names, reason = "the word of the wire")]
    pub(crate) version: String,
    /// Features that are built in.
    pub(crate) features: Vec<String>,
    /// Features that exist and are not built in.
    pub(crate) missing: Vec<String>,
}

/// What was tidied away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Collected {
    /// Deleted experiments erased from the store.
    pub(crate) experiments: u64,
    /// Folders of runs removed.
    pub(crate) folders: u64,
    /// Bytes freed.
    pub(crate) bytes: u64,
    /// Folders left alone because no experiment of the store has them: they may be another store's.
    #[serde(default)]
    pub(crate) foreign: u64,
}

/// What was erased of deleted experiments of one name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Purged {
    /// Experiments erased from the store.
    pub(crate) experiments: u64,
    /// Their trials.
    pub(crate) trials: u64,
    /// Folders of runs removed.
    pub(crate) folders: u64,
    /// Bytes freed by that.
    pub(crate) bytes: u64,
    /// What of that name is left.
    pub(crate) left: Vec<String>,
}

/// A change of an experiment, as the stream of events has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Change {
    /// Its number within the experiment, from 1 without gaps.
    pub(crate) seq: u64,
    /// When it was recorded, RFC 3339.
    pub(crate) at: String,
    /// What kind of event.
    pub(crate) kind: String,
    /// Trial it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trial: Option<u64>,
    /// One line for people.
    pub(crate) text: String,
    /// The event as stored.
    #[schema(value_type = Object)]
    pub(crate) event: Value,
}

/// Some changes, for those who do not stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changes {
    /// Oldest first.
    pub(crate) items: Vec<Change>,
}
