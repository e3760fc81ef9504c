//! The seam to those who collect metrics.

use async_trait::async_trait;
use controller_core::ports::Collected;
use controller_core::run::Run;
use study::Rule;
use tokio::sync::{mpsc, oneshot};

use super::files::RunFolder;

/// Collects the metrics of runs while they run.
#[async_trait]
pub(crate) trait Collect: Send + Sync {
    /// Collects what the run writes. Returns once the run has ended and everything it wrote is safe in the store.
    ///
    /// Called again with the same run by a controller that comes back, also for a run that has ended meanwhile.
    async fn collect(&self, run: &Run, folder: &RunFolder, signals: Signals) -> Collected;
}

/// What a collector and the executor say to each other.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Resolves once no process of the run is left: what is not written by now never will be.
    pub(crate) ended: oneshot::Receiver<()>,
    /// A rule sent here stops the run. There is room for one; more are of no use.
    pub(crate) stop: mpsc::Sender<Rule>,
}
