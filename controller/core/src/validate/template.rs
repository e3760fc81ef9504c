//! The trial template and its placeholders.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::render;
use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, TrialParameter, TrialTemplate};

const PATH: &str = "spec.trialTemplate";

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    let Some(template) = &spec.trial_template else {
        return report.error(Problem::new(PATH, "it is missing"));
    };
    if !template.is_process() {
        if template.primary_container_name.is_empty() {
            report.error(Problem::new(format!("{PATH}.primaryContainerName"), "it is missing"));
        }
        for (name, condition) in [
            ("successCondition", &template.success_condition),
            ("failureCondition", &template.failure_condition),
        ] {
            if condition.is_empty() && template.config_map.is_none() {
                let message = format!("kind `{}` has no default; it must be given", template.kind());
                report.error(Problem::new(format!("{PATH}.{name}"), message));
            }
        }
    }
    let Some(parameters) = &template.trial_parameters else {
        let problem = Problem::new(format!("{PATH}.trialParameters"), "it is missing");
        return report.error(problem.hint("an empty list says that the trial takes no parameters"));
    };
    match (&template.trial_spec, &template.config_map) {
        (None, None) => report.error(Problem::new(PATH, "trialSpec is missing")),
        (Some(_), Some(_)) => {
            report.error(Problem::new(PATH, "only one of trialSpec and configMap can be given"));
        }
        (None, Some(_)) => {
            let problem =
                Problem::new(format!("{PATH}.configMap"), "templates of config maps need a cluster");
            report.error(problem.hint("put the template into trialSpec"));
        }
        (Some(object), None) => trial_spec(spec, template, parameters, object, report),
    }
}

fn trial_spec(
    spec: &ExperimentSpec,
    template: &TrialTemplate,
    parameters: &[TrialParameter],
    object: &Value,
    report: &mut Report,
) {
    let text = object.to_string();
    let (mut names, mut references) = (BTreeSet::new(), BTreeSet::new());
    for (i, parameter) in parameters.iter().enumerate() {
        let path = format!("{PATH}.trialParameters[{i}]");
        if let Some(problem) = trial_parameter(spec, parameter, &text, &mut names, &mut references) {
            report.error(Problem::new(path, problem));
        } else if spec.nas_config.is_some() && !is_given(spec, &parameter.reference) {
            // Katib lets it through, and the trial fails.
            let message = format!("reference `{}` is nothing that a trial is given", parameter.reference);
            report.warn(Problem::new(path, message).hint(format!("use {}", spec.given().join(" or "))));
        }
    }
    for name in render::placeholders(&text) {
        if !names.contains(name) {
            let problem = Problem::new(
                format!("{PATH}.trialSpec"),
                format!("`${{trialParameters.{name}}}` stands for nothing"),
            );
            report.error(problem.hint(format!("add `{name}` to trialParameters")));
        }
    }
    // One without a name has been told of already.
    let is_lost = |name: &str| !name.is_empty() && !references.contains(name);
    for parameter in spec.parameters.iter().filter(|parameter| is_lost(&parameter.name)) {
        let problem = Problem::new(
            format!("{PATH}.trialParameters"),
            format!("parameter `{}` reaches no trial", parameter.name),
        );
        report.error(
            problem
                .hint(format!("add `{{name: {0}, reference: {0}}}` and use it in trialSpec", parameter.name)),
        );
    }
    let missing_default = |name: &str| {
        let parameter = spec.parameters.iter().find(|p| p.name == name);
        parameter.is_some_and(|p| !p.when.is_empty() && p.default_value.is_none())
    };
    if !template.is_process() {
        for parameter in parameters.iter().filter(|p| missing_default(&p.reference)) {
            let message =
                format!("`{}` can be inactive and has no default to stand in its place", parameter.reference);
            report.error(
                Problem::new(format!("{PATH}.trialSpec"), message).hint("give the parameter a default"),
            );
        }
    }
    for field in ["apiVersion", "kind"] {
        if object.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            report.error(Problem::new(format!("{PATH}.trialSpec.{field}"), "it is missing"));
        }
    }
    for field in ["name", "namespace"] {
        if object.pointer(&format!("/metadata/{field}")).is_some() {
            let problem = Problem::new(format!("{PATH}.trialSpec.metadata.{field}"), "it is given by Cairn");
            report.error(problem.hint("remove it"));
        }
    }
}

/// Whether a trial is given a text of this name.
fn is_given(spec: &ExperimentSpec, reference: &str) -> bool {
    render::meta_reference(reference).is_some() || spec.given().contains(&reference)
}

/// What is wrong with one placeholder, if anything; its name and reference are remembered.
fn trial_parameter<'a>(
    spec: &ExperimentSpec,
    parameter: &'a TrialParameter,
    text: &str,
    names: &mut BTreeSet<&'a str>,
    references: &mut BTreeSet<&'a str>,
) -> Option<String> {
    let (name, reference) = (parameter.name.as_str(), parameter.reference.as_str());
    if name.is_empty() || reference.is_empty() {
        return Some("name and reference must be given".into());
    }
    if name.contains(['{', '}']) {
        return Some(format!("name `{name}` holds a brace"));
    }
    if !names.insert(name) {
        return Some(format!("name `{name}` is given twice"));
    }
    if !references.insert(reference) {
        return Some(format!("reference `{reference}` is given twice"));
    }
    if !spec.parameters.is_empty() && !is_given(spec, reference) {
        return Some(format!("reference `{reference}` is no parameter"));
    }
    if !text.contains(&render::placeholder(name)) {
        return Some(format!("`{}` does not occur in trialSpec", render::placeholder(name)));
    }
    None
}
