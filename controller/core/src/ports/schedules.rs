//! Keeping schedules through any crash.

use async_trait::async_trait;

use super::store::{Lease, StoreError};
use crate::experiment::ExperimentId;
use crate::schedule::{Cause, ScheduleState, Scheduled};

/// Keeps what is wanted of schedules and what came of them. Every method is one transaction; what it returned without
/// error survives any crash.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// The schedule of a template; as new where nothing was written down yet.
    async fn schedule(&self, template: ExperimentId) -> Result<Scheduled, StoreError>;
    /// Lets nothing begin by itself, or everything, whatever the spec says.
    async fn suspend_schedule(&self, template: ExperimentId, suspended: bool) -> Result<(), StoreError>;
    /// Asks for a run; returns how many were asked for so far. Those that nobody has seen yet become one run.
    async fn ask_for_run(&self, template: ExperimentId, cause: Cause) -> Result<u64, StoreError>;
    /// Writes down what was decided, if the lease of the template is still good.
    async fn keep_schedule(&self, lease: &Lease, state: &ScheduleState) -> Result<(), StoreError>;
}
