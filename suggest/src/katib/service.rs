//! `api.v1.beta1.Suggestion` over the registry.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use proto::katib as wire;
use proto::katib::suggestion_server::Suggestion as Service;
use study::{Algorithm, Prefix, Study, Suggestion, Trial, TrialIdx, Value};
use tonic::{Request, Response, Status};

use super::convert::{self, Past};
use super::validate;
use crate::registry;
use crate::session::{self, Session, Sessions};

/// Most trials asked for at once.
const MAX_ASK: u64 = 100_000;

/// Katib's suggestion service for any number of experiments. Every question brings the whole history, so nothing is
/// held between two but what an algorithm that learns slowly has learnt. Cheap to clone; clones share that.
#[derive(Clone, Default)]
pub struct SuggestionService {
    sessions: Arc<Sessions>,
}

#[tonic::async_trait]
impl Service for SuggestionService {
    async fn get_suggestions(
        &self,
        request: Request<wire::GetSuggestionsRequest>,
    ) -> Result<Response<wire::GetSuggestionsReply>, Status> {
        // Reading costs no more than decoding did; only the algorithm is kept off the reactor.
        let question = Question::read(&request.into_inner())?;
        let sessions = Arc::clone(&self.sessions);
        tokio::task::spawn_blocking(move || question.reply(&sessions))
            .await
            .map_err(|error| Status::internal(format!("the algorithm broke off: {error}")))?
            .map(Response::new)
    }

    async fn validate_algorithm_settings(
        &self,
        request: Request<wire::ValidateAlgorithmSettingsRequest>,
    ) -> Result<Response<wire::ValidateAlgorithmSettingsReply>, Status> {
        let experiment = experiment(request.get_ref().experiment.as_ref())?;
        validate::experiment(experiment).map_err(Status::invalid_argument)?;
        let study = read_study(experiment)?;
        let look = move || {
            begin(&study)?;
            // The wire has no place for them.
            for warning in registry::warnings(&study) {
                tracing::warn!(experiment = study.name, warning);
            }
            Ok::<_, Status>(())
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|error| Status::internal(format!("the algorithm broke off: {error}")))??;
        Ok(Response::new(wire::ValidateAlgorithmSettingsReply {}))
    }
}

/// The numbers of the trials asked for. Who does not say how many there are in all has the known ones.
fn slots(request: &wire::GetSuggestionsRequest) -> Result<std::ops::Range<TrialIdx>, Status> {
    let n = u64::try_from(request.current_request_number).unwrap_or(0);
    if n > MAX_ASK {
        return Err(Status::invalid_argument(format!("{n} trials asked for at once; at most {MAX_ASK}")));
    }
    let before = i64::from(request.total_request_number) - i64::from(request.current_request_number);
    let first = u64::try_from(before).unwrap_or(request.trials.len() as u64);
    Ok(TrialIdx(first)..TrialIdx(first + n))
}

/// A question with all that is needed to answer it.
struct Question {
    study: Study,
    past: Past,
    slots: std::ops::Range<TrialIdx>,
}

impl Question {
    fn read(request: &wire::GetSuggestionsRequest) -> Result<Self, Status> {
        let experiment = experiment(request.experiment.as_ref())?;
        validate::is_built(experiment).map_err(Status::invalid_argument)?;
        let study = read_study(experiment)?;
        let slots = slots(request)?;
        // Trials of others may be more than were ever asked for here; their numbers must not be those of the slots.
        let known = request.trials.len() as u64;
        let first = if known <= slots.start.0 { 0 } else { slots.end.0 };
        Ok(Self { past: convert::past_from_proto(&study, &request.trials, first), slots, study })
    }

    fn reply(&self, sessions: &Sessions) -> Result<wire::GetSuggestionsReply, Status> {
        let suggestions = if registry::learns_slowly(&self.study) {
            let session = self.held(sessions)?;
            let session = session.lock().unwrap_or_else(PoisonError::into_inner);
            self.answer(&session)?
        } else {
            let mut session = begin(&self.study)?;
            // Without the names that sessions have for what they were told, which nobody asks for.
            session.engine.sampler.tell(&self.past.events);
            self.answer(&session)?
        };
        let points = suggestions.iter().map(|point| convert::suggestion_to_proto(&self.study.space, point));
        Ok(wire::GetSuggestionsReply {
            parameter_assignments: points.collect(),
            algorithm: None,
            early_stopping_rules: Vec::new(),
        })
    }

