//! Katib's wire: every question brings the experiment and all its trials, to somebody else's service.
//!
//! The wire carries no seed and no number of a trial, and what the service remembers is its own. So of the laws of
//! exactness only the question is kept here: asked again after a crash it is the same to the letter, its history as of
//! the moment at which it was written down. Whether the answer is, the service decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::ExperimentId;
use controller_core::plan::{Answer, Snapshot};
use controller_core::ports::{AskRecord, Store, TrialQuery};
use controller_core::spec::{AlgorithmSpec, ExperimentSpec, Setting};
use controller_core::trial::{TrialRecord, TrialState};
use proto::katib as wire;
use proto::katib::suggestion_client::SuggestionClient;
use study::{Decision, Study, TrialIdx};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tracing::warn;

use super::convert::{experiment_to_proto, suggestion_from_proto, trial_to_proto};
use super::{AskError, MAX_MESSAGE, TIMEOUT, search};
use crate::world::World;

/// Longest time to reach a service.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time that it may take to look at settings.
const LOOK: Duration = Duration::from_mins(1);

/// Somebody else's service, and what it is shown of one study.
pub(in crate::driver) struct Asker {
    client: Result<SuggestionClient<Channel>, Status>,
    study: Study,
    /// Who stops trials early, if anybody does: rules are Cairn's own, whoever proposes the points.
    rules: Option<search::Asker>,
    /// Whether the service has accepted the settings.
    is_valid: bool,
    /// Trials that have ended, as far as they have been read.
    ended: BTreeMap<TrialIdx, TrialRecord>,
    /// Numbers of those that have ended since; `None` before any were read.
    ended_since: Option<BTreeSet<TrialIdx>>,
}

impl Asker {
    pub(super) fn new(world: &World, endpoint: &str, study: &Study) -> Self {
        let mut judged = study.clone();
        judged.algorithm = study::Algorithm { name: "random".into(), ..Default::default() };
        Self {
            client: dial(endpoint),
            rules: study.early_stopping.is_some().then(|| search::Asker::new(world, &judged)),
            study: study.clone(),
            is_valid: false,
            ended: BTreeMap::new(),
            ended_since: None,
        }
    }

    /// The log has grown.
    pub(super) fn heard(&mut self, events: &[StoredEvent]) {
        if let Some(rules) = &mut self.rules {
            rules.heard(events);
        }
        if let Some(since) = &mut self.ended_since {
            since.extend(events.iter().filter_map(|stored| end_of(&stored.event)));
        }
    }

