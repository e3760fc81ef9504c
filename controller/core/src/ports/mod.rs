//! The ports: what the driver needs of the world, and what rooms that do not know each other speak through.

mod artifacts;
mod door;
mod executor;
mod models;
mod peers;
mod promotions;
mod records;
mod reporters;
mod schedules;
mod store;
mod terms;

pub use artifacts::{ArtifactError, ArtifactSink, ArtifactSource, ArtifactStore, Blob, Pieces};
pub use door::{Door, DoorError};
pub use executor::{
    Collected, Executor, ExecutorError, Left, LogCollector, LogLine, ObservationSink, Wanted,
};
pub use models::{Description, ModelError, Models};
pub use peers::{PeerPod, Peers};
pub use promotions::{ModelRecord, PromotionQuery, Promotions};
pub use records::{Measured, Outbox, RecordTarget, TargetError};
pub use reporters::{Claim, NotAllowed, Reporters};
pub use schedules::Schedules;
pub use store::{
    AskRecord, Batch, Learnt, Lease, Observation, ObservationQuery, ObservationRow, Page, Pushed, Store,
    StoreError, StoredWish, TrialOrder, TrialQuery, Wish,
};
pub use terms::{Term, Terms};
