//! From a template and an assignment to the object that is run.

use serde_json::Value;
use thiserror::Error;

use crate::spec::{ExperimentSpec, TrialTemplate};

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The template has no inline object.
    #[error("the trial template has no trialSpec")]
    NoTemplate,
    /// A placeholder's parameter has no value.
    #[error("`{reference}` has no value for placeholder `{name}`")]
    NoValue {
        /// Placeholder.
        name: String,
        /// What it refers to.
        reference: String,
    },
    /// After replacing, the text is no object any more.
    #[error("with its values filled in, the trial template is no valid object: {0}")]
    NotAnObject(String),
}

/// Stands for an argument that is to be dropped; no text of a user holds it.
const DROP: &str = "\u{0}cairn-drop\u{0}";

/// Who a trial is, for references such as `${trialSpec.Name}`.
#[derive(Clone, Copy, Debug)]
pub struct TrialMeta<'a> {
    /// Name of the trial.
    pub name: &'a str,
    /// Namespace of the experiment.
    pub namespace: &'a str,
}

/// `${trialParameters.<name>}`.
pub fn placeholder(name: &str) -> String {
    format!("${{trialParameters.{name}}}")
}

/// Names of all placeholders in a text, each once, in order.
pub fn placeholders(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in text.split("${trialParameters.").skip(1) {
        // A name has at least one character before the closing brace.
        let end = part.char_indices().skip(1).find(|(_, c)| *c == '}').map(|(i, _)| i);
        if let Some(end) = end
            && !names.contains(&&part[..end])
        {
            names.push(&part[..end]);
        }
    }
    names
}

/// The inner key of `${trialSpec.<key>}` if it is one of those that exist.
pub fn meta_reference(reference: &str) -> Option<&str> {
    let start = reference.find("${trialSpec.")? + "${trialSpec.".len();
    let key = &reference[start..start + reference[start..].find('}')?];
    let plain = matches!(key, "Name" | "Namespace" | "Kind" | "APIVersion" | "Annotations" | "Labels");
    let indexed = key.split_once('[').is_some_and(|(map, rest)| {
        matches!(map, "Annotations" | "Labels") && rest.len() > 1 && rest.ends_with(']')
    });
    (plain || indexed).then_some(key)
}

/// The object of a trial: each placeholder replaced as text, name and namespace set.
///
/// `assignments` are texts by parameter. An inactive parameter is replaced by its default's text; without one, an
/// argument of a `Process` that holds its placeholder is dropped.
///
/// # Errors
/// If a placeholder has no value, or the result is no object.
pub fn render(
    spec: &ExperimentSpec,
    assignments: &[(String, String)],
    meta: TrialMeta<'_>,
) -> Result<Value, RenderError> {
    let template = spec.trial_template.as_ref().ok_or(RenderError::NoTemplate)?;
    let object = template.trial_spec.as_ref().ok_or(RenderError::NoTemplate)?;
    let mut text = object.to_string();
    for parameter in template.trial_parameters.iter().flatten() {
        let value =
            value(spec, template, object, assignments, &parameter.reference, meta).ok_or_else(|| {
                RenderError::NoValue { name: parameter.name.clone(), reference: parameter.reference.clone() }
            })?;
        text = text.replace(&placeholder(&parameter.name), &value);
    }
    let mut object: Value = serde_json::from_str(&text.replace(DROP, "\\u0000cairn-drop\\u0000"))
        .map_err(|error| RenderError::NotAnObject(error.to_string()))?;
    drop_arguments(&mut object);
    let Some(map) = object.as_object_mut() else {
        return Err(RenderError::NotAnObject("it is no map".into()));
    };
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("name".into(), meta.name.into());
        metadata.insert("namespace".into(), meta.namespace.into());
    }
    Ok(object)
}

fn value(
    spec: &ExperimentSpec,
    template: &TrialTemplate,
    object: &Value,
    assignments: &[(String, String)],
    reference: &str,
    meta: TrialMeta<'_>,
) -> Option<String> {
    if let Some(key) = meta_reference(reference) {
        return meta_value(object, key, meta);
    }
    if let Some((_, text)) = assignments.iter().find(|(name, _)| name == reference) {
        return Some(text.clone());
    }
    let parameter = spec.parameters.iter().find(|p| p.name == reference)?;
    let inactive = parameter.default_value.clone();
    inactive.or_else(|| template.is_process().then(|| DROP.to_owned()))
}

