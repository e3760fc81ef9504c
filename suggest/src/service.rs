//! `cairn.v1.Search` over the registry.

use std::sync::{Arc, Mutex};

use algorithms::Prediction;
use proto::cairn as wire;
use proto::cairn::search_server::Search;
use study::{HistoryEvent, Prefix, Study, TrialIdx};
use tonic::{Request, Response, Status, Streaming};

use crate::convert::{self, ConvertError};
use crate::registry;
use crate::session::{self, Key, Session, Sessions};

/// Most trials asked for at once.
const MAX_ASK: u32 = 100_000;

/// The search engine's service. Cheap to clone; clones share their sessions.
#[derive(Clone, Default)]
pub struct SearchService {
    sessions: Arc<Sessions>,
}

#[tonic::async_trait]
impl Search for SearchService {
    async fn validate(
        &self,
        request: Request<wire::ValidateRequest>,
    ) -> Result<Response<wire::ValidateReply>, Status> {
        let (study, _) = read_study(request.into_inner().study)?;
        let warnings = off_the_reactor(move || {
            Session::new(&study).map_err(|error| invalid(&error))?;
            Ok(registry::warnings(&study))
        });
        Ok(Response::new(wire::ValidateReply { warnings: warnings.await? }))
    }

    async fn load(
        &self,
        request: Request<Streaming<wire::LoadRequest>>,
    ) -> Result<Response<wire::LoadReply>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.ok_or_else(|| Status::invalid_argument("nothing was sent"))?;
        let (study, key) = read_study(first.study)?;
        let events = read_events(&first.events)?;
        let begin = move || {
            let mut session = Session::new(&study).map_err(|error| invalid(&error))?;
            session.tell(&events);
            Ok(session)
        };
        let mut session = off_the_reactor(begin).await?;
        while let Some(chunk) = chunks.message().await? {
            let events = read_events(&chunk.events)?;
            let tell = move || {
                session.tell(&events);
                Ok(session)
            };
            session = off_the_reactor(tell).await?;
        }
        let prefix = session.prefix();
        self.sessions.put(key, Arc::new(Mutex::new(session)), prefix.seq);
        Ok(Response::new(wire::LoadReply { prefix: Some(convert::prefix_to_proto(&prefix)) }))
    }

    async fn ask(&self, request: Request<wire::AskRequest>) -> Result<Response<wire::AskReply>, Status> {
        let request = request.into_inner();
        let (study, key) = read_study(request.study)?;
        if request.n > MAX_ASK {
            return Err(Status::invalid_argument(format!(
                "{} trials asked for at once; at most {MAX_ASK}",
                request.n
            )));
        }
        let events = read_events(&request.events)?;
        let running: Result<Vec<_>, _> = request.running.iter().map(convert::trial_from_proto).collect();
        let running = running.map_err(|error| invalid(&error))?;
        let want_state = request.want_state;
        let slots = TrialIdx(request.first_idx)..TrialIdx(request.first_idx.saturating_add(request.n.into()));
        let answer = move |session: &Session| {
            let suggestions = session.engine.sampler.ask(slots, &running, &session.streams);
            let rules =
                session.engine.scheduler.as_ref().map(|scheduler| scheduler.rules()).unwrap_or_default();
            wire::AskReply {
                suggestions: suggestions.iter().map(convert::suggestion_to_proto).collect(),
                rules: rules.iter().map(convert::rule_to_proto).collect(),
                prefix: Some(convert::prefix_to_proto(&session.prefix())),
                state: if want_state { learnt(session) } else { None },
            }
        };
        self.with_session(study, key, request.prefix, request.state, events, answer).await
    }

    async fn decide(
        &self,
        request: Request<wire::DecideRequest>,
    ) -> Result<Response<wire::DecideReply>, Status> {
        let request = request.into_inner();
        let (study, key) = read_study(request.study)?;
        let events = read_events(&request.events)?;
        let answer = |session: &Session| {
            let scheduler = session.engine.scheduler.as_ref();
            let decisions = scheduler.map(|scheduler| scheduler.decide(&session.streams)).unwrap_or_default();
            wire::DecideReply {
                decisions: decisions.iter().map(convert::decision_to_proto).collect(),
                prefix: Some(convert::prefix_to_proto(&session.prefix())),
            }
        };
        self.with_session(study, key, request.prefix, None, events, answer).await
    }

    async fn predict(
        &self,
        request: Request<wire::PredictRequest>,
    ) -> Result<Response<wire::PredictReply>, Status> {
        let request = request.into_inner();
        let (study, key) = read_study(request.study)?;
        let events = read_events(&request.events)?;
        let points = request.points.iter().map(|point| convert::assignment_from_proto(&point.values));
        let points = points.collect::<Result<Vec<_>, _>>().map_err(|error| invalid(&error))?;
        if points.iter().any(|point| point.0.len() != study.space.parameters().len()) {
            return Err(Status::invalid_argument("a point has another number of values than the space"));
        }
        let answer = move |session: &Session| {
            let predictions = session.engine.sampler.predict(&points).unwrap_or_default();
            wire::PredictReply {
                predictions: predictions
                    .into_iter()
                    .map(|Prediction { mean, std }| wire::Prediction { mean, std })
                    .collect(),
                prefix: Some(convert::prefix_to_proto(&session.prefix())),
            }
        };
        self.with_session(study, key, request.prefix, None, events, answer).await
    }

    async fn list_algorithms(
        &self,
        _: Request<wire::ListAlgorithmsRequest>,
    ) -> Result<Response<wire::ListAlgorithmsReply>, Status> {
        let algorithms = registry::list().iter().map(convert::info_to_proto).collect();
        Ok(Response::new(wire::ListAlgorithmsReply { algorithms }))
    }
}

