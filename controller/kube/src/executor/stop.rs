//! Ending a run before its program has.
//!
//! Where the record says that a run is to end, its sidecar hears of it by its line: it tells the program, waits for it, and
//! keeps what it has left; so that is waited for before the object goes, and its pods with it. Others end with their
//! pods.

use std::sync::Arc;
use std::time::Duration;

use controller_core::plan::is_run_unwanted;
use controller_core::ports::ExecutorError;
use controller_core::run::{RunId, RunPhase};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Shared, Stop, lock, pods};

/// How much longer than its grace a run may take to be gone: pods have a grace of their own, and nodes are slow at times.
const OVERTIME: Duration = Duration::from_mins(1);
/// How much longer than its grace a program may take whose sidecar has first to hear of it.
const HEARING: Duration = Duration::from_secs(5);
/// How often its pods are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sees to it that a run ends.
pub(super) async fn stop(shared: &Arc<Shared>, run: RunId, grace: Duration) -> Result<(), ExecutorError> {
    if shared.phase(&run).is_none() {
        shared.adopt_of(run.experiment).await?;
    }
    let by_sidecar = hears_of_it(shared, run).await;
    let Some((place, container, mut phase)) = lock(&shared.runs).get(&run).map(|entry| {
        entry.stop.send_replace(if by_sidecar { Stop::BySidecar } else { Stop::WithObject });
        (entry.place.clone(), entry.container.clone(), entry.phase.clone())
    }) else {
        return Ok(());
    };
    let has_ended = |phase: &RunPhase| matches!(phase, RunPhase::Ended(_));
    if by_sidecar {
        let begun = Instant::now();
        while !has_ended(&phase.borrow()) && is_ending(shared, run, &container, begun.elapsed(), grace) {
            sleep(LOOK_EVERY).await;
        }
    }
    if !has_ended(&phase.borrow()) {
        shared.delete(&place).await?;
    }
    let gone = tokio::time::timeout(grace + OVERTIME, phase.wait_for(has_ended)).await;
    gone.map(|_| ()).map_err(|_| {
        ExecutorError::Unavailable(format!("{} is still there after it was deleted", place.describe()))
    })
}

/// Whether the record says that the run is to end, which its sidecar is told.
async fn hears_of_it(shared: &Shared, run: RunId) -> bool {
    match shared.store.trial(run.experiment, run.trial).await {
        Ok(trial) => trial.is_some_and(|trial| is_run_unwanted(&trial.reason)),
        Err(error) => {
            warn!(%run, %error, "whether its sidecar is told of its end is not known");
            false
        }
    }
}

/// Whether a sidecar of the run sees to its program's end, or keeps what that has left.
fn is_ending(shared: &Shared, run: RunId, container: &str, since: Duration, grace: Duration) -> bool {
    let pods = shared.pods_of(run);
    if !pods.iter().any(|pod| pods::is_reporting(pod)) {
        // The node says a while later that something runs.
        return since < HEARING && pods.iter().any(|pod| pods::is_about_to_report(pod));
    }
    let runs = pods.iter().any(|pod| pods::is_running(pod, container));
    since < if runs { grace + HEARING } else { pods::KEEPING }
}
