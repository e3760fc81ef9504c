//! What the driver and the API act upon: one of each port.

use std::sync::Arc;

use controller_core::ports::{Executor, Store};
use controller_core::time::{Clock, Timestamp};
use tokio::sync::Notify;
use tonic::transport::Channel;

/// One of each port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    /// Keeps everything.
    pub(crate) store: Arc<dyn Store>,
    /// Runs trials.
    pub(crate) executor: Arc<dyn Executor>,
    /// The suggestion service, in process or elsewhere.
    pub(crate) search: Channel,
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Says "look again" to the drivers of this process, after a wish or a new experiment.
    pub(crate) wake: Arc<Notify>,
    /// Who this process is, as shown to others that find an experiment driven: host and pid.
    pub(crate) holder: String,
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
