//! What the driver and the API act upon: one of each port.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use controller_core::ports::{Executor, Models, Outbox, Promotions, Schedules, Store};
use controller_core::time::{Clock, Timestamp};
use suggest::SearchLine;
use tokio::sync::Notify;

use crate::artifacts::Artifacts;
use crate::driver::Wished;
use crate::meters::Meters;
use crate::router::Home;

/// One of each port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    /// Keeps everything.
    pub(crate) store: Arc<dyn Store>,
    /// Keeps promotions and models.
    pub(crate) promotions: Arc<dyn Promotions>,
    /// Keeps what is to be told to others.
    pub(crate) outbox: Arc<dyn Outbox>,
    /// Keeps what is run again.
    pub(crate) schedules: Arc<dyn Schedules>,
    /// Reads what trials have left.
    pub(crate) models: Arc<dyn Models>,
    /// Runs trials.
    pub(crate) executor: Arc<dyn Executor>,
    /// The suggestion service, in process or elsewhere.
    pub(crate) search: SearchLine,
    /// Keeps what trials leave.
    pub(crate) artifacts: Artifacts,
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Tells the time of day, which people may set.
    pub(crate) wall: Arc<dyn Clock>,
    /// Counts what this process does.
    pub(crate) meters: Arc<Meters>,
    /// Says "look again" to the drivers of this process, after a wish or a new experiment.
    pub(crate) wake: Arc<Notify>,
    /// Of which experiments something is wished.
    pub(crate) wished: Arc<Wished>,
    /// The cluster whose experiments are driven, by its uid; empty for those of this machine.
    pub(crate) cluster: String,
    /// Where the router of this machine is.
    pub(crate) home: Home,
    /// Who this process is, as shown to others that find an experiment driven: host and pid.
    pub(crate) holder: String,
}

/// The machine's clock, read once: from then on time goes as the monotonic clock does, so that a clock that is set
/// anew moves no deadline and turns no order around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    began: Timestamp,
    since: Instant,
}

impl SystemClock {
    /// Reads the machine's clock.
    pub(crate) fn start() -> Self {
        Self { began: WallClock.now(), since: Instant::now() }
    }
}

/// The machine's clock as it is: for times of day, which go on while the machine sleeps and may be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn now(&self) -> Timestamp {
        Timestamp(micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.began.0.saturating_add(micros(self.since.elapsed())))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_its_start_whatever_the_machine_s_clock_says() {
        // As if the clock had been set to 1970 a minute after the start.
        let earlier = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        let clock = SystemClock { began: Timestamp(5_000_000), since: earlier };
        let (first, second) = (clock.now(), clock.now());
        assert!(first.0 >= 65_000_000 && first.0 < 125_000_000 && second >= first, "{first:?} {second:?}");
    }
}
