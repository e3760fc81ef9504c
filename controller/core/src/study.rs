//! The study of a spec: what an algorithm sees of an Experiment.

mod nas;

use std::collections::{BTreeMap, BTreeSet};

use study::{
    Algorithm, Condition, Constraint, Distribution, Domain, Expense, Objective, Parameter, Prior,
    Requirement, Space, SpaceError, Study, Unit,
};

use crate::plan::Limits;
use crate::report::{Problem, Report};
use crate::spec::{AlgorithmSpec, ExperimentSpec, FeasibleSpace, ParameterSpec, PriorSpec, Setting};

/// The study of a defaulted spec. `random_state` of the algorithm wins over `seed`.
///
/// # Errors
/// Everything that keeps a point from being drawn, with its path; warnings come with either outcome. What cannot be read of
/// one parameter hides nothing of the others.
pub fn of_spec(spec: &ExperimentSpec, name: &str, seed: u64) -> (Result<Study, Vec<Problem>>, Report) {
    let mut report = Report::default();
    let space = match &spec.nas_config {
        Some(config) if spec.parameters.is_empty() => nas::space(spec, config, &mut report),
        _ => self::space(spec, &mut report),
    };
    (space.map(|space| self::study(spec, name, seed, space)), report)
}

/// The space of parameters.
fn space(spec: &ExperimentSpec, report: &mut Report) -> Result<Space, Vec<Problem>> {
    let parameters: Vec<Option<Parameter>> = spec
        .parameters
        .iter()
        .enumerate()
        .map(|(i, parameter)| self::parameter(parameter, &format!("spec.parameters[{i}]"), report))
        .collect();
    let mut constraints = Vec::new();
    for (i, text) in spec.parameter_constraints.iter().enumerate() {
        match Constraint::parse(text) {
            Ok(constraint) => constraints.push(constraint),
            Err(error) => {
                report.error(Problem::new(format!("spec.parameterConstraints[{i}]"), error.to_string()));
            }
        }
    }
    let mut errors = std::mem::take(&mut report.errors);
    let lost = spec.parameters.iter().zip(&parameters).filter(|(_, read)| read.is_none());
    let lost: BTreeSet<&str> = lost.map(|(parameter, _)| parameter.name.as_str()).collect();
    let space = Space::new(parameters.into_iter().flatten().collect(), constraints).map_err(|found| {
        let found = found.iter().filter(|error| !follows(error, &lost));
        errors.extend(found.map(|error| Problem::new(place(spec, error), error.to_string())));
    });
    space.ok().filter(|_| errors.is_empty()).ok_or(errors)
}

fn study(spec: &ExperimentSpec, name: &str, seed: u64, space: Space) -> Study {
    let objective = spec.objective();
    let algorithm = spec.algorithm.as_ref().map(self::algorithm).unwrap_or_default();
    let seed =
        algorithm.settings.get("random_state").and_then(|text| text.trim().parse().ok()).unwrap_or(seed);
    Study {
        name: name.to_owned(),
        space,
        objectives: vec![Objective {
            metric: objective.objective_metric_name.clone(),
            direction: objective.direction(),
            goal: objective.goal,
        }],
        algorithm,
        early_stopping: spec.early_stopping.as_ref().map(self::algorithm),
        seed,
        max_trials: spec.max_trial_count.and_then(|n| u64::try_from(n).ok()),
        parallel: spec.parallel_trial_count.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
        expense: expense(&Limits::of_spec(spec)),
    }
}

/// What all trials may take together, of what is bounded: money before GPUs before time.
fn expense(limits: &Limits) -> Option<Expense> {
    let of = |unit, most: Option<f64>| most.filter(|most| *most > 0.0).map(|most| Expense { unit, most });
    let seconds = limits.max_duration.map(|max| max.as_secs_f64() * limits.parallel as f64);
    of(Unit::Money, limits.max_cost)
        .or(of(Unit::GpuSeconds, limits.max_gpu_seconds))
        .or(of(Unit::Seconds, seconds))
}

