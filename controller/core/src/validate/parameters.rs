//! The search space.

use std::collections::BTreeSet;

use study::{Assignment, Space};

use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, ParameterSpec};

/// Points drawn to see whether any meets the constraints.
const SWEEP: u64 = 20_000;

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    let (mut names, mut told) = (BTreeSet::new(), BTreeSet::new());
    for (i, parameter) in spec.parameters.iter().enumerate() {
        let path = format!("spec.parameters[{i}]");
        let mut own = Report::default();
        if parameter.name.is_empty() {
            own.error(Problem::new(format!("{path}.name"), "it is missing"));
        }
        if !names.insert(&parameter.name) {
            // Two dimensions of one name cannot both be given to a trial.
            own.error(Problem::new(format!("{path}.name"), format!("`{}` is given twice", parameter.name)));
        }
        self::parameter(parameter, &path, &mut own);
        if !own.is_valid() {
            told.insert(&parameter.name);
        }
        report.extend(own);
    }
    let mut own = Report::default();
    for (i, operation) in spec.nas_config.iter().flat_map(|config| &config.operations).enumerate() {
        for (j, parameter) in operation.parameters.iter().enumerate() {
            self::parameter(parameter, &format!("spec.nasConfig.operations[{i}].parameters[{j}]"), &mut own);
        }
    }
    let is_told = !own.is_valid();
    report.extend(own);
    if (spec.parameters.is_empty() && spec.nas_config.is_none()) || is_told {
        return;
    }
    let (study, warnings) = crate::study::of_spec(spec, "", 0);
    report.extend(warnings);
    match study {
        Ok(study) => {
            constraints(&study.space, report);
            queued_points(spec, &study.space, report);
        }
        Err(problems) => {
            let of = |problem: &Problem, i: usize| problem.path.starts_with(&format!("spec.parameters[{i}]"));
            let those = spec.parameters.iter().enumerate().filter(|(_, it)| told.contains(&it.name));
            let is_told = |problem: &Problem| those.clone().any(|(i, _)| of(problem, i));
            report.errors.extend(problems.into_iter().filter(|problem| !is_told(problem)));
        }
    }
}

fn parameter(parameter: &ParameterSpec, path: &str, report: &mut Report) {
    let kind = parameter.parameter_type.as_str();
    if !matches!(kind, "int" | "double" | "categorical" | "discrete" | "unknown") {
        let problem = Problem::new(format!("{path}.parameterType"), format!("`{kind}` is no type"));
        report.error(problem.hint("use double, int, discrete or categorical"));
    }
    let space = &parameter.feasible_space;
    let path = format!("{path}.feasibleSpace");
    if !matches!(
        space.distribution.as_str(),
        "uniform" | "logUniform" | "normal" | "logNormal" | "unknown" | ""
    ) {
        let problem = Problem::new(
            format!("{path}.distribution"),
            format!("`{}` is no distribution", space.distribution),
        );
        report.error(problem.hint("use uniform, logUniform, normal or logNormal"));
    }
    match kind {
        "int" | "double" => {
            if !space.list.is_empty() {
                report.error(Problem::new(
                    format!("{path}.list"),
                    format!("a parameter of type {kind} has no list"),
                ));
            }
            for (name, bound) in [("min", &space.min), ("max", &space.max)] {
                if bound.is_empty() {
                    report.error(Problem::new(&path, format!("`{}`: {name} is missing", parameter.name)));
                }
            }
        }
        "categorical" | "discrete" => {
            for (name, bound) in [("min", &space.min), ("max", &space.max), ("step", &space.step)] {
                if !bound.is_empty() {
                    let message = format!("a parameter of type {kind} has no {name}");
                    report.error(Problem::new(format!("{path}.{name}"), message));
                }
            }
        }
        _ => {}
    }
    if parameter.ordered.is_some() && kind != "categorical" {
        report.warn(Problem::new(format!("{path}.ordered"), "only a categorical parameter can be ordered"));
    }
}

/// Looks for one point that meets the constraints, on a Halton sequence, which leaves no large part unvisited.
fn constraints(space: &Space, report: &mut Report) {
    if space.constraints().is_empty() {
        return;
    }
    let found = (1..=SWEEP).any(|i| space.is_feasible(&halton_point(space, i)));
    if !found {
        let all: Vec<String> = space.constraints().iter().map(ToString::to_string).collect();
        let message = format!("no point of {SWEEP} meets them all: {}", all.join(", "));
        report.error(
            Problem::new("spec.parameterConstraints", message).hint("widen the space or the constraints"),
        );
    }
}

fn halton_point(space: &Space, i: u64) -> Assignment {
    const PRIMES: [u64; 25] =
        [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];
    let values = space.parameters().iter().enumerate().map(|(dim, parameter)| {
        let u = halton(i * (1 + dim as u64 / PRIMES.len() as u64), PRIMES[dim % PRIMES.len()]);
        Some(value_at(&parameter.domain, u))
    });
    space.deactivate(Assignment(values.collect()))
}

/// Van der Corput's sequence in a base, in (0, 1).
fn halton(mut i: u64, base: u64) -> f64 {
    let (mut u, mut fraction) = (0.0, 1.0 / base as f64);
    while i > 0 {
        u += fraction * (i % base) as f64;
        fraction /= base as f64;
        i /= base;
    }
    u
}

fn value_at(domain: &study::Domain, u: f64) -> study::Value {
    match domain {
        study::Domain::Float { min, max, step: None, distribution } if distribution.is_log() => {
            study::Value::Float((min.ln() + u * (max.ln() - min.ln())).exp().clamp(*min, *max))
        }
        study::Domain::Float { min, max, step: None, .. } => study::Value::Float(min + u * (max - min)),
        other => other.nth((u * other.cardinality().unwrap_or(1) as f64) as u64),
    }
}

fn queued_points(spec: &ExperimentSpec, space: &Space, report: &mut Report) {
    for (i, point) in spec.queued_points.iter().enumerate() {
        let path = format!("spec.queuedPoints[{i}]");
        for problem in point_problems(space, point.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        {
            report.error(Problem::new(&path, problem));
        }
    }
}

/// Why texts by name are no point of a space; empty if they are one.
pub fn point_problems<'a>(
    space: &Space,
    point: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Vec<String> {
    if space.network().is_some() {
        let unknown = || "`architecture` is missing, or none of this network".to_owned();
        return space.project(point).map_or_else(|| vec![unknown()], |_| Vec::new());
    }
    let mut problems = Vec::new();
    for (name, text) in point.clone() {
        match space.position(name) {
            None => problems.push(format!("`{name}` is no parameter")),
            Some(i) => {
                let domain = &space.parameters()[i].domain;
                if !domain.parse(text).is_some_and(|value| domain.contains(value)) {
                    problems.push(format!("`{name}`: `{text}` is not in its feasible space"));
                }
            }
        }
    }
    if !problems.is_empty() {
        return problems;
    }
    let assignment = space.deactivate(space.parse(point));
    for (i, parameter) in space.parameters().iter().enumerate() {
        if assignment.get(i).is_none() && space.is_active(i, &assignment) {
            problems.push(format!("`{}` is missing", parameter.name));
        }
    }
    if problems.is_empty() && !space.is_feasible(&assignment) {
        problems.push("it does not meet the constraints".into());
    }
    problems
}
