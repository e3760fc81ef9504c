//! Between Katib's messages and the words of a study.

use proto::katib as wire;
use proto::katib::get_suggestions_reply::ParameterAssignments;
use proto::katib::trial_status::TrialConditionType as Condition;
use sha2::{Digest as _, Sha256};
use study::{
    Algorithm, Assignment, Direction, Distribution, Domain, HistoryEvent, Objective, Outcome, Parameter,
    Space, Study, Suggestion, Trial, TrialIdx, Value,
};

use super::{nas, python, validate};

/// The study of an experiment. Settings that its algorithm has no use for are left out.
///
/// # Errors
/// Everything that keeps a point from being drawn.
pub(super) fn study_from_proto(experiment: &wire::Experiment) -> Result<Study, Vec<String>> {
    let spec = experiment.spec.clone().unwrap_or_default();
    let algorithm = spec.algorithm.clone().unwrap_or_default();
    let settings = validate::usable(&algorithm);
    let random_state = algorithm.algorithm_settings.iter().rfind(|setting| setting.name == "random_state");
    let random_state = random_state.and_then(|setting| python::int(&setting.value).ok());
    Ok(Study {
        name: experiment.name.clone(),
        space: match nas::config(&spec) {
            Some(config) => nas::space(config, &algorithm)?,
            None => space(spec.parameter_specs.iter().flat_map(|specs| &specs.parameters))?,
        },
        objectives: vec![objective(spec.objective.as_ref())],
        algorithm: Algorithm { name: algorithm.algorithm_name, settings },
        early_stopping: None,
        seed: random_state.map_or_else(|| seed(experiment), |number| number as u64),
        max_trials: u64::try_from(spec.max_trial_count).ok().filter(|n| *n > 0),
        parallel: u32::try_from(spec.parallel_trial_count).unwrap_or(0).max(1),
        expense: None,
    })
}

