//! `api.v1.beta1.Suggestion` over the registry.

use std::collections::BTreeSet;

use algorithms::rng::Streams;
use proto::katib as wire;
use proto::katib::suggestion_server::Suggestion as Service;
use study::{Algorithm, Study, Suggestion, Trial, TrialIdx, Value};
use tonic::{Request, Response, Status};

use super::convert::{self, Past};
use super::validate;
use crate::registry::{self, Engine};

/// Most trials asked for at once.
const MAX_ASK: u64 = 100_000;

/// Katib's suggestion service for any number of experiments. Every question brings the whole history, so nothing is
/// held between two.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuggestionService;

#[tonic::async_trait]
impl Service for SuggestionService {
    async fn get_suggestions(
        &self,
        request: Request<wire::GetSuggestionsRequest>,
    ) -> Result<Response<wire::GetSuggestionsReply>, Status> {
        // Reading costs no more than decoding did; only the algorithm is kept off the reactor.
        let question = Question::read(&request.into_inner())?;
        tokio::task::spawn_blocking(move || question.reply())
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
        build(&study)?;
        // The wire has no place for them.
        for warning in registry::warnings(&study) {
            tracing::warn!(experiment = study.name, warning);
        }
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
    engine: Engine,
    past: Past,
    streams: Streams,
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
        Ok(Self {
            engine: build(&study)?,
            past: convert::past_from_proto(&study, &request.trials, first),
            streams: Streams::new(study.seed),
            slots,
            study,
        })
    }

    fn reply(mut self) -> Result<wire::GetSuggestionsReply, Status> {
        let suggestions = self.answer()?;
        let points = suggestions.iter().map(|point| convert::suggestion_to_proto(&self.study.space, point));
        Ok(wire::GetSuggestionsReply {
            parameter_assignments: points.collect(),
            algorithm: None,
            early_stopping_rules: Vec::new(),
        })
    }

    /// Exactly as many suggestions as were asked for.
    ///
    /// Points of one answer differ while the space has others. An algorithm that has no more to say is helped out by
    /// chance, but for a grid that has been walked through: there is nothing left of what it was asked to do.
    fn answer(&mut self) -> Result<Vec<Suggestion>, Status> {
        self.engine.sampler.tell(&self.past.events);
        let mut answer = self.engine.sampler.ask(self.slots.clone(), &self.past.running, &self.streams);
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
        let mut engine = build(&study)?;
        engine.sampler.tell(&self.past.events);
        let slots = (self.slots.start.0..).map(TrialIdx).zip(answer);
        let answered = slots.map(|(idx, suggestion)| Trial { idx, suggestion: suggestion.clone() });
        let running: Vec<Trial> = self.past.running.iter().cloned().chain(answered).collect();
        let open = TrialIdx(self.slots.start.0 + answer.len() as u64)..self.slots.end;
        Ok(engine.sampler.ask(open, &running, &self.streams))
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

fn build(study: &Study) -> Result<Engine, Status> {
    registry::build(study).map_err(|errors| {
        let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Status::invalid_argument(problems.join("; "))
    })
}

#[cfg(test)]
mod tests;
