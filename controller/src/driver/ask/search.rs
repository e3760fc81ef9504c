//! Cairn's own wire: what has happened since the last question, and the question.

use std::collections::VecDeque;

use controller_core::event::{Event, StoredEvent};
use controller_core::plan::{Answer, Snapshot};
use controller_core::ports::{AskRecord, Learnt, Store};
use controller_core::telling::Telling;
use proto::cairn as wire;
use proto::cairn::search_client::SearchClient;
use study::{Decision, HistoryEvent, Prefix, Suggestion, Trial};
use suggest::{SearchLine, convert};
use tonic::{Code, Status};

use super::{AskError, MAX_MESSAGE, TIMEOUT};
use crate::driver::telling;
use crate::world::World;

/// Events read from the store, and sent, at once.
const CHUNK: u64 = 1000;
/// Events after which what was learnt is kept anew, where learning is dear: what is learnt again after a crash.
const KEEP_EVERY: u64 = 64;
/// Most bytes that are kept; what is larger is learnt again.
const MAX_LEARNT: usize = 16 << 20;

/// What is known of the suggestion service's side of one study.
pub(in crate::driver) struct Asker {
    client: SearchClient<SearchLine>,
    study: wire::Study,
    /// What the service holds, as far as we know.
    held: Prefix,
    /// Events that the service has not been told, in the order of the log.
    untold: VecDeque<Untold>,
    /// How trials are told that were made in another space.
    telling: Telling,
    /// Whether `untold` goes on where `held` ends.
    in_step: bool,
    /// Whose learning is of use to this study.
    by: String,
    /// What was learnt up to `held`, for the next question.
    known: Option<wire::State>,
    /// Number of events at which what was learnt was last asked for.
    kept_at: u64,
    /// What was learnt last and is to be kept.
    learnt: Option<Learnt>,
}

/// An event that is to be told.
struct Untold {
    seq: u64,
    told: Vec<HistoryEvent>,
    /// The trial that ended with it, if one did.
    ended: Option<Trial>,
}

impl Untold {
    /// An event of the log, if anything is told of it.
    fn of(stored: &StoredEvent, telling: &Telling) -> Option<Self> {
        let ended = match &stored.event {
            Event::TrialEnded { trial, .. } => telling.trial(trial),
            _ => None,
        };
        let told = stored.event.history(telling);
        (!told.is_empty()).then_some(Self { seq: stored.seq, told, ended })
    }
}

