//! Replaying: the recorded questions are asked again, each with exactly the history it was asked with.

use std::collections::BTreeMap;

use ::study::{HistoryEvent, Prefix, Study, Suggestion, Trial, TrialIdx};
use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{AskRecord, TrialQuery};
use controller_core::telling::{Telling, Version};
use controller_core::trial::Origin;
use proto::cairn as wire;
use proto::cairn::search_client::SearchClient;
use suggest::{SearchLine, convert};

use super::error::{ApiError, Code};
use super::{find, search};
use crate::api::Api;
use crate::api::types::Replay;
use crate::driver;

/// Most differences told.
const MAX_TOLD: usize = 20;

/// Asks everything again and compares with what was suggested then.
pub(crate) async fn replay(api: &Api, namespace: &str, name: &str) -> Result<Replay, ApiError> {
    let record = find(api, namespace, name).await?;
    if record.spec.algorithm.as_ref().is_some_and(|algorithm| algorithm.endpoint.is_some()) {
        let message = format!(
            "the points of `{name}` came from somebody else's service, which Cairn cannot ask as it was then"
        );
        return Err(ApiError::invalid(message));
    }
    let current = search::study(&record)?;
    let log = Log::read(api, &record).await?;
    let mut client = search::client(api);
    let build = suggest::build();
    let status = api.world.store.status(record.id).await?;
    let mut result = Replay { build: build.clone(), ..Replay::default() };
    for then in status.builds.into_iter().map(|then| then.name) {
        if then != build && !result.other_builds.contains(&then) {
            result.other_builds.push(then);
        }
    }
    let mut session: Option<(usize, Session<'_>)> = None;
    for ask in api.world.store.asks(record.id, TrialIdx(0)).await? {
        let number = record.version_at(ask.history_seq);
        let mut now = match session.take() {
            Some((same, session)) if same == number => session,
            // Each study of an experiment that was edited is asked what it was asked, with its own history.
            _ => Session::begin(api, &record, record.version(number, &current), &mut client).await?,
        };
        let suggestions = now.ask(&mut client, &log, ask).await?;
        for (i, again) in suggestions.iter().enumerate() {
            let idx = TrialIdx(ask.first_idx.0 + i as u64);
            let Some(then) = log.searched.get(&idx) else { continue };
            let again = now.study.space.texts(&again.assignment);
            result.asked += 1;
            if again == *then {
                result.same += 1;
            } else if result.differences.len() < MAX_TOLD {
                let show = |texts: &[(String, String)]| {
                    texts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
                };
                result.differences.push(format!(
                    "trial {}: then {}; now {}",
                    idx.0,
                    show(then),
                    show(&again)
                ));
            }
        }
        session = Some((number, now));
    }
    Ok(result)
}

/// One study of the experiment at the service, asked once more.
struct Session<'a> {
    study: &'a Study,
    wire: wire::Study,
    telling: Telling,
    held: Prefix,
    /// How many events of the log it has been told.
    told: usize,
}

impl<'a> Session<'a> {
    async fn begin(
        api: &Api,
        record: &ExperimentRecord,
        version: Version<'a>,
        client: &mut SearchClient<SearchLine>,
    ) -> Result<Self, ApiError> {
        let telling = driver::telling(&*api.world.store, record, version).await?;
        let wire = search::told(version.study, "replay");
        let nothing = wire::LoadRequest { study: Some(wire.clone()), events: Vec::new() };
        client.load(tokio_stream::iter([nothing])).await.map_err(search::failed)?;
        Ok(Self { study: version.study, wire, telling, held: Prefix::default(), told: 0 })
    }

    async fn ask(
        &mut self,
        client: &mut SearchClient<SearchLine>,
        log: &Log,
        ask: AskRecord,
    ) -> Result<Vec<Suggestion>, ApiError> {
        let known = log.events.partition_point(|stored| stored.seq <= ask.history_seq);
        let new = &log.events[self.told.min(known)..known];
        let events: Vec<HistoryEvent> =
            new.iter().flat_map(|stored| stored.event.history(&self.telling)).collect();
        self.told = self.told.max(known);
        let running = log.running(ask.first_idx, ask.history_seq);
        let running = running.filter_map(|trial| self.telling.trial(trial));
        let request = wire::AskRequest {
            study: Some(self.wire.clone()),
            prefix: Some(convert::prefix_to_proto(&self.held)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: running.map(|trial| convert::trial_to_proto(&trial)).collect(),
            first_idx: ask.first_idx.0,
            n: ask.n,
            ..wire::AskRequest::default()
        };
        let reply = client.ask(request).await.map_err(search::failed)?.into_inner();
        self.held = self.held.extend(&events);
        let suggestions = reply.suggestions.iter().map(convert::suggestion_from_proto);
        suggestions
            .collect::<Result<_, _>>()
            .map_err(|error| ApiError::new(Code::Internal, error.to_string()))
    }
}

/// What the store knows of the search.
struct Log {
    /// What happened to trials, in its order.
    events: Vec<StoredEvent>,
    /// Number of the event with which each trial ended.
    ended: BTreeMap<TrialIdx, u64>,
    /// All trials.
    trials: BTreeMap<TrialIdx, Trial>,
    /// Points of the trials that the algorithm proposed.
    searched: BTreeMap<TrialIdx, Vec<(String, String)>>,
}

impl Log {
    async fn read(api: &Api, record: &ExperimentRecord) -> Result<Self, ApiError> {
        let mut log = Self {
            events: Vec::new(),
            ended: BTreeMap::new(),
            trials: BTreeMap::new(),
            searched: BTreeMap::new(),
        };
        for trial in api.world.store.trials(record.id, &TrialQuery::default()).await?.items {
            if trial.origin == Origin::Search {
                log.searched.insert(trial.idx, trial.assignments);
            }
            log.trials.insert(trial.idx, Trial { idx: trial.idx, suggestion: trial.suggestion });
        }
        let mut after = 0;
        loop {
            let page = api.world.store.events(record.id, after, 1000).await?;
            let Some(last) = page.last() else { return Ok(log) };
            after = last.seq;
            for stored in page {
                if let Event::TrialEnded { trial, .. } = &stored.event {
                    log.ended.insert(trial.idx, stored.seq);
                }
                if stored.event.trial().is_some() {
                    log.events.push(stored);
                }
            }
        }
    }

    /// Trials before `first` that had not ended at `seq`, by number.
    fn running(&self, first: TrialIdx, seq: u64) -> impl Iterator<Item = &Trial> {
        let before = self.trials.range(..first).map(|(_, trial)| trial);
        before.filter(move |trial| self.ended.get(&trial.idx).is_none_or(|ended| *ended > seq))
    }
}
