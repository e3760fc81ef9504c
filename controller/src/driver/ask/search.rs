//! Cairn's own wire: what has happened since the last question, and the question.

use std::collections::VecDeque;

use controller_core::event::{Event, StoredEvent};
use controller_core::plan::{Answer, Snapshot};
use controller_core::ports::{AskRecord, Store};
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
            study,
            held: Prefix::default(),
            untold: VecDeque::new(),
            telling: Telling::default(),
            in_step: false,
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
        if !self.in_step {
            self.load(store, snapshot, ask.history_seq).await?;
        }
        match self.ask_once(snapshot, ask).await {
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.load(store, snapshot, ask.history_seq).await?;
                Ok(self.ask_once(snapshot, ask).await?)
            }
            Err(status) if status.code() == Code::OutOfRange => {
                Ok(Answer { exhausted: true, ..Answer::default() })
            }
            answer => Ok(answer?),
        }
    }

    async fn ask_once(&mut self, snapshot: &Snapshot, ask: AskRecord) -> Result<Answer, Status> {
        let known = self.untold.partition_point(|untold| untold.seq <= ask.history_seq);
        let events: Vec<HistoryEvent> =
            self.untold.iter().take(known).flat_map(|untold| untold.told.clone()).collect();
        let running = self.running(snapshot, ask);
        let request = wire::AskRequest {
            study: Some(self.study.clone()),
            prefix: Some(convert::prefix_to_proto(&self.held)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: running.iter().map(convert::trial_to_proto).collect(),
            first_idx: ask.first_idx.0,
            n: ask.n,
            ..wire::AskRequest::default()
        };
        let reply = tokio::time::timeout(TIMEOUT, self.client.ask(request)).await;
        let reply = reply.map_err(|_| Status::deadline_exceeded(format!("nothing within {TIMEOUT:?}")))?;
        let reply = reply?.into_inner();
        self.held = self.held.extend(&events);
        self.untold.drain(..known);
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

    /// What is to become of trials that run, after everything that is recorded; `None` if nothing was told since that was
    /// last asked.
    pub(super) async fn decide(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
    ) -> Result<Option<Vec<Decision>>, AskError> {
        let all = snapshot.status.last_seq;
        if !self.in_step {
            self.load(store, snapshot, all).await?;
        } else if self.untold.is_empty() && snapshot.decided_at.is_some_and(|at| at > 0) {
            return Ok(None);
        }
        match self.decide_once().await {
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.load(store, snapshot, all).await?;
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

    /// Sends the whole history up to a number in the log, in chunks.
    async fn load(&mut self, store: &dyn Store, snapshot: &Snapshot, up_to: u64) -> Result<(), AskError> {
        let record = &snapshot.record;
        let version = record.version(record.earlier.len(), &snapshot.study);
        let telling = telling(store, record, version).await.map_err(AskError::Store)?;
        let mut chunks = vec![wire::LoadRequest { study: Some(self.study.clone()), events: Vec::new() }];
        let (mut after, mut held, mut untold) = (0, Prefix::default(), VecDeque::new());
        loop {
            let page = store.events(record.id, after, CHUNK).await.map_err(AskError::Store)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let (told, later): (Vec<_>, Vec<_>) = page.iter().partition(|stored| stored.seq <= up_to);
            let told: Vec<HistoryEvent> =
                told.iter().flat_map(|stored| stored.event.history(&telling)).collect();
            held = held.extend(&told);
            if !told.is_empty() {
                let events = told.iter().map(convert::event_to_proto).collect();
                chunks.push(wire::LoadRequest { study: None, events });
            }
            untold.extend(later.iter().filter_map(|stored| Untold::of(stored, &telling)));
        }
        self.client.load(tokio_stream::iter(chunks)).await?;
        (self.held, self.untold, self.telling, self.in_step) = (held, untold, telling, true);
        Ok(())
    }
}
