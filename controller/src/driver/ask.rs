//! Asking the suggestion service, with exactly the history that was written down beside the question.

use std::collections::VecDeque;
use std::time::Duration;

use controller_core::event::StoredEvent;
use controller_core::experiment::ExperimentId;
use controller_core::plan::{Action, Effect, effects};
use controller_core::plan::{Reached, Snapshot};
use controller_core::ports::{AskRecord, Batch, Store};
use proto::cairn as wire;
use proto::cairn::search_client::SearchClient;
use study::{HistoryEvent, Prefix, Suggestion, Trial};
use suggest::convert;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::warn;

use super::{Driver, DriverError};
use crate::world::World;

/// Longest time that one question may take.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Events read from the store, and sent, at once.
const CHUNK: u64 = 1000;
/// Waits between questions that fail: first and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Largest answer or question in bytes.
const MAX_MESSAGE: usize = 256 << 20;

/// What is known of the suggestion service's side of one study.
pub(super) struct Asker {
    client: SearchClient<Channel>,
    study: wire::Study,
    /// What the service holds, as far as we know.
    held: Prefix,
    /// Events that the service has not been told, with their number in the log; from `told` on.
    untold: VecDeque<(u64, Vec<HistoryEvent>)>,
    /// Whether `untold` goes on where `held` ends.
    in_step: bool,
}

/// Why a question was not answered.
enum AskError {
    /// Asking again later may help.
    Later(Status),
    /// It never will.
    Never(Status),
    /// The store failed.
    Store(DriverError),
}

impl From<Status> for AskError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::InvalidArgument | Code::Unimplemented | Code::NotFound | Code::PermissionDenied => {
                Self::Never(status)
            }
            _ => Self::Later(status),
        }
    }
}