impl Asker {
    pub(super) fn new(world: &World, study: &study::Study) -> Self {
        let client = SearchClient::new(world.search.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let study = convert::study_to_proto(study);
        Self {
            client,
            by: suggest::learner(&study),
            study,
            held: Prefix::default(),
            untold: VecDeque::new(),
            telling: Telling::default(),
            in_step: false,
            known: None,
            kept_at: 0,
            learnt: None,
        }
    }

    /// The log has grown.
    pub(super) fn heard(&mut self, events: &[StoredEvent]) {
        if self.in_step {
            let telling = &self.telling;
            self.untold.extend(events.iter().filter_map(|stored| Untold::of(stored, telling)));
        }
    }

    pub(super) async fn ask(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<Answer, AskError> {
        let mut used_kept =
            !self.in_step && self.load(store, snapshot, ask.history_seq, Use::Kept).await? == Use::Kept;
        // What is kept may be of no use after all.
        for _ in 0..2 {
            match self.ask_once(snapshot, ask).await {
                Err(status) if status.code() == Code::FailedPrecondition => {
                    let wanted = if used_kept { Use::History } else { Use::Kept };
                    used_kept = self.load(store, snapshot, ask.history_seq, wanted).await? == Use::Kept;
                }
                answer => return answered(answer),
            }
        }
        answered(self.ask_once(snapshot, ask).await)
    }

    /// What was learnt and is to be kept, once.
    pub(super) fn learnt(&mut self) -> Option<Learnt> {
        self.learnt.take()
    }

    async fn ask_once(&mut self, snapshot: &Snapshot, ask: AskRecord) -> Result<Answer, Status> {
        let known = self.untold.partition_point(|untold| untold.seq <= ask.history_seq);
        let events: Vec<HistoryEvent> =
            self.untold.iter().take(known).flat_map(|untold| untold.told.clone()).collect();
        let running = self.running(snapshot, ask);
        let n_told = self.held.seq + events.len() as u64;
        let want_state = n_told >= self.kept_at + KEEP_EVERY;
        let request = wire::AskRequest {
            study: Some(self.study.clone()),
            prefix: Some(convert::prefix_to_proto(&self.held)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: running.iter().map(convert::trial_to_proto).collect(),
            first_idx: ask.first_idx.0,
            n: ask.n,
            state: self.known.take(),
            want_state,
        };
        let reply = tokio::time::timeout(TIMEOUT, self.client.ask(request)).await;
        let reply = reply.map_err(|_| Status::deadline_exceeded(format!("nothing within {TIMEOUT:?}")))?;
        let reply = reply?.into_inner();
        self.held = self.held.extend(&events);
        self.untold.drain(..known);
        if want_state {
            self.kept_at = n_told;
            self.learnt = reply.state.and_then(|state| self.of_state(state));
        }
        let suggestions: Result<Vec<Suggestion>, _> =
            reply.suggestions.iter().map(convert::suggestion_from_proto).collect();
        let rules = reply.rules.iter().map(convert::rule_from_proto).collect::<Result<_, _>>();
        match (suggestions, rules) {
            (Ok(suggestions), Ok(rules)) => {
                let exhausted = suggestions.len() < ask.n as usize;
                Ok(Answer { suggestions, rules, exhausted, settings: Vec::new() })
            }
            (Err(error), _) | (_, Err(error)) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    /// What was learnt, if it is of what the service holds and small enough to be kept.
    fn of_state(&self, state: wire::State) -> Option<Learnt> {
        let prefix = state.prefix.as_ref().map(convert::prefix_from_proto)?;
        let fits = prefix == self.held && state.learnt.len() <= MAX_LEARNT;
        fits.then(|| Learnt { by: self.by.clone(), prefix, state: state.learnt })
    }

    /// What is to become of trials that run, after everything that is recorded; `None` if nothing was told since that was
    /// last asked.
    pub(super) async fn decide(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
    ) -> Result<Option<Vec<Decision>>, AskError> {
        let all = snapshot.status.last_seq;
        if !self.in_step {
            self.load(store, snapshot, all, Use::History).await?;
        } else if self.untold.is_empty() && snapshot.decided_at.is_some_and(|at| at > 0) {
            return Ok(None);
        }
        match self.decide_once().await {
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.load(store, snapshot, all, Use::History).await?;
                Ok(Some(self.decide_once().await?))
            }
            decisions => Ok(Some(decisions?)),
        }
    }

    async fn decide_once(&mut self) -> Result<Vec<Decision>, Status> {
        let events: Vec<HistoryEvent> = self.untold.iter().flat_map(|untold| untold.told.clone()).collect();
        let request = wire::DecideRequest {
            study: Some(self.study.clone()),
            prefix: Some(convert::prefix_to_proto(&self.held)),
            events: events.iter().map(convert::event_to_proto).collect(),
        };
        let reply = tokio::time::timeout(TIMEOUT, self.client.decide(request)).await;
        let reply = reply.map_err(|_| Status::deadline_exceeded(format!("nothing within {TIMEOUT:?}")))?;
        let decisions = reply?.into_inner().decisions;
        self.held = self.held.extend(&events);
        self.untold.clear();
        Ok(decisions.iter().map(convert::decision_from_proto).collect())
    }

    /// Trials before the asked ones that had not ended when the question was written down, by number.
    fn running(&self, snapshot: &Snapshot, ask: AskRecord) -> Vec<Trial> {
        let active = snapshot.active.values().filter_map(|trial| {
            self.telling.trial(&Trial { idx: trial.idx, suggestion: trial.suggestion.clone() })
        });
        let later = self.untold.iter().filter(|untold| untold.seq > ask.history_seq);
        let ended_since = later.filter_map(|untold| untold.ended.clone());
        let mut running: Vec<Trial> =
            active.chain(ended_since).filter(|trial| trial.idx < ask.first_idx).collect();
        running.sort_by_key(|trial| trial.idx);
        running
    }

    /// Sends the whole history up to a number in the log, in chunks; or none of it, if what was learnt from its beginning is
    /// wanted and kept. Which of the two was done.
    async fn load(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        up_to: u64,
        wanted: Use,
    ) -> Result<Use, AskError> {
        let record = &snapshot.record;
        let version = record.version(record.earlier.len(), &snapshot.study);
        let telling = telling(store, record, version).await.map_err(AskError::Store)?;
        let kept = match wanted {
            Use::Kept => store.learnt(record.id).await.map_err(AskError::Store)?,
            Use::History => None,
        };
        let mut kept = kept.filter(|kept| kept.by == self.by);
        let mut known = None;
        let mut chunks = vec![wire::LoadRequest { study: Some(self.study.clone()), events: Vec::new() }];
        let (mut after, mut held, mut untold) = (0, Prefix::default(), VecDeque::new());
        loop {
            let page = store.events(record.id, after, CHUNK).await.map_err(AskError::Store)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let mut events = Vec::new();
            for stored in &page {
                if stored.seq > up_to || known.is_some() {
                    untold.extend(Untold::of(stored, &telling));
                    continue;
                }
                let told = stored.event.history(&telling);
                held = held.extend(&told);
                events.extend(told.iter().map(convert::event_to_proto));
                known = kept.take_if(|kept| kept.prefix == held);
            }
            if !events.is_empty() {
                chunks.push(wire::LoadRequest { study: None, events });
            }
        }
        let used = if known.is_some() { Use::Kept } else { Use::History };
        if let Some(kept) = known {
            self.kept_at = held.seq;
            let prefix = Some(convert::prefix_to_proto(&held));
            self.known = Some(wire::State { prefix, learnt: kept.state });
        } else {
            self.client.load(tokio_stream::iter(chunks)).await?;
            self.known = None;
        }
        (self.held, self.untold, self.telling, self.in_step) = (held, untold, telling, true);
        Ok(used)
    }
}

/// What a service is brought up to date with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// What was learnt and kept.
    Kept,
    /// The whole history.
    History,
}

/// An answer; a service that has no more to say is no failure.
fn answered(answer: Result<Answer, Status>) -> Result<Answer, AskError> {
    match answer {
        Err(status) if status.code() == Code::OutOfRange => {
            Ok(Answer { exhausted: true, ..Answer::default() })
        }
        answer => Ok(answer?),
    }
}