impl SearchService {
    /// Brings the session of a study to `prefix` plus `events` and lets it answer, off the reactor. If it is not held, what came
    /// with the question of what was learnt up to `prefix` is taken over.
    async fn with_session<R: Send + 'static>(
        &self,
        study: Study,
        key: Key,
        prefix: Option<wire::Prefix>,
        state: Option<wire::State>,
        events: Vec<HistoryEvent>,
        answer: impl FnOnce(&Session) -> R + Send + 'static,
    ) -> Result<Response<R>, Status> {
        let state = state.filter(|state| state.prefix == prefix && prefix.is_some());
        let prefix = prefix.as_ref().map(convert::prefix_from_proto).unwrap_or_default();
        let sessions = Arc::clone(&self.sessions);
        let work = move || {
            let restored = || Session::restored(&study, prefix, &state.as_ref()?.learnt);
            let held = sessions.get(&key).or_else(|| Some(Arc::new(Mutex::new(restored()?))));
            let session = match held {
                Some(session) => session,
                None if prefix == Prefix::default() => {
                    Arc::new(Mutex::new(Session::new(&study).map_err(|error| invalid(&error))?))
                }
                None => return Err(not_held(prefix)),
            };
            let Ok(mut guard) = session.lock() else {
                // It broke off in the middle of something: what it holds cannot be trusted.
                sessions.remove(&key);
                return Err(not_held(prefix));
            };
            // A question asked again, because its answer was lost, finds its events already taken in.
            if guard.prefix() == prefix {
                guard.tell(&events);
            } else if guard.prefix() != prefix.extend(&events) {
                if prefix != Prefix::default() {
                    return Err(not_held(prefix));
                }
                *guard = Session::new(&study).map_err(|error| invalid(&error))?;
                guard.tell(&events);
            }
            let reply = answer(&guard);
            let held = guard.prefix().seq;
            drop(guard);
            sessions.put(key, session, held);
            Ok(Response::new(reply))
        };
        off_the_reactor(work).await
    }
}

/// Does what may take long where nobody waits for it but who asked.
async fn off_the_reactor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(format!("the algorithm broke off: {error}")))?
}

