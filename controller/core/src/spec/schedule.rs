//! `spec.schedule`.

use serde::{Deserialize, Serialize};

/// When the search is run again. An experiment with one is a template: it runs nothing itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleSpec {
    /// Five fields, or a word such as `@daily`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The zone whose wall clock `cron` goes by, such as `Europe/Berlin`; UTC where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Time from one run to the next, such as `12h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Data whose change begins a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_new_data: Option<NewDataSpec>,
    /// Whether a drift of the served model begins a run; not, where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_drift: Option<bool>,
    /// `allow`, `forbid` or `replace`: what becomes of a run that is due while another goes on; `forbid` where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<String>,
    /// Whether nothing begins by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How late a run may begin, such as `1h`; unset: however late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starting_deadline: Option<String>,
    /// How many runs that are over stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistorySpec>,
}

/// Data that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewDataSpec {
    /// File or folder; a relative path starts from the folder of the Experiment.
    pub path: String,
    /// How often it is looked at; once a minute where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// How many runs that are over stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistorySpec {
    /// Of those that succeeded; 3 where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<i32>,
    /// Of those that failed; 1 where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
}
