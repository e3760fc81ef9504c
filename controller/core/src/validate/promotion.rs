//! What happens to the winner.

use crate::duration;
use crate::process;
use crate::promotion::plan::EVALUATE;
use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, GateSpec, MetricsCollectorSpec, PipelineSpec, PromotionSpec, StepSpec};

/// Longest name of a model: it is a label's value.
const MAX_MODEL: usize = 63;

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    if let Some(promotion) = &spec.promotion {
        self::promotion(promotion, "spec.promotion", report);
    }
}

/// Every problem of a promotion, at this path.
pub fn promotion(promotion: &PromotionSpec, path: &str, report: &mut Report) {
    if let Some(problem) = model_problem(&promotion.model) {
        report.error(Problem::new(format!("{path}.model"), problem).hint("such as `model: digits`"));
    }
    match promotion.source.as_deref() {
        None | Some("trial") => {}
        Some("retrain") => {
            let problem = Problem::new(format!("{path}.source"), "`retrain` is not built in yet");
            report.error(problem.hint("use `trial`: what the best trial left in CAIRN_MODEL_DIR"));
        }
        Some(other) => {
            let problem = Problem::new(format!("{path}.source"), format!("`{other}` is no source"));
            report.error(problem.hint("use `trial`"));
        }
    }
    let has_evaluate = promotion.pipeline.as_ref().is_some_and(|p| p.step(EVALUATE).is_some());
    match &promotion.gate {
        Some(gate) => self::gate(gate, has_evaluate, &format!("{path}.gate"), report),
        None if has_evaluate => {
            let problem = Problem::new(format!("{path}.gate"), "without a gate nothing is measured");
            report.error(problem.hint("name what counts, such as `gate: {metric: accuracy, minimum: 0.9}`"));
        }
        None => {
            let problem =
                Problem::new(format!("{path}.gate"), "without a gate every winner becomes champion");
            report
                .warn(problem.hint("such as `gate: {metric: accuracy, minimum: 0.9, improvesOn: champion}`"));
        }
    }
    if let Some(text) = promotion.approval.as_ref().and_then(|approval| approval.expires.as_deref())
        && duration::parse(text).is_none()
    {
        let problem = Problem::new(format!("{path}.approval.expires"), format!("`{text}` is no duration"));
        report.error(problem.hint("write it as 12h or 7d"));
    }
    if let Some(pipeline) = &promotion.pipeline {
        steps(pipeline, &format!("{path}.pipeline.steps"), report);
    }
    if let Some(serving) = &promotion.serving {
        super::serving::check(serving, &format!("{path}.serving"), report);
    }
    if let Some(metadata) = &promotion.metadata {
        super::metadata::check(metadata, &format!("{path}.metadata"), report);
    }
}

/// What is wrong with a name of a model, if anything is.
pub fn model_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("it is missing".into());
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() > MAX_MODEL
        || !name.bytes().all(plain)
        || !edge(name.chars().next())
        || !edge(name.chars().next_back())
    {
        return Some(format!(
            "`{name}` is no name of a model: use lower-case letters, digits and `-`, at most {MAX_MODEL} characters"
        ));
    }
    None
}

fn gate(gate: &GateSpec, has_evaluate: bool, path: &str, report: &mut Report) {
    if gate.metric.is_empty() {
        report.error(
            Problem::new(format!("{path}.metric"), "it is missing")
                .hint("name the metric that the step `evaluate` prints"),
        );
    }
    if !has_evaluate {
        let problem = Problem::new(path, "there is no step `evaluate` to measure what it judges");
        report.error(problem.hint(
            "add one to promotion.pipeline.steps; the search's own objective does not count, since the best of many looks \
             better than it is",
        ));
    }
    match (gate.minimum, gate.maximum) {
        (None, None) => {
            let problem = Problem::new(path, "it says neither `minimum` nor `maximum`");
            report.error(
                problem.hint(
                    "`minimum` for a metric that is to be large, `maximum` for one that is to be small",
                ),
            );
        }
        (Some(_), Some(_)) => {
            let problem = Problem::new(path, "it says both `minimum` and `maximum`");
            report.error(problem.hint("keep the one on the good side of the metric"));
        }
        (minimum, maximum) => {
            if minimum.or(maximum).is_some_and(f64::is_nan) {
                report.error(Problem::new(path, "its limit is no number"));
            }
        }
    }
    if let Some(other) = gate.improves_on.as_deref().filter(|on| *on != "champion") {
        let problem =
            Problem::new(format!("{path}.improvesOn"), format!("`{other}` is nothing to improve on"));
        report.error(problem.hint("use `champion`"));
    }
    for (word, given) in [("by", gate.by.is_some()), ("confidence", gate.confidence.is_some())] {
        if given && gate.improves_on.is_none() {
            let problem = Problem::new(format!("{path}.{word}"), "there is nothing to compare with");
            report.error(problem.hint("set `improvesOn: champion`"));
        }
    }
    if let Some(by) = gate.by.filter(|by| !(*by >= 0.0 && by.is_finite())) {
        report.error(Problem::new(format!("{path}.by"), format!("{by} must be 0 or above")));
    }
    if let Some(sure) = gate.confidence.filter(|sure| !(*sure > 0.5 && *sure < 1.0)) {
        let problem = Problem::new(format!("{path}.confidence"), format!("{sure} is not between 0.5 and 1"));
        report.error(problem.hint("such as 0.95"));
    }
}

fn steps(pipeline: &PipelineSpec, path: &str, report: &mut Report) {
    let mut seen = false;
    for (i, step) in pipeline.steps.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if step.name != EVALUATE {
            let problem = Problem::new(format!("{path}.name"), format!("`{}` is no step", step.name));
            report.error(problem.hint(format!("the one step so far is `{EVALUATE}`")));
        } else if std::mem::replace(&mut seen, true) {
            report
                .error(Problem::new(format!("{path}.name"), format!("there is a step `{EVALUATE}` already")));
        }
        self::step(step, &path, report);
    }
}

fn step(step: &StepSpec, path: &str, report: &mut Report) {
    if step.process.is_none() {
        let problem = Problem::new(format!("{path}.process"), "it is missing");
        report.error(problem.hint("such as `process: {command: [python3, evaluate.py, \"${model.path}\"]}`"));
        return;
    }
    let collector = MetricsCollectorSpec::default();
    if let Err(problems) = process::of_manifest(&step.manifest(), "", &collector, "own") {
        for problem in problems {
            let at =
                problem.path.strip_prefix("spec").unwrap_or(&problem.path).trim_start_matches('.').to_owned();
            report.error(Problem { path: format!("{path}.process.{at}"), ..problem });
        }
        return;
    }
    let manifest = step.manifest().to_string();
    if !["${model.path}", "${model.uri}"].iter().any(|word| manifest.contains(word)) {
        let problem =
            Problem::new(format!("{path}.process"), "nothing tells the program which model to measure");
        report.error(problem.hint("hand it `${model.path}`"));
    }
    if manifest.contains("${data}") && step.data.is_none() {
        report.error(
            Problem::new(format!("{path}.data"), "`${data}` stands for nothing").hint("name the file"),
        );
    }
}
