//! Between an experiment's records and Katib's messages.

use std::collections::BTreeMap;

use controller_core::metrics::reduce::UNAVAILABLE;
use controller_core::plan::overlay;
use controller_core::spec::{
    AlgorithmSpec, ExperimentSpec, GraphConfig, NasConfig, ObjectiveSpec, Operation, ParameterSpec, Setting,
};
use controller_core::time::Timestamp;
use controller_core::trial::{MetricSummary, TrialRecord, TrialState};
use proto::katib as wire;
use proto::katib::get_suggestions_reply::ParameterAssignments;
use proto::katib::trial_status::TrialConditionType as Condition;
use study::{Space, Suggestion};

/// Note of a suggestion: the name that the service gave its trial.
const NAME: &str = "katib/name";
/// Before the name of a label, note of a suggestion.
const LABEL: &str = "katib/label/";

/// The experiment of a spec, with settings over those of its algorithm.
pub(super) fn experiment_to_proto(name: &str, spec: &ExperimentSpec, over: &[Setting]) -> wire::Experiment {
    let algorithm = spec.algorithm.clone().unwrap_or_default();
    let mut settings = algorithm.algorithm_settings;
    overlay(&mut settings, over.iter().cloned());
    let settings = settings.into_iter().map(|Setting { name, value }| wire::AlgorithmSetting { name, value });
    wire::Experiment {
        name: name.to_owned(),
        spec: Some(wire::ExperimentSpec {
            parameter_specs: Some(wire::experiment_spec::ParameterSpecs {
                parameters: spec.parameters.iter().map(parameter_to_proto).collect(),
            }),
            objective: Some(objective_to_proto(&spec.objective())),
            algorithm: Some(wire::AlgorithmSpec {
                algorithm_name: algorithm.algorithm_name,
                algorithm_settings: settings.collect(),
            }),
            early_stopping: spec.early_stopping.as_ref().map(early_stopping_to_proto),
            parallel_trial_count: spec.parallel_trial_count.unwrap_or(0),
            max_trial_count: spec.max_trial_count.unwrap_or(0),
            nas_config: spec.nas_config.as_ref().map(network_to_proto),
        }),
    }
}

fn network_to_proto(config: &NasConfig) -> wire::NasConfig {
    let GraphConfig { num_layers, input_sizes, output_sizes } = &config.graph_config;
    let operation = |operation: &Operation| wire::Operation {
        operation_type: operation.operation_type.clone(),
        parameter_specs: Some(wire::operation::ParameterSpecs {
            parameters: operation.parameters.iter().map(parameter_to_proto).collect(),
        }),
    };
    wire::NasConfig {
        graph_config: Some(wire::GraphConfig {
            num_layers: num_layers.unwrap_or(0),
            input_sizes: input_sizes.clone(),
            output_sizes: output_sizes.clone(),
        }),
        operations: Some(wire::nas_config::Operations {
            operation: config.operations.iter().map(operation).collect(),
        }),
    }
}

fn early_stopping_to_proto(spec: &AlgorithmSpec) -> wire::EarlyStoppingSpec {
    let settings = spec.algorithm_settings.iter().cloned();
    let settings = settings.map(|Setting { name, value }| wire::EarlyStoppingSetting { name, value });
    wire::EarlyStoppingSpec {
        algorithm_name: spec.algorithm_name.clone(),
        algorithm_settings: settings.collect(),
    }
}

fn objective_to_proto(spec: &ObjectiveSpec) -> wire::ObjectiveSpec {
    let kind = if spec.is_maximize() { wire::ObjectiveType::Maximize } else { wire::ObjectiveType::Minimize };
    wire::ObjectiveSpec {
        r#type: kind.into(),
        goal: spec.goal.unwrap_or(0.0),
        objective_metric_name: spec.objective_metric_name.clone(),
        additional_metric_names: spec.additional_metric_names.clone(),
    }
}

fn parameter_to_proto(spec: &ParameterSpec) -> wire::ParameterSpec {
    let kind = match spec.parameter_type.as_str() {
        "double" => wire::ParameterType::Double,
        "int" => wire::ParameterType::Int,
        "discrete" => wire::ParameterType::Discrete,
        "categorical" => wire::ParameterType::Categorical,
        _ => wire::ParameterType::UnknownType,
    };
    let space = &spec.feasible_space;
    let distribution = match space.distribution.as_str() {
        "uniform" => wire::Distribution::Uniform,
        "logUniform" => wire::Distribution::LogUniform,
        "normal" => wire::Distribution::Normal,
        "logNormal" => wire::Distribution::LogNormal,
        _ => wire::Distribution::Unspecified,
    };
    wire::ParameterSpec {
        name: spec.name.clone(),
        parameter_type: kind.into(),
        feasible_space: Some(wire::FeasibleSpace {
            max: space.max.clone(),
            min: space.min.clone(),
            list: space.list.clone(),
            step: space.step.clone(),
            distribution: distribution.into(),
        }),
    }
}