/// What is optimised; a direction that is not said is taken for "minimize", as Katib's services do.
pub(super) fn objective(spec: Option<&wire::ObjectiveSpec>) -> Objective {
    let maximize = spec.is_some_and(|spec| spec.r#type() == wire::ObjectiveType::Maximize);
    Objective {
        metric: spec.map(|spec| spec.objective_metric_name.clone()).unwrap_or_default(),
        direction: if maximize { Direction::Maximize } else { Direction::Minimize },
        goal: None,
    }
}

/// A seed from what an experiment is: its name, space, objective and algorithm. Budgets, which may be edited, do not
/// count.
fn seed(experiment: &wire::Experiment) -> u64 {
    use prost::Message as _;
    let mut named = experiment.clone();
    if let Some(spec) = &mut named.spec {
        (spec.parallel_trial_count, spec.max_trial_count, spec.early_stopping) = (0, 0, None);
    }
    let digest: [u8; 32] = Sha256::digest(named.encode_to_vec()).into();
    digest[..8].iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

fn space<'a>(specs: impl Iterator<Item = &'a wire::ParameterSpec>) -> Result<Space, Vec<String>> {
    let (mut parameters, mut problems) = (Vec::new(), Vec::new());
    for spec in specs {
        match domain(spec) {
            Ok(domain) => {
                parameters.push(Parameter {
                    name: spec.name.clone(),
                    domain,
                    when: vec![],
                    default: None,
                    prior: None,
                });
            }
            Err(problem) => problems.push(format!("`{}`: {problem}", spec.name)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Space::new(parameters, Vec::new()).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The values a parameter may take. What one of unknown type may be is known from its list alone.
fn domain(spec: &wire::ParameterSpec) -> Result<Domain, String> {
    let empty = wire::FeasibleSpace::default();
    let space = spec.feasible_space.as_ref().unwrap_or(&empty);
    let distribution = match space.distribution() {
        wire::Distribution::LogUniform => Distribution::LogUniform,
        wire::Distribution::Normal => Distribution::Normal,
        wire::Distribution::LogNormal => Distribution::LogNormal,
        wire::Distribution::Unspecified | wire::Distribution::Uniform => Distribution::Uniform,
    };
    let number =
        |bound, text: &str| python::float(text).map_err(|_| format!("{bound} `{text}` is no number"));
    let whole = |bound, text: &str| {
        let number = python::int(text).ok().and_then(|number| i64::try_from(number).ok());
        number.ok_or_else(|| format!("{bound} `{text}` is no whole number"))
    };
    let step = Some(space.step.as_str()).filter(|text| !text.is_empty());
    match spec.parameter_type() {
        wire::ParameterType::Double => Ok(Domain::Float {
            min: number("min", &space.min)?,
            max: number("max", &space.max)?,
            step: step.map(|text| number("step", text)).transpose()?,
            distribution,
        }),
        wire::ParameterType::Int => Ok(Domain::Int {
            min: whole("min", &space.min)?,
            max: whole("max", &space.max)?,
            step: step.map_or(Ok(1), |text| whole("step", text))?,
            distribution,
        }),
        wire::ParameterType::Discrete => Ok(discrete(&space.list)),
        wire::ParameterType::Categorical | wire::ParameterType::UnknownType => Ok(categorical(&space.list)),
    }
}

/// Numbers in rising order; a list that holds anything else is one of names.
fn discrete(list: &[String]) -> Domain {
    let numbers = list.iter().map(|text| python::float(text).ok().filter(|x| x.is_finite()));
    let Some(numbers) = numbers.collect::<Option<Vec<f64>>>() else { return categorical(list) };
    let mut pairs: Vec<(f64, &String)> = numbers.into_iter().zip(list).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    pairs.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
    let (values, texts) = pairs.into_iter().map(|(value, text)| (value, text.clone())).unzip();
    Domain::Discrete { texts, values }
}

fn categorical(list: &[String]) -> Domain {
    let mut choices: Vec<String> = Vec::with_capacity(list.len());
    for text in list {
        if !choices.contains(text) {
            choices.push(text.clone());
        }
    }
    Domain::Categorical { choices, ordered: false }
}

/// What the trials of a request have come to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Past {
    /// What an algorithm is told: of each trial that has ended its start and its end, in the order of the ends.
    pub(super) events: Vec<HistoryEvent>,
    /// The trials that have not ended, by number.
    pub(super) running: Vec<Trial>,
}

/// What an algorithm may know of these trials. They are numbered from `first` on in the order of their starts; the wire
/// has no numbers. A trial with a value that the space has nothing like is passed over.
pub(super) fn past_from_proto(study: &Study, trials: &[wire::Trial], first: u64) -> Past {
    let mut seen: Vec<Seen<'_>> = trials.iter().map(|trial| Seen::new(trial, &study.objectives[0])).collect();
    seen.sort_unstable_by_key(|seen| (seen.start.is_empty(), seen.start, seen.name));
    for (idx, seen) in (first..).zip(&mut seen) {
        seen.idx = TrialIdx(idx);
    }
    seen.sort_by_key(|seen| (seen.end, seen.start, seen.name));
    let mut past = Past { events: Vec::with_capacity(2 * seen.len()), running: Vec::new() };
    for Seen { idx, trial, outcome, .. } in seen {
        let Some(assignment) = assignment_from_proto(study, trial) else { continue };
        let trial = Trial { idx, suggestion: Suggestion { assignment, ..Suggestion::default() } };
        match outcome {
            None => past.running.push(trial),
            Some(outcome) => {
                past.events.push(HistoryEvent::Started(trial));
                past.events.push(HistoryEvent::Ended { trial: idx, outcome });
            }
        }
    }
    past.running.sort_by_key(|trial| trial.idx);
    past
}

/// A trial with what it is sorted by.
struct Seen<'a> {
    idx: TrialIdx,
    name: &'a str,
    start: &'a str,
    /// Its completion; one that a rule stopped may have none, and is taken in as of its start.
    end: &'a str,
    trial: &'a wire::Trial,
    /// `None` while it runs.
    outcome: Option<Outcome>,
}

impl<'a> Seen<'a> {
    fn new(trial: &'a wire::Trial, objective: &Objective) -> Self {
        let status = trial.status.as_ref();
        let (start, end) = status.map_or(("", ""), |s| (s.start_time.as_str(), s.completion_time.as_str()));
        Self {
            idx: TrialIdx(0),
            name: &trial.name,
            start,
            end: if end.is_empty() { start } else { end },
            trial,
            outcome: status.and_then(|status| outcome_from_proto(status, objective)),
        }
    }
}

/// How a trial ended, `None` if it did not. A value that is no finite number is no result.
fn outcome_from_proto(status: &wire::TrialStatus, objective: &Objective) -> Option<Outcome> {
    let costs = || {
        let mut metrics = status.observation.iter().flat_map(|observation| &observation.metrics);
        let value = metrics.find(|metric| metric.name == objective.metric)?.value.trim().parse().ok()?;
        Some(objective.direction.cost(value)).filter(|cost: &f64| cost.is_finite())
    };
    match status.condition() {
        Condition::Created | Condition::Running | Condition::Unknown => None,
        Condition::Succeeded => {
            Some(costs().map_or(Outcome::Failed, |cost| Outcome::Succeeded { costs: vec![cost] }))
        }
        Condition::Earlystopped => Some(Outcome::EarlyStopped { costs: costs().into_iter().collect() }),
        Condition::Killed | Condition::Failed | Condition::Metricsunavailable => Some(Outcome::Failed),
    }
}

/// The point of a trial, whoever proposed it: numbers out of bounds are brought to the bound, but for a resource, whose
/// levels need not lie within. `None` if a parameter has no value or one that is not in its list.
fn assignment_from_proto(study: &Study, trial: &wire::Trial) -> Option<Assignment> {
    let parameters = study.space.parameters();
    let resource = study.algorithm.settings.get("resource_name");
    let mut assignment = Assignment(vec![None; parameters.len()]);
    let written = trial.spec.as_ref()?.parameter_assignments.as_ref()?;
    if study.space.network().is_some() {
        return study.space.project(written.assignments.iter().map(|a| (a.name.as_str(), a.value.as_str())));
    }
    for (i, written) in written.assignments.iter().enumerate() {
        // Most often they come in the order of the space.
        let in_order = parameters.get(i).is_some_and(|parameter| parameter.name == written.name);
        let position = if in_order { Some(i) } else { study.space.position(&written.name) };
        if let Some(i) = position {
            let value = parameters[i].domain.parse(&written.value)?;
            let is_resource = resource.is_some_and(|name| *name == written.name);
            assignment.0[i] = Some(if is_resource { value } else { within(&parameters[i].domain, value) });
        }
    }
    assignment.0.iter().all(Option::is_some).then_some(assignment)
}

/// The value, or the bound that it is beyond.
fn within(domain: &Domain, value: Value) -> Value {
    match (domain, value) {
        (Domain::Float { min, max, .. }, Value::Float(x)) => Value::Float(x.clamp(*min, *max)),
        (Domain::Int { min, max, .. }, Value::Int(x)) => Value::Int(x.clamp(*min, *max)),
        (_, value) => value,
    }
}

/// A suggestion as the wire has it: every parameter, its value as Katib's Python services write it.
pub(super) fn suggestion_to_proto(space: &Space, suggestion: &Suggestion) -> ParameterAssignments {
    let text = |(parameter, value): (&Parameter, &Option<Value>)| {
        let value = match (*value)? {
            Value::Float(x) => study::float_text(x),
            value => parameter.domain.text(value),
        };
        Some((parameter.name.clone(), value))
    };
    let texts = match space.network() {
        Some(_) => space.texts(&suggestion.assignment),
        None => space.parameters().iter().zip(&suggestion.assignment.0).filter_map(text).collect(),
    };
    let assignments = texts.into_iter().map(|(name, value)| wire::ParameterAssignment { name, value });
    ParameterAssignments { assignments: assignments.collect(), trial_name: String::new(), labels: [].into() }
}

#[cfg(test)]
mod tests;