    /// The session of this study, told what it has not been told yet. One that was told anything else begins anew, so that
    /// the answer is the same whatever is held.
    fn held(&self, sessions: &Sessions) -> Result<Arc<Mutex<Session>>, Status> {
        let key = session::key(&crate::convert::study_to_proto(&self.study));
        let held = sessions.get(&key);
        sessions.remove(&key);
        let events = &self.past.events;
        // Whoever broke off in the middle of telling has left it out of the sessions.
        let known = held.and_then(|session| {
            let prefix = session.lock().ok()?.prefix();
            let told = events.get(..prefix.seq as usize)?;
            (Prefix::default().extend(told) == prefix).then_some((session, told.len()))
        });
        let (session, told) = match known {
            Some(known) => known,
            None => (Arc::new(Mutex::new(begin(&self.study)?)), 0),
        };
        session.lock().unwrap_or_else(PoisonError::into_inner).tell(&events[told..]);
        sessions.put(key, Arc::clone(&session), events.len() as u64);
        Ok(session)
    }

    /// Exactly as many suggestions as were asked for.
    ///
    /// Points of one answer differ while the space has others. An algorithm that has no more to say is helped out by
    /// chance, but for a grid that has been walked through: there is nothing left of what it was asked to do.
    fn answer(&self, session: &Session) -> Result<Vec<Suggestion>, Status> {
        let Session { engine, streams, .. } = session;
        let mut answer = engine.sampler.ask(self.slots.clone(), &self.past.running, streams);
        let wanted = (self.slots.end.0 - self.slots.start.0) as usize;
        if answer.is_empty() && wanted > 0 && self.study.algorithm.name == "grid" {
            return Err(Status::out_of_range("all combinations of the grid have been tried"));
        }
        let mut points = BTreeSet::new();
        // Two steps of one ladder may well stand at the same point.
        answer.retain(|suggestion| suggestion.fidelity.is_some() || points.insert(point(suggestion)));
        if answer.len() < wanted {
            answer.extend(self.by_chance(&answer)?);
        }
        if answer.len() == wanted {
            return Ok(answer);
        }
        Err(Status::internal("nothing can be drawn from the search space"))
    }

    /// Points by chance for the places that an answer leaves, others than its own and the tried ones while there are.
    fn by_chance(&self, answer: &[Suggestion]) -> Result<Vec<Suggestion>, Status> {
        let mut study = self.study.clone();
        study.algorithm = Algorithm { name: "random".into(), ..Algorithm::default() };
        let mut session = begin(&study)?;
        session.engine.sampler.tell(&self.past.events);
        let slots = (self.slots.start.0..).map(TrialIdx).zip(answer);
        let answered = slots.map(|(idx, suggestion)| Trial { idx, suggestion: suggestion.clone() });
        let running: Vec<Trial> = self.past.running.iter().cloned().chain(answered).collect();
        let open = TrialIdx(self.slots.start.0 + answer.len() as u64)..self.slots.end;
        Ok(session.engine.sampler.ask(open, &running, &session.streams))
    }
}

/// What makes two suggestions the same point.
fn point(suggestion: &Suggestion) -> Vec<(u8, u64)> {
    let bits = |value: &Option<Value>| match value {
        None => (0, 0),
        Some(Value::Float(x)) => (1, x.to_bits()),
        Some(Value::Int(x)) => (2, *x as u64),
        Some(Value::Choice(i)) => (3, *i as u64),
    };
    suggestion.assignment.0.iter().map(bits).collect()
}

fn experiment(experiment: Option<&wire::Experiment>) -> Result<&wire::Experiment, Status> {
    experiment.ok_or_else(|| Status::invalid_argument("request is empty"))
}

fn read_study(experiment: &wire::Experiment) -> Result<Study, Status> {
    convert::study_from_proto(experiment).map_err(|problems| Status::invalid_argument(problems.join("; ")))
}

fn begin(study: &Study) -> Result<Session, Status> {
    Session::new(study).map_err(|error| Status::invalid_argument(error.to_string()))
}

#[cfg(test)]
mod tests;
