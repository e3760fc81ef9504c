//! What a definition promises to an API server and to those who read it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::{Value, json};

use super::*;

fn of(kind: Kind) -> Value {
    serde_json::to_value(definition(kind)).unwrap()
}

fn properties(kind: Kind) -> Value {
    of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clone()
}

/// Calls `look` with every schema and its path.
fn each(schema: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        each(below, &format!("{path}.{name}"), look);
    }
    for word in ["items", "additionalProperties"] {
        if schema[word].is_object() {
            each(&schema[word], &format!("{path}[]"), look);
        }
    }
}

#[test]
fn names_columns_and_categories_are_katib_s() {
    let experiment = of(Kind::Experiment);
    assert_eq!(experiment["metadata"]["name"], "experiments.kubeflow.org");
    assert_eq!(experiment["spec"]["scope"], "Namespaced");
    assert_eq!(experiment["spec"]["names"]["categories"], json!(["all", "kubeflow", "katib"]));
    let names = |kind: Kind| {
        let version = of(kind)["spec"]["versions"][0].clone();
        assert_eq!((&version["name"], &version["subresources"]), (&json!("v1beta1"), &json!({"status": {}})));
        let columns = version["additionalPrinterColumns"].as_array().unwrap().clone();
        columns.iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(Kind::Experiment), "Type Status Age");
    assert_eq!(names(Kind::Trial), "Type Status Age");
    assert_eq!(names(Kind::Suggestion), "Type Status Requested Assigned Age");
}

#[test]
fn a_schema_refuses_nothing_but_types() {
    for kind in Kind::ALL {
        let schema = of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        each(&schema, kind.name(), &mut |path, schema| {
            for word in ["enum", "minimum", "maximum", "pattern", "required", "minLength", "maxItems"] {
                assert!(schema.get(word).is_none(), "{path} has {word}");
            }
        });
    }
}

#[test]
fn nothing_that_a_schema_does_not_know_is_cut() {
    for kind in Kind::ALL {
        let schema = of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        each(&schema, kind.name(), &mut |path, schema| {
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let map = schema.get("additionalProperties").is_some();
            let metadata = path.ends_with(".metadata");
            assert!(open || map || metadata || schema["type"] != "object", "{path}");
            // What is of no type must be open: the API server refuses the definition otherwise.
            assert!(open || schema.get("type").is_some(), "{path}");
        });
    }
}

#[test]
fn every_field_is_explained() {
    for kind in Kind::ALL {
        let schema = of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        each(&schema, kind.name(), &mut |path, schema| {
            let plain = path.ends_with("[]") || path.ends_with(".metadata");
            assert!(plain || schema["description"].as_str().is_some_and(|doc| doc.ends_with('.')), "{path}");
        });
    }
}

#[test]
fn lists_merge_by_name_and_conditions_do_not() {
    let (experiment, suggestion) = (properties(Kind::Experiment), properties(Kind::Suggestion));
    let spec = &experiment["spec"]["properties"];
    let parameters = &spec["parameters"];
    let in_template = &spec["trialTemplate"]["properties"]["trialParameters"];
    let settings = &spec["algorithm"]["properties"]["algorithmSettings"];
    let told = &suggestion["status"]["properties"]["algorithmSettings"];
    for list in [parameters, in_template, settings, told] {
        assert_eq!(list["x-kubernetes-list-type"], "map");
        assert_eq!(list["x-kubernetes-list-map-keys"], json!(["name"]));
        // Or the API server refuses the definition: a key must be required or have a default.
        assert_eq!(list["items"]["properties"]["name"]["default"], "");
    }
    for kind in Kind::ALL {
        let conditions = &properties(kind)["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "atomic");
    }
}

#[test]
fn times_may_be_null_and_the_sdk_s_list_in_distribution_passes() {
    let experiment = properties(Kind::Experiment);
    for time in ["startTime", "completionTime", "lastReconcileTime"] {
        let time = &experiment["status"]["properties"][time];
        assert_eq!(
            (&time["type"], &time["nullable"], &time["format"]),
            (&json!("string"), &json!(true), &json!("date-time"))
        );
    }
    let space = &experiment["spec"]["properties"]["parameters"]["items"]["properties"]["feasibleSpace"];
    assert!(space["properties"]["distribution"].get("type").is_none());
    assert_eq!(space["properties"]["min"]["type"], "string");
    assert_eq!(space["properties"]["list"]["items"]["type"], "string");
}

#[test]
fn cairn_s_own_words_and_the_objects_of_others_are_there() {
    let spec = properties(Kind::Experiment)["spec"]["properties"].clone();
    for word in ["seed", "suspend", "maxDuration", "repeats", "parameterConstraints", "queuedPoints"] {
        assert!(spec.get(word).is_some(), "{word}");
    }
    let layer = &spec["nasConfig"]["properties"]["operations"]["items"]["properties"]["parameters"];
    assert_eq!(layer["items"], spec["parameters"]["items"]);
    let object = &spec["trialTemplate"]["properties"]["trialSpec"];
    assert_eq!(object["x-kubernetes-preserve-unknown-fields"], true);
    assert!(object.get("properties").is_none() && object.get("type").is_none());
}

#[test]
fn what_is_committed_reads_back_as_the_definition() {
    for kind in Kind::ALL {
        let read = controller_core::yaml::parse(&manifest(kind)).unwrap().remove(0).value;
        assert_eq!(read, of(kind));
        assert!(
            serde_json::from_value::<JSONSchemaProps>(
                read["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
            )
            .is_ok()
        );
    }
}