/// What the algorithm of a session has learnt, if that is worth carrying about.
fn learnt(session: &Session) -> Option<wire::State> {
    if session.engine.scheduler.is_some() {
        return None;
    }
    let learnt = session.engine.sampler.state()?;
    Some(wire::State { prefix: Some(convert::prefix_to_proto(&session.prefix())), learnt })
}

fn read_study(study: Option<wire::Study>) -> Result<(Study, Key), Status> {
    let study = study.ok_or_else(|| Status::invalid_argument("no study was sent"))?;
    Ok((convert::study_from_proto(&study).map_err(|error| invalid(&error))?, session::key(&study)))
}

fn read_events(events: &[wire::HistoryEvent]) -> Result<Vec<HistoryEvent>, Status> {
    events.iter().map(convert::event_from_proto).collect::<Result<_, _>>().map_err(|error| invalid(&error))
}

fn invalid(error: &ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn not_held(prefix: Prefix) -> Status {
    Status::failed_precondition(format!(
        "a history of {} events is not held here; send it again with Load",
        prefix.seq
    ))
}

/// Locks a session even if an earlier holder broke off; only for reading what cannot be half-changed.
#[cfg(test)]
fn held_prefix(service: &SearchService, study: &wire::Study) -> Option<Prefix> {
    let session = service.sessions.get(&session::key(study))?;
    let prefix = session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).prefix();
    Some(prefix)
}

#[cfg(test)]
mod tests {
    use study::{
        Algorithm, Direction, Distribution, Domain, Objective, Outcome, Parameter, Space, Suggestion, Trial,
    };

    use super::*;

    fn study(seed: u64) -> wire::Study {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        let parameter = Parameter { name: "x".into(), domain, when: vec![], default: None, prior: None };
        convert::study_to_proto(&Study {
            name: "s".into(),
            space: Space::new(vec![parameter], vec![]).unwrap(),
            objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
            algorithm: Algorithm { name: "random".into(), ..Default::default() },
            early_stopping: None,
            seed,
            max_trials: None,
            parallel: 1,
            expense: None,
        })
    }

    fn events(n: u64) -> Vec<HistoryEvent> {
        let trial = |idx| Trial { idx: TrialIdx(idx), suggestion: Suggestion::default() };
        let one = |idx| {
            let end = HistoryEvent::Ended {
                trial: TrialIdx(idx),
                outcome: Outcome::Succeeded { costs: vec![0.5] },
            };
            [HistoryEvent::Started(trial(idx)), end]
        };
        (0..n).flat_map(one).collect()
    }

    fn ask(prefix: Prefix, events: &[HistoryEvent], first_idx: u64, n: u32) -> Request<wire::AskRequest> {
        Request::new(wire::AskRequest {
            study: Some(study(1)),
            prefix: Some(convert::prefix_to_proto(&prefix)),
            events: events.iter().map(convert::event_to_proto).collect(),
            running: vec![],
            first_idx,
            n,
            ..Default::default()
        })
    }

    #[tokio::test]
    async fn asking_again_gives_the_same_answer_whether_or_not_the_first_was_heard() {
        let service = SearchService::default();
        let first = service.ask(ask(Prefix::default(), &events(3), 3, 2)).await.unwrap().into_inner();
        let again = service.ask(ask(Prefix::default(), &events(3), 3, 2)).await.unwrap().into_inner();
        assert_eq!(first, again);
        assert_eq!(held_prefix(&service, &study(1)), Some(Prefix::default().extend(&events(3))));
    }