fn meta_value(object: &Value, key: &str, meta: TrialMeta<'_>) -> Option<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match key {
        "Name" => Some(meta.name.to_owned()),
        "Namespace" => Some(meta.namespace.to_owned()),
        "Kind" => text("/kind"),
        "APIVersion" => text("/apiVersion"),
        _ => {
            let (map, inner) = key.strip_suffix(']')?.split_once('[')?;
            let field = if map == "Labels" { "labels" } else { "annotations" };
            object.get("metadata")?.get(field)?.get(inner)?.as_str().map(str::to_owned)
        }
    }
}

/// Takes out every text that holds the mark, with the list item it is.
fn drop_arguments(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.as_str().is_some_and(|text| text.contains(DROP)));
            items.iter_mut().for_each(drop_arguments);
        }
        Value::Object(map) => {
            map.retain(|_, item| !item.as_str().is_some_and(|text| text.contains(DROP)));
            map.values_mut().for_each(drop_arguments);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const META: TrialMeta<'static> = TrialMeta { name: "demo-x", namespace: "ns1" };

    #[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
    fn spec(template: Value) -> ExperimentSpec {
        serde_json::from_value(json!({
            "parameters": [
                {"name": "lr", "parameterType": "double"},
                {"name": "momentum", "parameterType": "double", "when": {"opt": "sgd"}},
            ],
            "trialTemplate": {
                "trialParameters": [
                    {"name": "learningRate", "reference": "lr"},
                    {"name": "mom", "reference": "momentum"},
                    {"name": "who", "reference": "${trialSpec.Name}"},
                    {"name": "team", "reference": "${trialSpec.Labels[team]}"},
                ],
                "trialSpec": template,
            },
        }))
        .unwrap()
    }

    #[test]
    fn placeholders_are_replaced_everywhere() {
        let template = json!({
            "kind": "Process", "metadata": {"labels": {"team": "a"}},
            "spec": {"command": ["t", "--lr=${trialParameters.learningRate}", "${trialParameters.learningRate}",
                "--id=${trialParameters.who}", "--team=${trialParameters.team}", "--m=${trialParameters.mom}"]},
        });
        let values = [("lr".to_owned(), "0.5".to_owned()), ("momentum".to_owned(), "0.9".to_owned())];
        let object = render(&spec(template.clone()), &values, META).unwrap();
        assert_eq!(
            object["spec"]["command"],
            json!(["t", "--lr=0.5", "0.5", "--id=demo-x", "--team=a", "--m=0.9"])
        );
        assert_eq!(object["metadata"]["name"], "demo-x");
        let inactive = render(&spec(template), &values[..1], META).unwrap();
        assert_eq!(inactive["spec"]["command"], json!(["t", "--lr=0.5", "0.5", "--id=demo-x", "--team=a"]));
    }

    #[test]
    fn a_value_that_breaks_the_template_is_an_error() {
        let template = json!({"kind": "Process", "metadata": {"labels": {"team": "a"}}, "spec": {"args": ["${trialParameters.learningRate}"]}});
        let values = [("lr".to_owned(), "a\"b".to_owned()), ("momentum".to_owned(), "1".to_owned())];
        assert!(matches!(render(&spec(template), &values, META), Err(RenderError::NotAnObject(_))));
    }

    #[test]
    fn references_to_the_trial_are_known() {
        for good in ["${trialSpec.Name}", "${trialSpec.Labels[a.b/c]}", "${trialSpec.Annotations[x]}"] {
            assert!(meta_reference(good).is_some(), "{good}");
        }
        for bad in ["Name", "${trialSpec.Nam}", "${trialSpec.Labels[]}", "${trialSpec.Spec[a]}"] {
            assert!(meta_reference(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn placeholders_are_found_once() {
        let text = "${trialParameters.a} ${trialParameters.b-c} ${trialParameters.a} ${trialParameters.}";
        assert_eq!(placeholders(text), ["a", "b-c"]);
    }
}
