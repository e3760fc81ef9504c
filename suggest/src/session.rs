//! Sessions: what the service holds of each study between calls. A cache and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use algorithms::rng::Streams;
use prost::Message as _;
use proto::cairn as wire;
use sha2::{Digest as _, Sha256};
use study::{HistoryEvent, Prefix, Study};

use crate::build::build;
use crate::convert;
use crate::registry::{self, Engine};

/// Most sessions held at once; each is one study.
const MAX_SESSIONS: usize = 256;
/// Most events held at once over all sessions: at about 200 bytes each some 400 MB.
const MAX_EVENTS: u64 = 2_000_000;

/// What is held of one study.
pub(crate) struct Session {
    pub(crate) engine: Engine,
    pub(crate) streams: Streams,
    prefix: Prefix,
}

impl Session {
    /// A session that has been told nothing.
    pub(crate) fn new(study: &Study) -> Result<Self, convert::ConvertError> {
        let engine = registry::build(study)
            .map_err(|errors| convert::ConvertError(errors.iter().map(ToString::to_string).collect()))?;
        Ok(Self { engine, streams: Streams::new(study.seed), prefix: Prefix::default() })
    }

    /// A session whose algorithm takes over what it has learnt up to a prefix; `None` if it cannot.
    pub(crate) fn restored(study: &Study, prefix: Prefix, learnt: &[u8]) -> Option<Self> {
        let mut session = Self::new(study).ok()?;
        // A rule of early stopping has to be told of every report.
        let is_whole = session.engine.scheduler.is_none() && session.engine.sampler.restore(learnt);
        session.prefix = prefix;
        is_whole.then_some(session)
    }

    /// What it has been told.
    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Takes in more history.
    pub(crate) fn tell(&mut self, events: &[HistoryEvent]) {
        self.engine.sampler.tell(events);
        if let Some(scheduler) = &mut self.engine.scheduler {
            scheduler.tell(events);
        }
        self.prefix = self.prefix.extend(events);
    }
}

/// Names a study: SHA-256 of its message.
pub(crate) type Key = [u8; 32];

/// The key of a study.
pub(crate) fn key(study: &wire::Study) -> Key {
    Sha256::digest(study.encode_to_vec()).into()
}

/// Names a study and this build: whose learning is of use to each other.
pub fn learner(study: &wire::Study) -> String {
    let key: String = key(study).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {key}", build())
}

/// All sessions, the least recently used going first.
#[derive(Default)]
pub(crate) struct Sessions {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    clock: u64,
    sessions: BTreeMap<Key, Entry>,
}

struct Entry {
    session: Arc<Mutex<Session>>,
    used: u64,
    events: u64,
}

impl Sessions {
    /// The session of a study, if held.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Mutex<Session>>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let now = held.clock;
        let entry = held.sessions.get_mut(key)?;
        entry.used = now;
        Some(Arc::clone(&entry.session))
    }

    /// Holds a session in place of an older one of the same study.
    pub(crate) fn put(&self, key: Key, session: Arc<Mutex<Session>>, events: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let used = held.clock;
        held.sessions.insert(key, Entry { session, used, events });
        while held.sessions.len() > 1
            && (held.sessions.len() > MAX_SESSIONS
                || held.sessions.values().map(|e| e.events).sum::<u64>() > MAX_EVENTS)
        {
            let oldest = held.sessions.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            oldest.map(|key| held.sessions.remove(&key));
        }
    }

    /// Drops the session of a study.
    pub(crate) fn remove(&self, key: &Key) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).sessions.remove(key);
    }
}