/// Whether an error of the space is only there because parameters that could not be read were left out of it.
fn follows(error: &SpaceError, lost: &BTreeSet<&str>) -> bool {
    match error {
        SpaceError::NoParameters => !lost.is_empty(),
        SpaceError::UnknownParent { parent: name, .. } | SpaceError::ConstraintOperand { name, .. } => {
            lost.contains(name.as_str())
        }
        _ => false,
    }
}

/// Where an error of the space stands in the document.
fn place(spec: &ExperimentSpec, error: &SpaceError) -> String {
    if let SpaceError::ConstraintOperand { constraint, .. } = error
        && let Some(i) = spec.parameter_constraints.iter().position(|text| text.trim() == constraint.trim())
    {
        return format!("spec.parameterConstraints[{i}]");
    }
    let named = |name| spec.parameters.iter().position(|parameter| parameter.name == name);
    match error.parameter().and_then(named) {
        Some(i) => format!("spec.parameters[{i}]"),
        None => "spec.parameters".into(),
    }
}

fn algorithm(spec: &AlgorithmSpec) -> Algorithm {
    let settings =
        spec.algorithm_settings.iter().map(|Setting { name, value }| (name.clone(), value.clone()));
    Algorithm { name: spec.algorithm_name.clone(), settings: settings.collect::<BTreeMap<_, _>>() }
}

fn parameter(spec: &ParameterSpec, path: &str, report: &mut Report) -> Option<Parameter> {
    let space = &spec.feasible_space;
    let space_path = format!("{path}.feasibleSpace");
    let domain = match spec.parameter_type.as_str() {
        "double" => double(space, &space_path, report)?,
        "int" => int(space, &space_path, report)?,
        "discrete" => discrete(spec, &space_path, report),
        // What a parameter of unknown type holds is known from its list alone.
        "categorical" | "unknown" => categorical(spec, &space_path, report),
        _ => return None,
    };
    let default = match &spec.default_value {
        None => None,
        Some(text) => {
            if let Some(value) = domain.parse(text).filter(|value| domain.contains(*value)) {
                Some(value)
            } else {
                report.error(Problem::new(
                    format!("{path}.default"),
                    format!("`{text}` is not in the feasible space"),
                ));
                return None;
            }
        }
    };
    let prior = match spec.prior.as_ref().map(|prior| self::prior(prior, &domain)) {
        None => None,
        Some(Ok(prior)) => Some(prior),
        Some(Err(problem)) => {
            let problem = Problem::new(format!("{path}.prior"), format!("`{}`: {problem}", spec.name));
            report.error(problem.hint(PRIOR_HINT));
            return None;
        }
    };
    let when = spec
        .when
        .iter()
        .map(|(parent, wanted)| condition(parent, wanted, path, report))
        .collect::<Option<_>>()?;
    Some(Parameter { name: spec.name.clone(), domain, when, default, prior })
}

/// How a prior is written.
const PRIOR_HINT: &str =
    "for example `prior: {mean: 0.01, std: 0.5}`, or `prior: {weights: {adam: 3, sgd: 1}}` for a list";

fn prior(spec: &PriorSpec, domain: &Domain) -> Result<Prior, String> {
    let prior = match (spec.mean, spec.std, spec.weights.is_empty()) {
        (Some(mean), Some(std), true) => Prior::Normal { mean, std },
        (None, None, false) => {
            Prior::weighted(domain, spec.weights.iter().map(|(text, weight)| (text.as_str(), *weight)))?
        }
        _ => return Err("a prior has mean and std for a number, or weights for a list".into()),
    };
    prior.check(domain)?;
    Ok(prior)
}

