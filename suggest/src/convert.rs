//! Between the wire and the words of a study; the only place that knows both.

use std::collections::BTreeMap;

use proto::cairn as wire;
use study::{
    Algorithm, Assignment, Comparison, Condition, Constant, Constraint, Digest, Direction, Distribution,
    Domain, Expense, HistoryEvent, LayerOperation, Network, Objective, Outcome, Parameter, Prefix, Prior,
    Requirement, Rule, Space, SpaceError, Study, Suggestion, Trial, TrialIdx, Unit, Value,
};
use thiserror::Error;

/// Why a message makes no sense. Every problem found is named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .0.join("; "))]
pub struct ConvertError(pub Vec<String>);

impl ConvertError {
    fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// The study of a message.
///
/// # Errors
/// All problems of its space, and missing objectives.
pub fn study_from_proto(study: &wire::Study) -> Result<Study, ConvertError> {
    let mut problems = Vec::new();
    let mut parameters = Vec::new();
    for parameter in &study.parameters {
        match parameter_from_proto(parameter) {
            Ok(parameter) => parameters.push(parameter),
            Err(error) => problems.extend(error.0),
        }
    }
    let mut constraints = Vec::new();
    for text in &study.constraints {
        match Constraint::parse(text) {
            Ok(constraint) => constraints.push(constraint),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if study.objectives.is_empty() {
        problems.push("the study has no objective".into());
    }
    if !problems.is_empty() {
        return Err(ConvertError(problems));
    }
    let space = match &study.network {
        Some(_) if !parameters.is_empty() || !constraints.is_empty() => {
            return Err(ConvertError::one("a study has parameters or a network, not both"));
        }
        Some(network) => network_from_proto(network).map_err(|error| vec![error]).and_then(Space::chain),
        None => Space::new(parameters, constraints),
    };
    let space = space.map_err(|errors| ConvertError(errors.iter().map(ToString::to_string).collect()))?;
    Ok(Study {
        name: study.name.clone(),
        space,
        objectives: study.objectives.iter().map(objective_from_proto).collect(),
        algorithm: study.algorithm.as_ref().map(algorithm_from_proto).unwrap_or_default(),
        early_stopping: study.early_stopping.as_ref().map(algorithm_from_proto),
        seed: study.seed,
        max_trials: (study.max_trials > 0).then_some(study.max_trials),
        parallel: study.parallel.max(1),
        expense: study.expense.as_ref().and_then(expense_from_proto),
    })
}

/// The message of a study.
pub fn study_to_proto(study: &Study) -> wire::Study {
    let network = study.space.network();
    let parameters = if network.is_some() { &[] } else { study.space.parameters() };
    wire::Study {
        name: study.name.clone(),
        parameters: parameters.iter().map(parameter_to_proto).collect(),
        constraints: study.space.constraints().iter().map(ToString::to_string).collect(),
        objectives: study.objectives.iter().map(objective_to_proto).collect(),
        algorithm: Some(algorithm_to_proto(&study.algorithm)),
        early_stopping: study.early_stopping.as_ref().map(algorithm_to_proto),
        seed: study.seed,
        max_trials: study.max_trials.unwrap_or(0),
        parallel: study.parallel,
        network: network.map(network_to_proto),
        expense: study.expense.map(expense_to_proto),
    }
}

fn expense_from_proto(expense: &wire::Expense) -> Option<Expense> {
    use wire::expense::Unit as U;
    let unit = match expense.unit() {
        U::Unspecified => return None,
        U::Seconds => Unit::Seconds,
        U::GpuSeconds => Unit::GpuSeconds,
        U::Money => Unit::Money,
    };
    (expense.most > 0.0).then_some(Expense { unit, most: expense.most })
}

fn expense_to_proto(expense: Expense) -> wire::Expense {
    use wire::expense::Unit as U;
    let unit = match expense.unit {
        Unit::Seconds => U::Seconds,
        Unit::GpuSeconds => U::GpuSeconds,
        Unit::Money => U::Money,
    };
    wire::Expense { unit: unit.into(), most: expense.most }
}

fn network_from_proto(network: &wire::Network) -> Result<Network, SpaceError> {
    use wire::constant::Value as V;
    let constant = |constant: &wire::Constant| {
        let value = match &constant.value {
            Some(V::Int(n)) => Constant::Int(*n),
            Some(V::Float(x)) => Constant::Float(*x),
            Some(V::Text(text)) => Constant::Text(text.clone()),
            None => Constant::Text(String::new()),
        };
        (constant.name.clone(), value)
    };
    let operations = network.operations.iter().map(|operation| LayerOperation {
        kind: operation.kind.clone(),
        parameters: operation.parameters.iter().map(constant).collect(),
    });
    Network::new(
        network.layers as usize,
        network.input_sizes.clone(),
        network.output_sizes.clone(),
        operations.collect(),
    )
}

fn network_to_proto(network: &Network) -> wire::Network {
    use wire::constant::Value as V;
    let constant = |(name, value): &(String, Constant)| wire::Constant {
        name: name.clone(),
        value: Some(match value {
            Constant::Int(n) => V::Int(*n),
            Constant::Float(x) => V::Float(*x),
            Constant::Text(text) => V::Text(text.clone()),
        }),
    };
    let operations = network.operations().iter().map(|operation| wire::Operation {
        kind: operation.kind.clone(),
        parameters: operation.parameters.iter().map(constant).collect(),
    });
    wire::Network {
        layers: network.n_layers() as u32,
        input_sizes: network.input_sizes().to_vec(),
        output_sizes: network.output_sizes().to_vec(),
        operations: operations.collect(),
    }
}

fn algorithm_from_proto(algorithm: &wire::Algorithm) -> Algorithm {
    Algorithm { name: algorithm.name.clone(), settings: algorithm.settings.clone() }
}

fn algorithm_to_proto(algorithm: &Algorithm) -> wire::Algorithm {
    wire::Algorithm { name: algorithm.name.clone(), settings: algorithm.settings.clone() }
}

fn objective_from_proto(objective: &wire::Objective) -> Objective {
    Objective {
        metric: objective.metric.clone(),
        direction: if objective.maximize { Direction::Maximize } else { Direction::Minimize },
        goal: objective.goal,
    }
}

fn objective_to_proto(objective: &Objective) -> wire::Objective {
    wire::Objective {
        metric: objective.metric.clone(),
        maximize: objective.direction == Direction::Maximize,
        goal: objective.goal,
    }
}

fn parameter_from_proto(parameter: &wire::Parameter) -> Result<Parameter, ConvertError> {
    use wire::parameter::Domain as D;
    let name = &parameter.name;
    let domain = match &parameter.domain {
        Some(D::Float(d)) => Domain::Float {
            min: d.min,
            max: d.max,
            step: d.step,
            distribution: distribution_from_proto(d.distribution()),
        },
        Some(D::Int(d)) => Domain::Int {
            min: d.min,
            max: d.max,
            step: if d.step == 0 { 1 } else { d.step },
            distribution: distribution_from_proto(d.distribution()),
        },
        Some(D::Discrete(d)) => {
            let values: Result<Vec<f64>, _> = d.values.iter().map(|text| text.trim().parse()).collect();
            let values =
                values.map_err(|_| ConvertError::one(format!("`{name}`: a discrete value is no number")))?;
            if !values.is_sorted() {
                return Err(ConvertError::one(format!("`{name}`: discrete values must rise")));
            }
            Domain::Discrete { texts: d.values.clone(), values }
        }
        Some(D::Categorical(d)) => Domain::Categorical { choices: d.choices.clone(), ordered: d.ordered },
        None => return Err(ConvertError::one(format!("`{name}`: it has no domain"))),
    };
    let default = match &parameter.default {
        None => None,
        Some(text) => match domain.parse(text).filter(|value| domain.contains(*value)) {
            Some(value) => Some(value),
            None => {
                return Err(ConvertError::one(format!(
                    "`{name}`: its default `{text}` is not in its domain"
                )));
            }
        },
    };
    let when = parameter.when.iter().map(condition_from_proto).collect();
    let prior = parameter.prior.as_ref().map(|prior| prior_from_proto(prior, &domain)).transpose();
    let prior = prior.map_err(|problem| ConvertError::one(format!("`{name}`: its prior: {problem}")))?;
    Ok(Parameter { name: name.clone(), domain, when, default, prior })
}

fn prior_from_proto(prior: &wire::Prior, domain: &Domain) -> Result<Prior, String> {
    match (prior.mean, prior.std) {
        (Some(mean), Some(std)) if prior.weights.is_empty() => Ok(Prior::Normal { mean, std }),
        (None, None) => {
            Prior::weighted(domain, prior.weights.iter().map(|(text, weight)| (text.as_str(), *weight)))
        }
        _ => Err("it has mean and std, or weights".into()),
    }
}

fn prior_to_proto(prior: &Prior, domain: &Domain) -> wire::Prior {
    match prior {
        Prior::Normal { mean, std } => {
            wire::Prior { mean: Some(*mean), std: Some(*std), ..wire::Prior::default() }
        }
        Prior::Weighted { weights } => {
            let text = |i| domain.text(Value::Choice(i));
            let weights = weights.iter().enumerate().map(|(i, weight)| (text(i), *weight));
            wire::Prior { weights: weights.collect(), ..wire::Prior::default() }
        }
    }
}

fn parameter_to_proto(parameter: &Parameter) -> wire::Parameter {
    use wire::parameter::Domain as D;
    let domain = match &parameter.domain {
        Domain::Float { min, max, step, distribution } => D::Float(wire::FloatDomain {
            min: *min,
            max: *max,
            step: *step,
            distribution: distribution_to_proto(*distribution).into(),
        }),
        Domain::Int { min, max, step, distribution } => D::Int(wire::IntDomain {
            min: *min,
            max: *max,
            step: *step,
            distribution: distribution_to_proto(*distribution).into(),
        }),
        Domain::Discrete { texts, .. } => D::Discrete(wire::DiscreteDomain { values: texts.clone() }),
        Domain::Categorical { choices, ordered } => {
            D::Categorical(wire::CategoricalDomain { choices: choices.clone(), ordered: *ordered })
        }
    };
    wire::Parameter {
        name: parameter.name.clone(),
        domain: Some(domain),
        when: parameter.when.iter().map(condition_to_proto).collect(),
        default: parameter.default.map(|value| parameter.domain.text(value)),
        prior: parameter.prior.as_ref().map(|prior| prior_to_proto(prior, &parameter.domain)),
    }
}

fn distribution_from_proto(distribution: wire::Distribution) -> Distribution {
    match distribution {
        wire::Distribution::Unspecified | wire::Distribution::Uniform => Distribution::Uniform,
        wire::Distribution::LogUniform => Distribution::LogUniform,
        wire::Distribution::Normal => Distribution::Normal,
        wire::Distribution::LogNormal => Distribution::LogNormal,
    }
}

fn distribution_to_proto(distribution: Distribution) -> wire::Distribution {
    match distribution {
        Distribution::Uniform => wire::Distribution::Uniform,
        Distribution::LogUniform => wire::Distribution::LogUniform,
        Distribution::Normal => wire::Distribution::Normal,
        Distribution::LogNormal => wire::Distribution::LogNormal,
    }
}

fn condition_from_proto(condition: &wire::Condition) -> Condition {
    let requirement = if condition.one_of.is_empty() {
        Requirement::Between { min: condition.min, max: condition.max }
    } else {
        Requirement::OneOf { values: condition.one_of.clone() }
    };
    Condition { parent: condition.parent.clone(), requirement }
}

fn condition_to_proto(condition: &Condition) -> wire::Condition {
    let (one_of, min, max) = match &condition.requirement {
        Requirement::OneOf { values } => (values.clone(), None, None),
        Requirement::Between { min, max } => (Vec::new(), *min, *max),
    };
    wire::Condition { parent: condition.parent.clone(), one_of, min, max }
}

/// The event of a message.
///
/// # Errors
/// If a part of it is missing or the cost of an end is not finite.
pub fn event_from_proto(event: &wire::HistoryEvent) -> Result<HistoryEvent, ConvertError> {
    use wire::history_event::Event as E;
    match &event.event {
        Some(E::Started(trial)) => Ok(HistoryEvent::Started(trial_from_proto(trial)?)),
        Some(E::Reported(reported)) => Ok(HistoryEvent::Reported {
            trial: TrialIdx(reported.trial),
            step: reported.step,
            costs: reported.costs.clone(),
        }),
        Some(E::Paused(paused)) => Ok(HistoryEvent::Paused { trial: TrialIdx(paused.trial) }),
        Some(E::Resumed(resumed)) => Ok(HistoryEvent::Resumed { trial: TrialIdx(resumed.trial) }),
        Some(E::Spent(spent)) if spent.amount >= 0.0 && spent.amount.is_finite() => {
            Ok(HistoryEvent::Spent { trial: TrialIdx(spent.trial), amount: spent.amount })
        }
        Some(E::Spent(spent)) => {
            let text = format!("trial {} cannot have taken {}; report 0 or more", spent.trial, spent.amount);
            Err(ConvertError::one(text))
        }
        Some(E::Ended(ended)) => {
            let costs = finite(&ended.costs)?;
            let outcome = match ended.outcome() {
                wire::ended::Outcome::Succeeded if costs.is_empty() => {
                    return Err(ConvertError::one(format!("trial {} succeeded without a cost", ended.trial)));
                }
                wire::ended::Outcome::Succeeded => Outcome::Succeeded { costs },
                wire::ended::Outcome::EarlyStopped => Outcome::EarlyStopped { costs },
                wire::ended::Outcome::Unspecified | wire::ended::Outcome::Failed => Outcome::Failed,
            };
            Ok(HistoryEvent::Ended { trial: TrialIdx(ended.trial), outcome })
        }
        None => Err(ConvertError::one("a history event says nothing")),
    }
}

/// The message of an event.
pub fn event_to_proto(event: &HistoryEvent) -> wire::HistoryEvent {
    use wire::history_event::Event as E;
    let event = match event {
        HistoryEvent::Started(trial) => E::Started(trial_to_proto(trial)),
        HistoryEvent::Reported { trial, step, costs } => {
            E::Reported(wire::Reported { trial: trial.0, step: *step, costs: costs.clone() })
        }
        HistoryEvent::Paused { trial } => E::Paused(wire::Paused { trial: trial.0 }),
        HistoryEvent::Resumed { trial } => E::Resumed(wire::Resumed { trial: trial.0 }),
        HistoryEvent::Spent { trial, amount } => E::Spent(wire::Spent { trial: trial.0, amount: *amount }),
        HistoryEvent::Ended { trial, outcome } => {
            let (outcome, costs) = match outcome {
                Outcome::Succeeded { costs } => (wire::ended::Outcome::Succeeded, costs.clone()),
                Outcome::EarlyStopped { costs } => (wire::ended::Outcome::EarlyStopped, costs.clone()),
                Outcome::Failed => (wire::ended::Outcome::Failed, Vec::new()),
            };
            E::Ended(wire::Ended { trial: trial.0, outcome: outcome.into(), costs })
        }
    };
    wire::HistoryEvent { event: Some(event) }
}

fn finite(costs: &[f64]) -> Result<Vec<f64>, ConvertError> {
    match costs.iter().find(|cost| !cost.is_finite()) {
        None => Ok(costs.to_vec()),
        Some(cost) => {
            Err(ConvertError::one(format!("cost {cost} is not finite; report the trial as failed")))
        }
    }
}

/// The trial of a message.
///
/// # Errors
/// If it has no suggestion.
pub fn trial_from_proto(trial: &wire::Trial) -> Result<Trial, ConvertError> {
    let suggestion = trial.suggestion.as_ref();
    let suggestion =
        suggestion.ok_or_else(|| ConvertError::one(format!("trial {} has no suggestion", trial.idx)))?;
    Ok(Trial { idx: TrialIdx(trial.idx), suggestion: suggestion_from_proto(suggestion)? })
}

/// The message of a trial.
pub fn trial_to_proto(trial: &Trial) -> wire::Trial {
    wire::Trial { idx: trial.idx.0, suggestion: Some(suggestion_to_proto(&trial.suggestion)) }
}

/// The suggestion of a message.
///
/// # Errors
/// If a number is not finite.
pub fn suggestion_from_proto(suggestion: &wire::Suggestion) -> Result<Suggestion, ConvertError> {
    Ok(Suggestion {
        assignment: assignment_from_proto(&suggestion.values)?,
        fidelity: suggestion.fidelity,
        parent: suggestion.parent.map(TrialIdx),
        notes: suggestion.notes.clone(),
    })
}

/// The message of a suggestion.
pub fn suggestion_to_proto(suggestion: &Suggestion) -> wire::Suggestion {
    wire::Suggestion {
        values: assignment_to_proto(&suggestion.assignment),
        fidelity: suggestion.fidelity,
        parent: suggestion.parent.map(|parent| parent.0),
        notes: suggestion.notes.clone(),
    }
}

/// The assignment of a message's values.
///
/// # Errors
/// If a number is not finite.
pub fn assignment_from_proto(values: &[wire::Value]) -> Result<Assignment, ConvertError> {
    use wire::value::Kind;
    let value = |value: &wire::Value| match value.kind {
        None => Ok(None),
        Some(Kind::Float(x)) if !x.is_finite() => Err(ConvertError::one(format!("value {x} is not finite"))),
        Some(Kind::Float(x)) => Ok(Some(Value::Float(x))),
        Some(Kind::Int(x)) => Ok(Some(Value::Int(x))),
        Some(Kind::Choice(i)) => Ok(Some(Value::Choice(i as usize))),
    };
    values.iter().map(value).collect::<Result<_, _>>().map(Assignment)
}

/// The values of an assignment as a message has them.
pub fn assignment_to_proto(assignment: &Assignment) -> Vec<wire::Value> {
    use wire::value::Kind;
    let value = |value: &Option<Value>| wire::Value {
        kind: value.map(|value| match value {
            Value::Float(x) => Kind::Float(x),
            Value::Int(x) => Kind::Int(x),
            Value::Choice(i) => Kind::Choice(i as u32),
        }),
    };
    assignment.0.iter().map(value).collect()
}

/// The prefix of a message; a digest of another length is taken for none that is held.
pub fn prefix_from_proto(prefix: &wire::Prefix) -> Prefix {
    let digest = <[u8; 32]>::try_from(prefix.digest.as_slice()).unwrap_or_default();
    Prefix { seq: prefix.seq, digest: Digest(digest) }
}

/// The message of a prefix.
pub fn prefix_to_proto(prefix: &Prefix) -> wire::Prefix {
    wire::Prefix { seq: prefix.seq, digest: prefix.digest.0.to_vec() }
}

/// The rule of a message.
///
/// # Errors
/// If it compares in no known way.
pub fn rule_from_proto(rule: &wire::Rule) -> Result<Rule, ConvertError> {
    let comparison = match rule.comparison() {
        wire::Comparison::Equal => Comparison::Equal,
        wire::Comparison::Less => Comparison::Less,
        wire::Comparison::Greater => Comparison::Greater,
        wire::Comparison::Unspecified => return Err(ConvertError::one("a rule compares in no known way")),
    };
    Ok(Rule { metric: rule.metric.clone(), value: rule.value, comparison, start_step: rule.start_step })
}

/// The message of a rule.
pub fn rule_to_proto(rule: &Rule) -> wire::Rule {
    let comparison = match rule.comparison {
        Comparison::Equal => wire::Comparison::Equal,
        Comparison::Less => wire::Comparison::Less,
        Comparison::Greater => wire::Comparison::Greater,
    };
    wire::Rule {
        metric: rule.metric.clone(),
        value: rule.value,
        comparison: comparison.into(),
        start_step: rule.start_step,
    }
}

/// The decision of a message; one that says nothing lets its trial go on.
pub fn decision_from_proto(decision: &wire::Decision) -> algorithms::Decision {
    use algorithms::Verdict as V;
    use wire::decision::Verdict as W;
    let verdict = match decision.verdict() {
        W::Unspecified | W::Continue => V::Continue,
        W::Pause => V::Pause,
        W::Stop => V::Stop,
        W::Resume => V::Resume,
    };
    algorithms::Decision { trial: TrialIdx(decision.trial), verdict, reason: decision.reason.clone() }
}

/// The message of a decision.
pub fn decision_to_proto(decision: &algorithms::Decision) -> wire::Decision {
    use algorithms::Verdict as V;
    use wire::decision::Verdict as W;
    let verdict = match decision.verdict {
        V::Continue => W::Continue,
        V::Pause => W::Pause,
        V::Stop => W::Stop,
        V::Resume => W::Resume,
    };
    wire::Decision { trial: decision.trial.0, verdict: verdict.into(), reason: decision.reason.clone() }
}

/// The message of an algorithm's description.
pub fn info_to_proto(info: &crate::registry::Info) -> wire::AlgorithmInfo {
    wire::AlgorithmInfo {
        name: info.name.into(),
        summary: info.summary.into(),
        settings: info
            .settings
            .iter()
            .map(|(name, default, meaning)| wire::SettingInfo {
                name: (*name).into(),
                default: (*default).into(),
                meaning: (*meaning).into(),
            })
            .collect(),
        features: info
            .features
            .iter()
            .map(|(name, can)| (name.to_string(), can.to_string()))
            .collect::<BTreeMap<_, _>>(),
        source: info.source.into(),
        early_stopping: info.early_stopping,
    }
}
