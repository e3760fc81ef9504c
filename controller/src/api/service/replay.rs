//! Replaying: the recorded questions are asked again, each with exactly the history it was asked with.

use std::collections::BTreeMap;

use ::study::{HistoryEvent, Prefix, Trial, TrialIdx};
use controller_core::experiment::ExperimentRecord;
use controller_core::ports::TrialQuery;
use controller_core::trial::Origin;
use proto::cairn as wire;
use suggest::convert;

use super::error::{ApiError, Code};
use super::{find, search};
use crate::api::Api;
use crate::api::types::Replay;

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
    let study = search::study(&record)?;
    let log = Log::read(api, &record).await?;
    let mut client = search::client(api);
    let study_again = search::told(&study, "replay");
    let (mut result, mut held, mut told) = (Replay::default(), Prefix::default(), 0);
    client
        .load(tokio_stream::iter([wire::LoadRequest {
            study: Some(study_again.clone()),
            events: Vec::new(),
        }]))
        .await
        .map_err(search::failed)?;
    for ask in api.world.store.asks(record.id, TrialIdx(0)).await? {
        let known = log.events.partition_point(|(seq, _)| *seq <= ask.history_seq);
        let events: Vec<HistoryEvent> =
            log.events[told.min(known)..known].iter().flat_map(|(_, e)| e.clone()).collect();
        told = told.max(known);
        let running = log.running(ask.first_idx, ask.history_seq);
        let request = wire::AskRequest {
            study: Some(study_again.clone()),
            prefix: Some(convert::prefix_to_proto(&held)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: running.iter().map(convert::trial_to_proto).collect(),
            first_idx: ask.first_idx.0,
            n: ask.n,
        };
        let reply = client.ask(request).await.map_err(search::failed)?.into_inner();
        held = held.extend(&events);
        for (i, suggestion) in reply.suggestions.iter().enumerate() {
            let idx = TrialIdx(ask.first_idx.0 + i as u64);
            let Some(then) = log.searched.get(&idx) else { continue };
            let again = convert::suggestion_from_proto(suggestion)
                .map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
            result.asked += 1;
            if again.assignment == then.suggestion.assignment {
                result.same += 1;
            } else if result.differences.len() < MAX_TOLD {
                let show = |a: &::study::Assignment| {
                    let texts = study.space.texts(a);
                    texts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
                };
                result.differences.push(format!(
                    "trial {}: then {}; now {}",
                    idx.0,
                    show(&then.suggestion.assignment),
                    show(&again.assignment)
                ));
            }
        }
    }
    Ok(result)
}

/// What the store knows of the search.
struct Log {
    /// What was told to the algorithm, with the numbers of the events.
    events: Vec<(u64, Vec<HistoryEvent>)>,
    /// Number of the event with which each trial ended.
    ended: BTreeMap<TrialIdx, u64>,
    /// All trials.
    trials: BTreeMap<TrialIdx, Trial>,
    /// Trials that the algorithm proposed.
    searched: BTreeMap<TrialIdx, Trial>,
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
            let seen = Trial { idx: trial.idx, suggestion: trial.suggestion };
            if trial.origin == Origin::Search {
                log.searched.insert(seen.idx, seen.clone());
            }
            log.trials.insert(seen.idx, seen);
        }
        let mut after = 0;
        loop {
            let page = api.world.store.events(record.id, after, 1000).await?;
            let Some(last) = page.last() else { return Ok(log) };
            after = last.seq;
            for stored in &page {
                let told = stored.event.history();
                if told.is_empty() {
                    continue;
                }
                if let Some(trial) = stored.event.trial() {
                    log.ended.insert(trial, stored.seq);
                }
                log.events.push((stored.seq, told));
            }
        }
    }

    /// Trials before `first` that had not ended at `seq`, by number.
    fn running(&self, first: TrialIdx, seq: u64) -> Vec<Trial> {
        let before = self.trials.range(..first).map(|(_, trial)| trial);
        before.filter(|trial| self.ended.get(&trial.idx).is_none_or(|ended| *ended > seq)).cloned().collect()
    }
}
