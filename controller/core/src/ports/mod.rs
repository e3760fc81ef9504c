//! The ports: what the driver needs of the world, and what rooms that do not know each other speak through.

mod executor;
mod store;

pub use executor::{Executor, ExecutorError, ObservationSink};
pub use store::{
    AskRecord, Batch, Lease, Observation, ObservationQuery, ObservationRow, Page, Pushed, Store, StoreError,
    StoredWish, TrialOrder, TrialQuery, Wish,
};
