//! From a text to an Experiment: strict types as the Kubernetes API has them, all mistakes at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields;
use crate::report::{Problem, Report};
use crate::spec::ExperimentSpec;
use crate::yaml::{self, Source};

/// Most type errors reported of one document.
const MAX_TYPE_ERRORS: usize = 100;

/// An Experiment resource as submitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentDocument {
    /// `kubeflow.org/v1beta1`.
    pub api_version: String,
    /// `Experiment`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// Everything else.
    pub spec: ExperimentSpec,
}

/// `metadata` of an Experiment; other fields are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Name, unique in its namespace.
    pub name: String,
    /// Namespace; empty means `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Reads the one Experiment of a text. What could not be read is missing from the document and named in the report;
/// the source gives lines to whatever else is found.
pub fn read(text: &str) -> (ExperimentDocument, Source, Report) {
    let mut report = Report::default();
    let sources = match yaml::parse(text) {
        Ok(sources) => sources,
        Err(error) => {
            let problem = Problem { line: Some(error.line), ..Problem::new("", error.message) };
            report.error(problem.hint("the file must be YAML or JSON"));
            return (ExperimentDocument::default(), Source::default(), report);
        }
    };
    let mut sources: Vec<Source> = sources.into_iter().filter(|source| !source.value.is_null()).collect();
    if sources.len() > 1 {
        report.error(Problem::new(
            "",
            format!("{} documents in one file; one Experiment is wanted", sources.len()),
        ));
    }
    if sources.is_empty() {
        report.error(
            Problem::new("", "the file is empty").hint("`cairn init` writes an Experiment to start from"),
        );
        return (ExperimentDocument::default(), Source::default(), report);
    }
    let source = sources.swap_remove(0);
    let (document, decoded) = decode(source.value.clone());
    report.extend(decoded);
    let report = report.with_lines(&source);
    (document, source, report)
}

/// Decodes a document. A node of a wrong type is named and left out, and decoding goes on.
pub fn decode(mut value: Value) -> (ExperimentDocument, Report) {
    let mut report = Report::default();
    if !value.is_object() {
        report.error(Problem::new("", "an Experiment is a map with apiVersion, kind, metadata and spec"));
        return (ExperimentDocument::default(), report);
    }
    remove_nulls(&mut value, "");
    repair_distribution(&mut value);
    for _ in 0..MAX_TYPE_ERRORS {
        match serde_path_to_error::deserialize::<_, ExperimentDocument>(&value) {
            Ok(document) => {
                report.extend(unknown_fields(&value));
                return (document, report);
            }
            Err(error) => {
                let path = error.path().to_string();
                let found = lookup(&value, &path).cloned();
                report.error(type_error(&path, &error.into_inner().to_string(), found.as_ref()));
                if !remove(&mut value, &path) {
                    break;
                }
            }
        }
    }
    (ExperimentDocument::default(), report)
}

fn type_error(path: &str, message: &str, found: Option<&Value>) -> Problem {
    let message = message.split(" at line ").next().unwrap_or(message);
    let expected = message.split_once("expected ").map_or("", |(_, expected)| expected);
    let wanted = match expected {
        "a string" => "a text",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "f64" => "a number",
        word if word.starts_with(['i', 'u']) && word[1..].parse::<u8>().is_ok() => "a whole number",
        word if word.starts_with("struct ") || word == "a map" => "a map",
        other => other,
    };
    let problem = match found {
        Some(found) if message.starts_with("invalid type") => {
            Problem::new(path, format!("{} where {wanted} is wanted", in_words(found)))
        }
        Some(found) if message.starts_with("invalid value") => {
            Problem::new(path, format!("{} is out of range", in_words(found)))
        }
        _ => Problem::new(path, message),
    };
    match found {
        Some(Value::Number(value)) if wanted == "a text" => {
            problem.hint(format!("quote it: write \"{value}\""))
        }
        Some(Value::Bool(value)) if wanted == "a text" => {
            let alike = if *value { "y, yes, on and true" } else { "n, no, off and false" };
            problem.hint(format!("quote it as it is written; without quotes YAML 1.1 reads {alike} alike"))
        }
        Some(Value::String(text)) if wanted.ends_with("number") && text.trim().parse::<f64>().is_ok() => {
            problem.hint(format!("write it without quotes: {text}"))
        }
        _ => problem,
    }
}