    pub(super) async fn ask(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<Answer, AskError> {
        let record = &snapshot.record;
        let client = self.client.as_mut().map_err(|status| status.clone())?;
        if !self.is_valid {
            validate(client, &record.name, &record.spec).await?;
            self.is_valid = true;
        }
        let experiment = experiment_to_proto(&record.name, &record.spec, &snapshot.status.algorithm_settings);
        let trials = self.trials(store, snapshot, ask).await?;
        let reply = self.suggestions(experiment, trials, ask).await;
        let mut answer = match reply {
            Err(status) if status.code() == Code::OutOfRange => {
                return Ok(Answer { exhausted: true, ..Answer::default() });
            }
            reply => self.read(&reply?, snapshot, ask)?,
        };
        if let Some(rules) = &mut self.rules {
            answer.rules = rules.ask(store, snapshot, AskRecord { n: 0, ..ask }).await?.rules;
        }
        Ok(answer)
    }

    /// What becomes of trials that run is Cairn's own to decide.
    pub(super) async fn decide(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
    ) -> Result<Option<Vec<Decision>>, AskError> {
        match &mut self.rules {
            Some(rules) => rules.decide(store, snapshot).await,
            None => Ok(None),
        }
    }

    async fn suggestions(
        &mut self,
        experiment: wire::Experiment,
        trials: Vec<wire::Trial>,
        ask: AskRecord,
    ) -> Result<wire::GetSuggestionsReply, Status> {
        let total = ask.first_idx.0 + u64::from(ask.n);
        let mut request = Request::new(wire::GetSuggestionsRequest {
            experiment: Some(experiment),
            trials,
            current_request_number: i32::try_from(ask.n).unwrap_or(i32::MAX),
            total_request_number: i32::try_from(total).unwrap_or(i32::MAX),
        });
        request.set_timeout(TIMEOUT);
        let client = self.client.as_mut().map_err(|status| status.clone())?;
        Ok(client.get_suggestions(request).await?.into_inner())
    }

    /// What the service has answered. Fewer suggestions than were asked for are taken, and the rest asked for anew.
    fn read(
        &self,
        reply: &wire::GetSuggestionsReply,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<Answer, AskError> {
        let (came, wanted) = (reply.parameter_assignments.len(), ask.n as usize);
        if came == 0 && wanted > 0 {
            return Err(AskError::Later(Status::unavailable("it has answered without a suggestion")));
        }
        if came != wanted {
            warn!(came, wanted, "the suggestion service has answered with another number of suggestions");
        }
        let by = &self.study.algorithm.name;
        let came = reply.parameter_assignments.iter().take(wanted);
        let suggestions = came.map(|point| suggestion_from_proto(&snapshot.study.space, by, point));
        let suggestions = suggestions.collect::<Result<Vec<_>, _>>().map_err(Status::invalid_argument)?;
        let settings =
            reply.algorithm.iter().flat_map(|algorithm| algorithm.algorithm_settings.iter().cloned());
        let settings = settings.map(|wire::AlgorithmSetting { name, value }| Setting { name, value });
        Ok(Answer { suggestions, rules: Vec::new(), exhausted: false, settings: settings.collect() })
    }

    /// All trials before the asked ones, as they stood when the question was written down, by number.
    async fn trials(
        &mut self,
        store: &dyn Store,
        snapshot: &Snapshot,
        ask: AskRecord,
    ) -> Result<Vec<wire::Trial>, AskError> {
        let id = snapshot.record.id;
        self.catch_up(store, id).await.map_err(AskError::Store)?;
        let later = store.events(id, ask.history_seq, 0).await.map_err(AskError::Store)?;
        let ended_later: BTreeSet<TrialIdx> =
            later.iter().filter_map(|stored| end_of(&stored.event)).collect();
        let objective = snapshot.record.spec.objective();
        let ended = self.ended.values().map(|trial| (trial, !ended_later.contains(&trial.idx)));
        let active = snapshot.active.values().map(|trial| (trial, false));
        let mut seen: Vec<(&TrialRecord, bool)> =
            ended.chain(active).filter(|(trial, _)| trial.idx < ask.first_idx).collect();
        seen.sort_by_key(|(trial, _)| trial.idx);
        Ok(seen.into_iter().filter_map(|(trial, ended)| trial_to_proto(trial, ended, &objective)).collect())
    }

    /// Reads the trials that have ended and are not known yet.
    async fn catch_up(
        &mut self,
        store: &dyn Store,
        id: ExperimentId,
    ) -> Result<(), controller_core::ports::StoreError> {
        match &mut self.ended_since {
            None => {
                let states = TrialState::ALL.into_iter().filter(|state| state.is_final()).collect();
                let query = TrialQuery { states, ..TrialQuery::default() };
                let all = store.trials(id, &query).await?.items;
                self.ended.extend(all.into_iter().map(|trial| (trial.idx, trial)));
                self.ended_since = Some(BTreeSet::new());
            }
            Some(since) => {
                while let Some(idx) = since.first().copied() {
                    let trial = store.trial(id, idx).await?;
                    self.ended.extend(trial.map(|trial| (idx, trial)));
                    since.remove(&idx);
                }
            }
        }
        Ok(())
    }
}

/// The trial whose end this is.
fn end_of(event: &Event) -> Option<TrialIdx> {
    match event {
        Event::TrialEnded { trial, .. } => Some(trial.idx),
        _ => None,
    }
}

fn dial(endpoint: &str) -> Result<SuggestionClient<Channel>, Status> {
    let address = Endpoint::from_shared(format!("http://{endpoint}"));
    let address = address.map_err(|_| Status::invalid_argument(format!("`{endpoint}` is no host:port")))?;
    let client = SuggestionClient::new(address.connect_timeout(CONNECT).connect_lazy());
    Ok(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
}

/// Asks the service whether it takes the experiment. What a controller of Katib takes for consent is consent.
async fn validate(
    client: &mut SuggestionClient<Channel>,
    name: &str,
    spec: &ExperimentSpec,
) -> Result<(), AskError> {
    let experiment = Some(experiment_to_proto(name, spec, &[]));
    let mut request = Request::new(wire::ValidateAlgorithmSettingsRequest { experiment });
    request.set_timeout(LOOK);
    match client.validate_algorithm_settings(request).await {
        Ok(_) => Ok(()),
        Err(status) => match status.code() {
            Code::InvalidArgument | Code::Unknown => Err(AskError::Never(status)),
            Code::Unavailable => Err(AskError::Later(status)),
            _ => Ok(()),
        },
    }
}

/// Why the service at the endpoint of an algorithm refuses an experiment, if it does.
///
/// # Errors
/// If it cannot be reached.
pub(crate) async fn refusal(
    algorithm: &AlgorithmSpec,
    name: &str,
    spec: &ExperimentSpec,
) -> Result<Option<String>, Status> {
    let mut client = dial(algorithm.endpoint.as_deref().unwrap_or_default())?;
    match validate(&mut client, name, spec).await {
        Ok(()) | Err(AskError::Store(_)) => Ok(None),
        Err(AskError::Never(status)) => Ok(Some(status.message().to_owned())),
        Err(AskError::Later(status)) => Err(status),
    }
}