    #[tokio::test]
    async fn a_restarted_service_asks_for_the_history_and_then_answers_the_same() {
        let service = SearchService::default();
        let before = service.ask(ask(Prefix::default(), &events(3), 3, 1)).await.unwrap().into_inner();
        let held = Prefix::default().extend(&events(3));
        let restarted = SearchService::default();
        let refused = restarted.ask(ask(held, &[], 3, 1)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        let after = restarted.ask(ask(Prefix::default(), &events(3), 3, 1)).await.unwrap().into_inner();
        assert_eq!(before, after);
    }

    /// What an LSTM has learnt goes to a service that knows nothing, and the history stays where it is.
    #[tokio::test]
    async fn what_was_learnt_spares_the_history() {
        let operation = |kind: &str| study::LayerOperation { kind: kind.into(), parameters: vec![] };
        let network = study::Network::new(3, vec![8], vec![2], vec![operation("a"), operation("b")]).unwrap();
        let mut enas = study(1);
        let space = Space::chain(network).unwrap();
        let original = convert::study_from_proto(&enas).unwrap();
        enas = convert::study_to_proto(&Study {
            space,
            algorithm: Algorithm {
                name: "enas".into(),
                settings: [("controller_hidden_size".to_owned(), "8".to_owned())].into(),
            },
            ..original
        });
        assert_eq!(convert::study_to_proto(&convert::study_from_proto(&enas).unwrap()), enas);
        let question = |prefix: Prefix, events: &[HistoryEvent], state: Option<wire::State>| {
            let mut request = ask(prefix, events, 3, 2).into_inner();
            (request.study, request.state, request.want_state) = (Some(enas.clone()), state, true);
            Request::new(request)
        };
        let trial = |idx: u64, choices: [usize; 6]| {
            let values = choices.map(|i| Some(study::Value::Choice(i)));
            let assignment = study::Assignment(values.to_vec());
            let suggestion = Suggestion { assignment, ..Suggestion::default() };
            let outcome = Outcome::Succeeded { costs: vec![idx as f64] };
            let idx = TrialIdx(idx);
            [HistoryEvent::Started(Trial { idx, suggestion }), HistoryEvent::Ended { trial: idx, outcome }]
        };
        let events = [trial(0, [0, 0, 1, 0, 0, 1]), trial(1, [1, 0, 1, 1, 0, 1]), trial(2, [1; 6])].concat();
        let service = SearchService::default();
        let first = service.ask(question(Prefix::default(), &events, None)).await.unwrap().into_inner();
        let state = first.state.clone().unwrap();
        let held = Prefix::default().extend(&events);
        let elsewhere = SearchService::default();
        let again = elsewhere.ask(question(held, &[], Some(state.clone()))).await.unwrap().into_inner();
        assert_eq!(again, first);
        // Broken, or of another history: the history itself is wanted.
        let broken = wire::State { learnt: state.learnt[9..].to_vec(), ..state.clone() };
        let other = Prefix::default().extend(&events[..4]);
        for (prefix, state) in [(held, broken), (other, state)] {
            let refused = SearchService::default().ask(question(prefix, &[], Some(state))).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        }
    }

    #[tokio::test]
    async fn an_algorithm_without_a_model_predicts_nothing_and_keeps_its_history() {
        let service = SearchService::default();
        let point = |n| wire::Point { values: vec![wire::Value::default(); n] };
        let predict = |points| wire::PredictRequest {
            study: Some(study(1)),
            prefix: None,
            events: events(3).iter().map(convert::event_to_proto).collect(),
            points,
        };
        let reply = service.predict(Request::new(predict(vec![point(1)]))).await.unwrap().into_inner();
        assert_eq!(reply.predictions, []);
        assert_eq!(held_prefix(&service, &study(1)), Some(Prefix::default().extend(&events(3))));
        let refused = service.predict(Request::new(predict(vec![point(2)]))).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }

    #[tokio::test]
    async fn all_problems_of_a_study_are_named() {
        let mut bad = study(1);
        bad.constraints = vec!["x <".into(), "y < 1 +".into()];
        let request = Request::new(wire::ValidateRequest { study: Some(bad) });
        let refused = SearchService::default().validate(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("`x <`") && refused.message().contains("`y < 1 +`"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_accepted_with_a_limit_is_said() {
        let mut grid = study(1);
        grid.algorithm = Some(wire::Algorithm { name: "grid".into(), ..Default::default() });
        let request = Request::new(wire::ValidateRequest { study: Some(grid) });
        let reply = SearchService::default().validate(request).await.unwrap().into_inner();
        assert_eq!(reply.warnings, ["algorithm `grid`: float parameters: 10 points each"]);
    }
}