/// A value as it is called in a sentence.
fn in_words(value: &Value) -> String {
    const LONGEST: usize = 40;
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) if text.chars().count() > LONGEST => {
            format!("the text `{}...`", text.chars().take(LONGEST).collect::<String>())
        }
        Value::String(text) => format!("the text `{text}`"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

/// Nulls mean unset, but for the objects that are not ours.
fn remove_nulls(value: &mut Value, path: &str) {
    if path.ends_with(".trialSpec") || path.ends_with(".customCollector") {
        return;
    }
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            for (key, value) in map {
                remove_nulls(value, &format!("{path}.{key}"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove_nulls(item, path)),
        _ => {}
    }
}

/// The Katib SDK writes the choices of a categorical parameter as an array in `distribution`; they are its `list`.
pub fn repair_distribution(value: &mut Value) {
    let parameters = value.pointer_mut("/spec/parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let Some(space) = parameter.get_mut("feasibleSpace").and_then(Value::as_object_mut) else {
            continue;
        };
        if space.get("distribution").is_some_and(Value::is_array)
            && !space.contains_key("list")
            && let Some(list) = space.shift_remove("distribution")
        {
            space.insert("list".into(), list);
        }
    }
}

fn unknown_fields(value: &Value) -> Report {
    let mut report = Report::default();
    let mut unknown = Vec::new();
    let decoded: Result<ExperimentDocument, _> =
        serde_ignored::deserialize(value, |path| unknown.push(bracketed(&path.to_string())));
    if decoded.is_ok() {
        for path in unknown {
            let passed_over =
                path.starts_with("metadata.") || path == "status" || path.starts_with("status.");
            if fields::UNBUILT.contains(&path.as_str()) {
                report.error(Problem::new(path, "this build of Cairn does not know it yet"));
            } else if !passed_over {
                report.warn(unknown_field(&path));
            }
        }
    }
    report
}

/// An unknown field, with the one beside it that was probably meant.
fn unknown_field(path: &str) -> Problem {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let beside = fields::below(parent).map(fields::Field::name);
    let meant = fields::nearest(name, beside).map(|known| format!("did you mean `{known}`?"));
    let problem = Problem::new(path, "unknown field, passed over");
    match meant {
        Some(meant) => problem.hint(meant),
        None => problem,
    }
}

/// `a.2.b` as `a[2].b`.
fn bracketed(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").fold(String::new(), |mut out, part| {
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
        out
    })
}

/// The steps of a path such as `a.b[2].c`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path).try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// Takes a node out; a list's item becomes an empty one, so that the others keep their places.
fn remove(value: &mut Value, path: &str) -> bool {
    let steps: Vec<&str> = steps(path).collect();
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    let parent = parents.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        other => other.get_mut(*step),
    });
    match parent {
        Some(Value::Object(map)) => map.shift_remove(*last).is_some(),
        Some(Value::Array(items)) => {
            let Some(i) = last.parse::<usize>().ok().filter(|i| *i < items.len()) else {
                return false;
            };
            // A list of texts loses the item, a list of maps keeps an empty map in its place.
            if items.iter().any(Value::is_object) && !items[i].is_object() {
                items[i] = Value::Object(serde_json::Map::new());
            } else {
                items.remove(i);
            }
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_type_errors_are_named_with_line_and_hint() {
        let text = "\
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: a}
spec:
  maxTrialCount: '3'
  parameters:
    - name: lr
      parameterType: double
      feasibleSpace: {min: 0.1, max: 1}
    - name: opt
      parameterType: categorical
      feasibleSpace:
        list: [yes, adam]
";
        let (document, _, report) = read(text);
        let found: Vec<_> =
            report.errors.iter().map(|p| (p.path.as_str(), p.line, p.hint.as_deref())).collect();
        assert_eq!(
            found,
            [
                ("spec.maxTrialCount", Some(5), Some("write it without quotes: 3")),
                ("spec.parameters[0].feasibleSpace.min", Some(9), Some("quote it: write \"0.1\"")),
                ("spec.parameters[0].feasibleSpace.max", Some(9), Some("quote it: write \"1\"")),
                (
                    "spec.parameters[1].feasibleSpace.list[0]",
                    Some(13),
                    Some(
                        "quote it as it is written; without quotes YAML 1.1 reads y, yes, on and true alike"
                    )
                ),
            ]
        );
        assert_eq!(document.spec.parameters[1].feasible_space.list, ["adam"]);
    }

    #[test]
    fn an_unknown_field_is_a_warning() {
        let (_, _, report) = read("kind: Experiment\nspec:\n  maxTrials: 3\n  parameters: [{nam: a}]\n");
        let paths: Vec<_> = report.warnings.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["spec.maxTrials", "spec.parameters[0].nam"]);
        assert_eq!(report.warnings[1].hint.as_deref(), Some("did you mean `name`?"));
        assert!(report.is_valid());
    }

    #[test]
    fn a_word_that_is_not_built_yet_is_refused_and_never_passed_over() {
        let (_, _, report) = read("spec:\n  warmStart: {from: x}\n");
        assert_eq!((&*report.errors[0].path, report.errors[0].line), ("spec.warmStart", Some(2)));
        assert!(report.warnings.is_empty());
    }

    #[test]
    fn the_sdk_s_array_in_distribution_is_the_list() {
        let text = "spec: {parameters: [{name: a, feasibleSpace: {distribution: [x, z]}}]}";
        let (document, _, report) = read(text);
        assert!(report.is_valid());
        assert_eq!(document.spec.parameters[0].feasible_space.list, ["x", "z"]);
    }

    #[test]
    fn nulls_are_unset() {
        let (document, _, report) =
            read("metadata: {name: a, creationTimestamp: null}\nspec: {maxTrialCount: null}\n");
        assert!(report.is_valid() && report.warnings.is_empty(), "{report:?}");
        assert_eq!(document.spec.max_trial_count, None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z:\\[\\]{} \n\\-0-9.']{0,80}") {
            read(&text);
        }
    }
}
