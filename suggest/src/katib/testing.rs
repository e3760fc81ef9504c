//! Messages as a Katib controller sends them.

use proto::katib as wire;
use proto::katib::trial_status::TrialConditionType as Condition;

/// A parameter of a kind with the bounds `min,max,step`, or the list, of a text.
pub(super) fn parameter(name: &str, kind: wire::ParameterType, space: &str) -> wire::ParameterSpec {
    let items: Vec<String> = space.split(',').map(str::to_owned).collect();
    let at = |i: usize| items.get(i).cloned().unwrap_or_default();
    let is_list = matches!(kind, wire::ParameterType::Categorical | wire::ParameterType::Discrete);
    let feasible_space = if is_list {
        wire::FeasibleSpace { list: items, ..Default::default() }
    } else {
        wire::FeasibleSpace { min: at(0), max: at(1), step: at(2), ..Default::default() }
    };
    wire::ParameterSpec {
        name: name.into(),
        parameter_type: kind.into(),
        feasible_space: Some(feasible_space),
    }
}

/// An experiment that maximises `accuracy`.
pub(super) fn experiment(algorithm: &str, parameters: Vec<wire::ParameterSpec>) -> wire::Experiment {
    wire::Experiment {
        name: "e".into(),
        spec: Some(wire::ExperimentSpec {
            parameter_specs: Some(wire::experiment_spec::ParameterSpecs { parameters }),
            objective: Some(wire::ObjectiveSpec {
                r#type: wire::ObjectiveType::Maximize.into(),
                objective_metric_name: "accuracy".into(),
                ..Default::default()
            }),
            algorithm: Some(wire::AlgorithmSpec {
                algorithm_name: algorithm.into(),
                algorithm_settings: Vec::new(),
            }),
            parallel_trial_count: 3,
            ..Default::default()
        }),
    }
}

/// With one more setting.
pub(super) fn told(mut experiment: wire::Experiment, name: &str, value: &str) -> wire::Experiment {
    if let Some(algorithm) = experiment.spec.as_mut().and_then(|spec| spec.algorithm.as_mut()) {
        let setting = wire::AlgorithmSetting { name: name.into(), value: value.into() };
        algorithm.algorithm_settings.push(setting);
    }
    experiment
}

/// A trial at a point, with its accuracy if it has one, that began and ended in these seconds.
pub(super) fn trial(
    name: &str,
    point: &[(&str, &str)],
    condition: Condition,
    accuracy: Option<&str>,
    seconds: (u32, u32),
) -> wire::Trial {
    let assignments = point
        .iter()
        .map(|(name, value)| wire::ParameterAssignment { name: (*name).into(), value: (*value).into() });
    let metrics =
        accuracy.map(|value| wire::Metric { name: "accuracy".into(), value: value.into() }).into_iter();
    let time =
        |second: u32| if second == 0 { String::new() } else { format!("2026-01-01T00:00:{second:02}Z") };
    wire::Trial {
        name: name.into(),
        spec: Some(wire::TrialSpec {
            objective: None,
            parameter_assignments: Some(wire::trial_spec::ParameterAssignments {
                assignments: assignments.collect(),
            }),
            labels: [].into(),
        }),
        status: Some(wire::TrialStatus {
            start_time: time(seconds.0),
            completion_time: time(seconds.1),
            condition: condition.into(),
            observation: Some(wire::Observation { metrics: metrics.collect() }),
        }),
    }
}