fn condition(parent: &str, wanted: &serde_json::Value, path: &str, report: &mut Report) -> Option<Condition> {
    use serde_json::Value;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let requirement = match wanted {
        Value::Object(bounds) => {
            let bound = |name: &str| match bounds.get(name) {
                None => Some(None),
                Some(Value::String(text)) => text.trim().parse().ok().map(Some),
                Some(other) => other.as_f64().map(Some),
            };
            let known = bounds.keys().all(|key| key == "min" || key == "max") && !bounds.is_empty();
            match (known, bound("min"), bound("max")) {
                (true, Some(min), Some(max)) => Some(Requirement::Between { min, max }),
                _ => None,
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(text).collect::<Option<Vec<_>>>().map(|values| Requirement::OneOf { values })
        }
        single => text(single).map(|text| Requirement::OneOf { values: vec![text] }),
    };
    if requirement.is_none() {
        let problem =
            Problem::new(format!("{path}.when.{parent}"), "it is no value, list of values or {min, max}");
        report.error(problem.hint("for example `when: {optimizer: sgd}` or `when: {layers: {min: 2}}`"));
    }
    Some(Condition { parent: parent.to_owned(), requirement: requirement? })
}

/// A number of the space, or an error that names it.
fn bound<T: std::str::FromStr>(
    text: &str,
    path: &str,
    name: &str,
    kind: &str,
    report: &mut Report,
) -> Option<T> {
    let number = text.trim().parse().ok();
    if number.is_none() {
        report.error(Problem::new(format!("{path}.{name}"), format!("`{text}` is no {kind}")));
    }
    number
}

fn distribution(space: &FeasibleSpace) -> Distribution {
    match space.distribution.as_str() {
        "logUniform" => Distribution::LogUniform,
        "normal" => Distribution::Normal,
        "logNormal" => Distribution::LogNormal,
        _ => Distribution::Uniform,
    }
}

fn double(space: &FeasibleSpace, path: &str, report: &mut Report) -> Option<Domain> {
    let min = bound(&space.min, path, "min", "number", report);
    let max = bound(&space.max, path, "max", "number", report);
    let step = if space.step.is_empty() {
        Some(None)
    } else {
        bound(&space.step, path, "step", "number", report).map(Some)
    };
    Some(Domain::Float { min: min?, max: max?, step: step?, distribution: distribution(space) })
}

fn int(space: &FeasibleSpace, path: &str, report: &mut Report) -> Option<Domain> {
    let min = bound(&space.min, path, "min", "whole number", report);
    let max = bound(&space.max, path, "max", "whole number", report);
    let step = if space.step.is_empty() {
        Some(1)
    } else {
        bound(&space.step, path, "step", "whole number", report)
    };
    Some(Domain::Int { min: min?, max: max?, step: step?, distribution: distribution(space) })
}

fn discrete(spec: &ParameterSpec, path: &str, report: &mut Report) -> Domain {
    let list = distinct(&spec.feasible_space.list, path, report);
    let numbers: Option<Vec<f64>> =
        list.iter().map(|text| text.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect();
    let Some(numbers) = numbers else {
        let problem = Problem::new(
            format!("{path}.list"),
            "not every discrete value is a number: taken as categorical",
        );
        report.warn(problem.hint("write `parameterType: categorical`"));
        return Domain::Categorical { choices: list, ordered: false };
    };
    let mut pairs: Vec<(f64, String)> = numbers.into_iter().zip(list).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    #[expect(clippy::float_cmp, reason = "the same number written twice is one")]
    pairs.dedup_by(|a, b| a.0 == b.0);
    let (values, texts) = pairs.into_iter().unzip();
    Domain::Discrete { texts, values }
}

fn categorical(spec: &ParameterSpec, path: &str, report: &mut Report) -> Domain {
    let choices = distinct(&spec.feasible_space.list, path, report);
    Domain::Categorical { choices, ordered: spec.ordered.unwrap_or(false) }
}

fn distinct(list: &[String], path: &str, report: &mut Report) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::with_capacity(list.len());
    for text in list {
        if distinct.contains(text) {
            report.warn(Problem::new(format!("{path}.list"), format!("`{text}` is listed twice")));
        } else {
            distinct.push(text.clone());
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
    fn study(parameters: serde_json::Value) -> (Result<Study, Vec<Problem>>, Report) {
        let spec = serde_json::from_value(json!({
            "parameters": parameters,
            "objective": {"type": "maximize", "objectiveMetricName": "acc"},
            "algorithm": {"algorithmName": "random", "algorithmSettings": [{"name": "random_state", "value": "7"}]},
        }));
        of_spec(&spec.unwrap(), "s", 1)
    }

    #[test]
    fn discrete_lists_are_sorted_and_keep_their_texts() {
        let (study, report) = study(json!([
            {"name": "a", "parameterType": "discrete", "feasibleSpace": {"list": ["10", "1e0", "10", "2"]}},
        ]));
        let study = study.unwrap();
        let Domain::Discrete { texts, values } = &study.space.parameters()[0].domain else { panic!() };
        assert_eq!((texts.join(","), values.clone()), ("1e0,2,10".to_owned(), vec![1.0, 2.0, 10.0]));
        assert_eq!(report.warnings.len(), 1);
        assert_eq!(study.seed, 7);
    }

    #[test]
    fn spaces_from_which_nothing_can_be_drawn_are_errors() {
        for (space, kind, wanted) in [
            (json!({"list": []}), "categorical", "the list is empty"),
            (json!({"min": "2", "max": "1"}), "double", "min 2 is above max 1"),
            (
                json!({"min": "0", "max": "1", "distribution": "logUniform"}),
                "double",
                "a log distribution needs min above 0",
            ),
            (json!({"min": "x", "max": "1"}), "double", "`x` is no number"),
            (json!({"min": "1", "max": "2.5"}), "int", "`2.5` is no whole number"),
            (json!({"min": "1", "max": "2", "step": "0"}), "double", "step 0 must be above 0"),
            (json!({"min": "1", "max": "inf"}), "double", "max is not a finite number"),
        ] {
            let (study, _) = study(json!([{"name": "a", "parameterType": kind, "feasibleSpace": space}]));
            let problems = study.unwrap_err();
            assert!(problems[0].message.contains(wanted), "{space}: {problems:?}");
        }
    }

    #[test]
    fn a_prior_is_read_or_refused_with_its_place_and_a_way_out() {
        let lr = |prior: serde_json::Value| {
            json!([{"name": "lr", "parameterType": "double", "prior": prior,
                "feasibleSpace": {"min": "0.001", "max": "1", "distribution": "logUniform"}}])
        };
        let (study, _) = study(lr(json!({"mean": 0.01, "std": 0.5})));
        let believed = study.unwrap().space.parameters()[0].prior.clone();
        assert_eq!(believed, Some(Prior::Normal { mean: 0.01, std: 0.5 }));
        for (prior, wanted) in [
            (json!({"mean": 0.01}), "`lr`: a prior has mean and std for a number, or weights for a list"),
            (json!({}), "`lr`: a prior has mean and std"),
            (json!({"mean": 2, "std": 1}), "`lr`: mean 2 is not between min 0.001 and max 1"),
            (json!({"weights": {"a": 1}}), "`lr`: weights are for lists"),
        ] {
            let (study, _) = self::study(lr(prior));
            let problems = study.unwrap_err();
            assert!(problems[0].message.starts_with(wanted), "{problems:?}");
            assert_eq!((&*problems[0].path, problems[0].hint.is_some()), ("spec.parameters[0].prior", true));
        }
    }

    #[test]
    fn conditions_take_values_lists_and_bounds() {
        let (study, _) = study(json!([
            {"name": "opt", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
            {"name": "layers", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "4"}},
            {"name": "momentum", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"},
             "when": {"opt": "sgd", "layers": {"min": 2}}},
        ]));
        assert_eq!(study.unwrap().space.parameters()[2].when.len(), 2);
    }
}
