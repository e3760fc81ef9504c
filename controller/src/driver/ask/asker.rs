//! Whoever answers an experiment's questions.

use controller_core::event::StoredEvent;
use controller_core::experiment::ExperimentRecord;
use controller_core::plan::{Answer, Snapshot};
use controller_core::ports::{AskRecord, Learnt, Store};
use study::{Decision, Study};

use super::{AskError, katib, search};
use crate::world::World;

/// The suggestion service of one experiment, and what is known of its side.
pub(in crate::driver) enum Asker {
    /// Cairn's own.
    Search(Box<search::Asker>),
    /// The one at `algorithm.endpoint`.
    Katib(Box<katib::Asker>),
}

impl Asker {
    pub(in crate::driver) fn new(world: &World, record: &ExperimentRecord, study: &Study) -> Self {
        let algorithm = record.spec.algorithm.as_ref();
        match algorithm.and_then(|algorithm| algorithm.endpoint.as_deref()) {
            None => Self::Search(Box::new(search::Asker::new(world, study))),
            Some(endpoint) => Self::Katib(Box::new(katib::Asker::new(world, endpoint, study))),
        }
    }

    /// The log has grown.
    pub(in crate::driver) fn heard(&mut self, events: &[StoredEvent]) {
        match self {
            Self::Search(asker) => asker.heard(events),
            Self::Katib(asker) => asker.heard(events),
        }
    }

    pub(super) async fn ask(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<Answer, AskError> {
        match self {
            Self::Search(asker) => asker.ask(store, snapshot, ask).await,
            Self::Katib(asker) => asker.ask(store, snapshot, ask).await,
        }
    }

    /// What was learnt by the last answer and is to be kept, once.
    pub(super) fn learnt(&mut self) -> Option<Learnt> {
        match self {
            Self::Search(asker) => asker.learnt(),
            Self::Katib(_) => None,
        }
    }

    /// What is to become of trials that run, after everything that is recorded; `None` if nothing was told since that was
    /// last asked.
    pub(super) async fn decide(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
    ) -> Result<Option<Vec<Decision>>, AskError> {
        match self {
            Self::Search(asker) => asker.decide(store, snapshot).await,
            Self::Katib(asker) => asker.decide(store, snapshot).await,
        }
    }
}
