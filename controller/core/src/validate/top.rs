//! Names, counts, objective, algorithm, policies.

use crate::document::ExperimentDocument;
use crate::duration;
use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, ObjectiveSpec};

/// Longest name: with the longest algorithm's behind it, it must fit into a label.
const MAX_NAME: usize = 40;

pub(super) fn check(document: &ExperimentDocument, report: &mut Report) {
    if document.api_version != "kubeflow.org/v1beta1" {
        let message = format!("`{}` is not kubeflow.org/v1beta1", document.api_version);
        report.error(Problem::new("apiVersion", message));
    }
    if document.kind != "Experiment" {
        report.error(Problem::new("kind", format!("`{}` is not Experiment", document.kind)));
    }
    name(&document.metadata.name, report);
    let spec = &document.spec;
    counts(spec, report);
    match &spec.objective {
        None => report.error(Problem::new("spec.objective", "it is missing")),
        Some(objective) => self::objective(objective, report),
    }
    algorithms(spec, report);
    let policy = spec.resume_policy.as_deref().unwrap_or_default();
    if !matches!(policy, "" | "Never" | "LongRunning" | "FromVolume") {
        let problem = Problem::new("spec.resumePolicy", format!("`{policy}` is not a policy"));
        report.error(problem.hint("use Never, LongRunning or FromVolume"));
    }
    match (spec.parameters.is_empty(), &spec.nas_config) {
        (true, None) => report.error(Problem::new("spec", "parameters or nasConfig must be given")),
        (false, Some(_)) => {
            report.error(Problem::new("spec", "only one of parameters and nasConfig can be given"));
        }
        _ => {}
    }
    budgets(spec, report);
}

/// `^[a-z]([-a-z0-9]*[a-z0-9])?`, not anchored at its end: whether Katib lets the name through.
fn katib_accepts(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}

fn name(name: &str, report: &mut Report) {
    if name.is_empty() {
        report.error(Problem::new("metadata.name", "it is missing"));
    } else if !katib_accepts(name) || name.len() > MAX_NAME {
        let problem =
            Problem::new("metadata.name", format!("`{name}` is not a name that an experiment can have"));
        report.error(problem.hint(format!(
            "use lower-case letters, digits and `-`, beginning with a letter, at most {MAX_NAME} characters"
        )));
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        || name.ends_with('-')
    {
        // The name becomes a folder's and an object's: what Katib lets through to fail later fails here.
        let message = format!("`{name}` holds characters that names of objects cannot have");
        if name.contains(['/', '\\', '\0']) {
            report.error(Problem::new("metadata.name", message));
        } else {
            report.warn(Problem::new("metadata.name", message));
        }
    }
}

fn counts(spec: &ExperimentSpec, report: &mut Report) {
    if let Some(n) = spec.max_failed_trial_count.filter(|n| *n < 0) {
        report.error(Problem::new("spec.maxFailedTrialCount", format!("{n} is below 0")));
    }
    for (path, count) in [
        ("spec.maxTrialCount", spec.max_trial_count),
        ("spec.parallelTrialCount", spec.parallel_trial_count),
        ("spec.repeats", spec.repeats),
    ] {
        if let Some(n) = count.filter(|n| *n <= 0) {
            report.error(Problem::new(path, format!("{n} must be above 0")));
        }
    }
    let Some(max) = spec.max_trial_count else { return };
    if let Some(failed) = spec.max_failed_trial_count.filter(|failed| *failed > max) {
        let message = format!("{failed} is above maxTrialCount {max}");
        report.error(Problem::new("spec.maxFailedTrialCount", message));
    }
    if let Some(parallel) = spec.parallel_trial_count.filter(|parallel| *parallel > max) {
        let problem =
            Problem::new("spec.parallelTrialCount", format!("{parallel} is above maxTrialCount {max}"));
        report.error(problem.hint("parallelTrialCount is 3 where it is not given; set it"));
    }
}

fn objective(objective: &ObjectiveSpec, report: &mut Report) {
    if !matches!(objective.kind.as_str(), "minimize" | "maximize") {
        let problem = Problem::new("spec.objective.type", format!("`{}` is no direction", objective.kind));
        report.error(problem.hint("use minimize or maximize"));
    }
    let metric = &objective.objective_metric_name;
    if metric.is_empty() {
        report.error(Problem::new("spec.objective.objectiveMetricName", "it is missing"));
    } else if objective.additional_metric_names.contains(metric) {
        let message = format!("`{metric}` is the objective already");
        report.error(Problem::new("spec.objective.additionalMetricNames", message));
    }
    for (i, strategy) in objective.metric_strategies.iter().enumerate() {
        if !matches!(strategy.value.as_str(), "min" | "max" | "latest") {
            let message = format!("`{}` of `{}` is not min, max or latest", strategy.value, strategy.name);
            report.warn(Problem::new(format!("spec.objective.metricStrategies[{i}]"), message));
        }
    }
    if objective.goal.is_some_and(f64::is_nan) {
        report.warn(Problem::new("spec.objective.goal", "it is no number and can never be reached"));
    }
}

fn algorithms(spec: &ExperimentSpec, report: &mut Report) {
    let algorithm = spec.algorithm.as_ref();
    if algorithm.is_some_and(|algorithm| algorithm.algorithm_name.is_empty()) {
        let problem = Problem::new("spec.algorithm.algorithmName", "it is missing");
        report.error(problem.hint("leave spec.algorithm out and `auto` chooses"));
    }
    if spec.early_stopping.as_ref().is_some_and(|rule| rule.endpoint.is_some()) {
        let problem = Problem::new("spec.earlyStopping.endpoint", "rules of others are not built in yet");
        report.error(problem.hint("leave it out: `medianstop` goes with every algorithm"));
    }
    if spec.early_stopping.as_ref().is_some_and(|rule| rule.algorithm_name.is_empty()) {
        report.error(Problem::new("spec.earlyStopping.algorithmName", "it is missing"));
    }
}

fn budgets(spec: &ExperimentSpec, report: &mut Report) {
    if let Some(text) = spec.max_duration.as_deref().filter(|text| duration::parse(text).is_none()) {
        let problem = Problem::new("spec.maxDuration", format!("`{text}` is no duration"));
        report.error(problem.hint("write it as 90s, 2h30m or 7d"));
    }
    for (path, amount) in [
        ("spec.maxGpuHours", spec.max_gpu_hours),
        ("spec.maxCost", spec.max_cost),
        ("spec.pricePerSlotHour", spec.price_per_slot_hour),
    ] {
        if let Some(amount) = amount.filter(|amount| amount.is_nan() || *amount <= 0.0) {
            report.error(Problem::new(path, format!("{amount} must be above 0")));
        }
    }
    if spec.max_cost.is_some() && spec.price_per_slot_hour.is_none() {
        let problem = Problem::new("spec.maxCost", "without a price nothing costs anything");
        report.error(problem.hint("set spec.pricePerSlotHour"));
    }
}
