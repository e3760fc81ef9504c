//! Schedules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scheduled experiment.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleView {
    /// Name of the template; runs are called so with a number behind it.
    pub(crate) name: String,
    /// Namespace.
    pub(crate) namespace: String,
    /// What begins its runs, in words such as `0 3 * * 0 (Europe/Berlin), onDrift`.
    pub(crate) when: String,
    /// Whether nothing begins by itself.
    pub(crate) suspended: bool,
    /// Runs that were made so far, deleted ones too.
    pub(crate) runs: u64,
    /// Names of runs that go on.
    pub(crate) active: Vec<String>,
    /// The newest run that there is.
    pub(crate) last: Option<String>,
    /// When the next run is due; null while it is suspended, and where no time begins one.
    pub(crate) next: Option<String>,
    /// The newest time that went by because its deadline was over.
    pub(crate) missed: Option<String>,
    /// Whether a run was asked for that is not made yet.
    pub(crate) asked: bool,
}

/// Scheduled experiments.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct SchedulesView {
    /// By namespace and name.
    pub(crate) items: Vec<ScheduleView>,
}

/// Why a run is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct RunRequest {
    /// `person`, where unset; or `drift`, for what watches the served model: refused unless `onDrift` is true.
    #[serde(default)]
    pub(crate) cause: Option<String>,
}
