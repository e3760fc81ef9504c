//! Trial templates that are kept in config maps. The one that is there when an experiment is taken in is its template
//! from then on; it bears the name of where it was.

use controller_core::document::ExperimentDocument;
use controller_core::report::{Problem, Report};
use controller_core::spec::{ConfigMapSource, ExperimentSpec};
use controller_core::yaml;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::answer::{self, Doing};
use crate::client::Cluster;
use crate::names;
use crate::wishes;

/// Where an Experiment says that its template is.
const PATH: &str = "spec.trialTemplate.configMap";

/// The document of an Experiment as [`wishes::document`] reads it, with the template of its config map in it.
///
/// # Errors
/// If the cluster does not say now what is in the config map.
pub(crate) async fn document(
    cluster: &Cluster,
    experiment: &DynamicObject,
) -> Result<(ExperimentDocument, Report), String> {
    let Some(source) = source(experiment) else { return Ok(wishes::document(experiment)) };
    match fetch(cluster, &source, &experiment.namespace().unwrap_or_default()).await? {
        Ok(object) => Ok(wishes::document(&with_object(experiment, object))),
        Err(problem) => {
            let (document, mut report) = wishes::document(experiment);
            report.errors.retain(|error| error.path != PATH);
            report.error(Problem::new(PATH, problem));
            Ok((document, report))
        }
    }
}

/// An Experiment with the template that it was taken in with, if it still names the same.
pub(crate) fn as_taken_in(experiment: &DynamicObject, spec: &ExperimentSpec) -> Option<DynamicObject> {
    let source = source(experiment)?;
    let object = spec.trial_template.as_ref()?.trial_spec.as_ref()?;
    let was = object.pointer("/metadata/annotations")?.get(names::TEMPLATE_ANNOTATION)?;
    (*was == *place(&source)).then(|| with_object(experiment, object.clone()))
}

fn source(experiment: &DynamicObject) -> Option<ConfigMapSource> {
    let template = experiment.data.pointer("/spec/trialTemplate")?;
    if template.get("trialSpec").is_some_and(|object| !object.is_null()) {
        return None;
    }
    serde_json::from_value(template.get("configMap")?.clone()).ok()
}

fn place(source: &ConfigMapSource) -> String {
    let ConfigMapSource { config_map_name, config_map_namespace, template_path } = source;
    format!("{config_map_namespace}/{config_map_name}/{template_path}")
}

fn with_object(experiment: &DynamicObject, object: Value) -> DynamicObject {
    let mut filled = experiment.clone();
    let template = filled.data.pointer_mut("/spec/trialTemplate").and_then(Value::as_object_mut);
    if let Some(template) = template {
        template.shift_remove("configMap");
        template.insert("trialSpec".into(), object);
    }
    filled
}

/// The object in a config map; inside, why there is none.
async fn fetch(
    cluster: &Cluster,
    source: &ConfigMapSource,
    namespace: &str,
) -> Result<Result<Value, String>, String> {
    let ConfigMapSource { config_map_name: name, config_map_namespace: of, template_path: key } = source;
    if name.is_empty() || of.is_empty() || key.is_empty() {
        return Ok(Err("configMapName, configMapNamespace and templatePath must be given".into()));
    }
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), of);
    let map = match answer::within(api.get_opt(name)).await {
        Ok(Some(map)) => map,
        Ok(None) => return Ok(Err(format!("there is no ConfigMap `{name}` in namespace `{of}`"))),
        Err(error) => {
            let message = answer::message(&error, &Doing { verb: "get", group: "", plural: "configmaps" });
            return if answer::is_forbidden(&error) { Ok(Err(message)) } else { Err(message) };
        }
    };
    // Trials show their template to whoever may see them, so that of another namespace must be meant for all.
    let label = names::TEMPLATES_LABEL;
    if of != namespace && map.labels().get(label.0).map(String::as_str) != Some(label.1) {
        let (word, value) = label;
        return Ok(Err(format!(
            "ConfigMap `{name}` of namespace `{of}` is not shared with others; give it the label `{word}: {value}`"
        )));
    }
    let Some(text) = map.data.as_ref().and_then(|data| data.get(key)) else {
        let keys: Vec<&str> = map.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
        let there = if keys.is_empty() { "nothing".into() } else { keys.join(", ") };
        return Ok(Err(format!("ConfigMap `{name}` has no `{key}`; there is {there}")));
    };
    Ok(object(text, source))
}

/// The one object of a text, marked with where it was.
fn object(text: &str, source: &ConfigMapSource) -> Result<Value, String> {
    let key = &source.template_path;
    let mut documents = yaml::parse(text).map_err(|error| format!("`{key}` is no YAML: {error}"))?;
    let one = documents.pop().filter(|_| documents.is_empty()).map(|source| source.value);
    let Some(mut object) = one.filter(Value::is_object) else {
        return Err(format!("`{key}` does not hold one object"));
    };
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    if metadata["annotations"].is_null() {
        metadata["annotations"] = json!({});
    }
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.insert(names::TEMPLATE_ANNOTATION.into(), place(source).into());
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(template: &Value) -> DynamicObject {
        let mut experiment = DynamicObject::new("demo", &crate::resources::Kind::Experiment.resource());
        experiment.data = json!({"spec": {"trialTemplate": template}});
        experiment
    }

    fn named(key: &str) -> Value {
        json!({"configMapName": "templates", "configMapNamespace": "shared", "templatePath": key})
    }

    #[test]
    fn a_text_becomes_an_object_that_bears_where_it_was() {
        let source: ConfigMapSource = serde_json::from_value(named("job.yaml")).unwrap();
        let text = "apiVersion: batch/v1\nkind: Job\nspec: {count: \"${trialParameters.n}\"}\n";
        let found = object(text, &source).unwrap();
        assert_eq!(found["spec"]["count"], "${trialParameters.n}");
        assert_eq!(found["metadata"]["annotations"]["cairn.dev/template"], "shared/templates/job.yaml");
        for (text, why) in [("a: [", "no YAML"), ("a: 1\n---\nb: 2", "one object"), ("- a", "one object")] {
            assert!(object(text, &source).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn an_experiment_keeps_the_template_that_it_was_taken_in_with() {
        let source: ConfigMapSource = serde_json::from_value(named("job.yaml")).unwrap();
        let object = object("kind: Job", &source).unwrap();
        let before = experiment(&json!({"configMap": named("job.yaml")}));
        let spec: ExperimentSpec =
            serde_json::from_value(with_object(&before, object.clone()).data["spec"].clone()).unwrap();
        let again = as_taken_in(&before, &spec).unwrap();
        assert_eq!(again.data["spec"]["trialTemplate"], json!({"trialSpec": object}));
        assert_eq!(as_taken_in(&experiment(&json!({"configMap": named("other.yaml")})), &spec), None);
        assert_eq!(as_taken_in(&experiment(&json!({"trialSpec": {"kind": "Job"}})), &spec), None);
    }
}