/// A trial, with its end if that is to be known. `None` for one that Katib does not show: it ended without a value.
pub(super) fn trial_to_proto(
    trial: &TrialRecord,
    ended: bool,
    objective: &ObjectiveSpec,
) -> Option<wire::Trial> {
    let condition = match trial.state {
        _ if !ended => Condition::Running,
        TrialState::Succeeded => Condition::Succeeded,
        TrialState::EarlyStopped if trial.objectives.is_empty() => return None,
        TrialState::EarlyStopped => Condition::Earlystopped,
        TrialState::Killed => Condition::Killed,
        TrialState::Failed => Condition::Failed,
        TrialState::MetricsUnavailable => return None,
        TrialState::Pending | TrialState::Running | TrialState::Paused => Condition::Running,
    };
    let metrics = trial.observation.iter().filter(|_| ended).map(|summary| wire::Metric {
        name: summary.name.clone(),
        value: chosen(summary, objective).to_owned(),
    });
    // A trial that runs began when it was written down: so a question asked again is the same to the letter.
    let start = trial.started.filter(|_| ended).unwrap_or(trial.created);
    let notes = &trial.suggestion.notes;
    let labels = notes.iter().filter_map(|(name, value)| Some((name.strip_prefix(LABEL)?, value)));
    let assignments = trial.assignments.iter().cloned();
    let assignments = assignments.map(|(name, value)| wire::ParameterAssignment { name, value });
    Some(wire::Trial {
        name: notes.get(NAME).unwrap_or(&trial.name).clone(),
        spec: Some(wire::TrialSpec {
            objective: Some(objective_to_proto(objective)),
            parameter_assignments: Some(wire::trial_spec::ParameterAssignments {
                assignments: assignments.collect(),
            }),
            labels: labels.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        }),
        status: Some(wire::TrialStatus {
            start_time: start.to_rfc3339(),
            completion_time: trial.ended.filter(|_| ended).map(Timestamp::to_rfc3339).unwrap_or_default(),
            condition: condition.into(),
            observation: Some(wire::Observation { metrics: metrics.collect() }),
        }),
    })
}

/// The value of a metric that its strategy picks; a minimum or maximum that there is none of gives way to the latest.
fn chosen<'a>(summary: &'a MetricSummary, objective: &ObjectiveSpec) -> &'a str {
    let strategy = objective.metric_strategies.iter().find(|strategy| strategy.name == summary.name);
    let picked = match strategy.map(|strategy| strategy.value.as_str()) {
        Some("min") => &summary.min,
        Some("max") => &summary.max,
        _ => &summary.latest,
    };
    if picked == UNAVAILABLE { &summary.latest } else { picked }
}

/// The suggestion of an answer; what the service wants to find at the trial again becomes its notes.
///
/// # Errors
/// If a parameter has no value, or one that its list does not hold.
pub(super) fn suggestion_from_proto(
    space: &Space,
    by: &str,
    answer: &ParameterAssignments,
) -> Result<Suggestion, String> {
    let texts = answer.assignments.iter().map(|a| (a.name.as_str(), a.value.as_str()));
    let texts: BTreeMap<&str, &str> = texts.collect();
    let assignment = space.parse(texts.iter().map(|(name, text)| (*name, *text)));
    if space.network().is_some() && !space.contains(&assignment) {
        return Err("a suggestion has no `architecture` of this network".into());
    }
    for (i, parameter) in space.parameters().iter().enumerate() {
        if assignment.get(i).is_none() {
            let name = &parameter.name;
            return Err(match texts.get(name.as_str()) {
                None => format!("a suggestion has no value for `{name}`"),
                Some(text) => format!("a suggestion has `{text}` for `{name}`, which is no value of it"),
            });
        }
    }
    let mut notes = BTreeMap::from([("by".to_owned(), by.to_owned())]);
    if !answer.trial_name.is_empty() {
        notes.insert(NAME.into(), answer.trial_name.clone());
    }
    notes.extend(answer.labels.iter().map(|(name, value)| (format!("{LABEL}{name}"), value.clone())));
    Ok(Suggestion { assignment, notes, ..Suggestion::default() })
}

#[cfg(test)]
mod tests;