impl Asker {
    pub(super) fn new(world: &World, study: &study::Study) -> Self {
        let client = SearchClient::new(world.search.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let study = convert::study_to_proto(study);
        Self { client, study, held: Prefix::default(), untold: VecDeque::new(), in_step: false }
    }

    /// The study is another, such as by its budget: the service does not know it.
    pub(super) fn asks_for(&mut self, study: &study::Study) {
        self.study = convert::study_to_proto(study);
        self.in_step = false;
    }

    /// The log has grown.
    pub(super) fn heard(&mut self, events: &[StoredEvent]) {
        if self.in_step {
            self.untold.extend(events.iter().map(|stored| (stored.seq, stored.event.history())));
            self.untold.retain(|(_, told)| !told.is_empty());
        }
    }

    async fn ask(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<(Vec<Suggestion>, Vec<study::Rule>), AskError> {
        if !self.in_step {
            self.load(store, snapshot.record.id, ask.history_seq).await?;
        }
        match self.ask_once(snapshot, ask).await {
            Err(status) if status.code() == Code::FailedPrecondition => {
                self.load(store, snapshot.record.id, ask.history_seq).await?;
                Ok(self.ask_once(snapshot, ask).await?)
            }
            Err(status) if status.code() == Code::OutOfRange => Ok((Vec::new(), Vec::new())),
            answer => Ok(answer?),
        }
    }

    async fn ask_once(
        &mut self,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<(Vec<Suggestion>, Vec<study::Rule>), Status> {
        let known = self.untold.partition_point(|(seq, _)| *seq <= ask.history_seq);
        let events: Vec<HistoryEvent> =
            self.untold.iter().take(known).flat_map(|(_, told)| told.clone()).collect();
        let running = self.running(snapshot, ask);
        let mut request = tonic::Request::new(wire::AskRequest {
            study: Some(self.study.clone()),
            prefix: Some(convert::prefix_to_proto(&self.held)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: running.iter().map(convert::trial_to_proto).collect(),
            first_idx: ask.first_idx.0,
            n: ask.n,
        });
        request.set_timeout(TIMEOUT);
        let reply = self.client.ask(request).await?.into_inner();
        self.held = self.held.extend(&events);
        self.untold.drain(..known);
        let suggestions =
            reply.suggestions.iter().map(convert::suggestion_from_proto).collect::<Result<_, _>>();
        let rules = reply.rules.iter().map(convert::rule_from_proto).collect::<Result<_, _>>();
        match (suggestions, rules) {
            (Ok(suggestions), Ok(rules)) => Ok((suggestions, rules)),
            (Err(error), _) | (_, Err(error)) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    /// Trials before the asked ones that had not ended when the question was written down, by number.
    fn running(&self, snapshot: &Snapshot, ask: AskRecord) -> Vec<Trial> {
        let active = snapshot
            .active
            .values()
            .map(|trial| Trial { idx: trial.idx, suggestion: trial.suggestion.clone() });
        let later = self.untold.iter().filter(|(seq, _)| *seq > ask.history_seq).flat_map(|(_, told)| told);
        let ended_since = later.filter_map(|event| match event {
            HistoryEvent::Started(trial) => Some(trial.clone()),
            _ => None,
        });
        let mut running: Vec<Trial> =
            active.chain(ended_since).filter(|trial| trial.idx < ask.first_idx).collect();
        running.sort_by_key(|trial| trial.idx);
        running
    }

    /// Sends the whole history up to a number in the log, in chunks.
    async fn load(&mut self, store: &dyn Store, id: ExperimentId, up_to: u64) -> Result<(), AskError> {
        let mut chunks = vec![wire::LoadRequest { study: Some(self.study.clone()), events: Vec::new() }];
        let (mut after, mut held, mut untold) = (0, Prefix::default(), VecDeque::new());
        loop {
            let page = store.events(id, after, CHUNK).await.map_err(|error| AskError::Store(error.into()))?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            let (told, later): (Vec<_>, Vec<_>) = page.iter().partition(|stored| stored.seq <= up_to);
            let told: Vec<HistoryEvent> = told.iter().flat_map(|stored| stored.event.history()).collect();
            held = held.extend(&told);
            if !told.is_empty() {
                let events = told.iter().map(convert::event_to_proto).collect();
                chunks.push(wire::LoadRequest { study: None, events });
            }
            untold.extend(later.iter().map(|stored| (stored.seq, stored.event.history())));
        }
        untold.retain(|(_, told): &(u64, Vec<HistoryEvent>)| !told.is_empty());
        self.client.load(tokio_stream::iter(chunks)).await?;
        (self.held, self.untold, self.in_step) = (held, untold, true);
        Ok(())
    }
}

impl Driver<'_> {
    /// Puts all open questions, oldest first; the snapshot with the answers, which go into the batch.
    pub(super) async fn ask(&mut self, batch: &mut Batch) -> Result<Snapshot, DriverError> {
        let mut next = self.snapshot.clone();
        if self.ask_again.is_some_and(|(at, _)| Instant::now() < at) {
            return Ok(next);
        }
        let asks = effects(&self.snapshot).into_iter().filter_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask),
            _ => None,
        });
        for ask in asks {
            if !next.asks.contains(&ask) {
                break;
            }
            let answer = self.asker.ask(&*self.world.store, &next, ask).await;
            let now = self.world.clock.now();
            match answer {
                Ok((suggestions, rules)) => {
                    self.ask_again = None;
                    next.status.waiting.clear();
                    next.answer(now, ask, suggestions, &rules, batch);
                }
                Err(AskError::Store(error)) => return Err(error),
                Err(AskError::Never(status)) => {
                    let message = format!("Suggestion has failed: {}", status.message());
                    let reached = Reached { success: false, reason: "ExperimentFailed", message };
                    next.apply(now, Action::Complete(reached), batch);
                    break;
                }
                Err(AskError::Later(status)) => {
                    let wait = self.ask_again.map_or(BACK_OFF.0, |(_, wait)| (wait * 2).min(BACK_OFF.1));
                    warn!(code = ?status.code(), message = status.message(), "the suggestion service did not answer");
                    let waiting = format!("the suggestion service did not answer: {}", status.message());
                    if next.status.waiting != waiting {
                        next.status.waiting = waiting;
                        batch.status = Some(next.status.clone());
                    }
                    self.ask_again = Some((Instant::now() + wait, wait));
                    break;
                }
            }
        }
        Ok(next)
    }
}
