//! The ports: what the driver needs of the world, and what rooms that do not know each other speak through.

mod door;
mod executor;
mod store;

pub use door::{Door, DoorError};
pub use executor::{Collected, Executor, ExecutorError, LogCollector, LogLine, ObservationSink, Wanted};
pub use store::{
    AskRecord, Batch, Lease, Observation, ObservationQuery, ObservationRow, Page, Pushed, Store, StoreError,
    StoredWish, TrialOrder, TrialQuery, Wish,
};
