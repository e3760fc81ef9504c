//! From the best trial to the champion of a model: one guarded, resumable, reversible promotion.
//!
//! [`state`] says which states a promotion may take, [`mod@plan`] what comes next, [`wish`] what people may want of it,
//! [`gate`] whether a candidate is good enough, [`record`] what is kept, [`rollout`] how requests move to a candidate,
//! [`guard`] whether they have to go back,
//! [`serving`] which servers a model has, [`smoke`] whether one answers rightly, [`metadata`] what is told to others,
//! [`profile`] and [`drift`] whether its requests are as those that it has learnt from, [`watched`] what is known of them, and
//! [`audit`] the chain of everything that was done. All of it is pure: the driver looks at the world, asks what comes
//! next, does it and writes it down, again and again; what a crash leaves undone comes again.

pub mod audit;
pub mod drift;
pub mod gate;
pub mod guard;
pub mod metadata;
pub mod plan;
pub mod profile;
pub mod record;
pub mod rollout;
pub mod serving;
pub mod smoke;
pub mod state;
pub mod watched;
pub mod wish;

pub use audit::{AuditEntry, Deed, Tampered};
pub use drift::{Finding, Gathered, judge};
pub use gate::{Comparison, Measurement, Verdict};
pub use guard::{Counts, Guard, Guarded};
pub use metadata::{Delivery, Queued, Record, Standing, Target};
pub use plan::{Action, Change, Effect, Evaluated, Role, View, plan};
pub use profile::Profile;
pub use record::{Approval, Candidate, Evidence, Promotion, PromotionId, Version, WaitsFor};
pub use rollout::{Ground, Phase, Rollout, Telemetry};
pub use serving::{Deployment, Keep, Seen, Serving, Shift, keep};
pub use state::{PromotionEvent, PromotionState, Stage, transition};
pub use watched::{Breach, Call, Judged, Kept, Labelled, OfVersion, Watched};
pub use wish::{PromotionWish, StoredPromotionWish};
