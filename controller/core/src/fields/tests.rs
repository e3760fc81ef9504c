//! The documentation covers the types, and the types know every documented field.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::document::{ExperimentDocument, Metadata, decode};
use crate::spec::*;

fn setting() -> Vec<Setting> {
    vec![Setting { name: "a".into(), value: "1".into() }]
}

fn artifacts() -> ArtifactsSpec {
    ArtifactsSpec {
        store: Some("cairn://".into()),
        keep: Some(KeepSpec { best: Some(1) }),
        max_bytes: Some("1Gi".into()),
        secret_ref: Some(SecretRef { name: "a".into() }),
    }
}

fn worse_by(value: Value) -> WorseBySpec {
    WorseBySpec { worse_by: Some(value) }
}

fn promotion() -> PromotionSpec {
    let text = |text: &str| text.to_owned();
    PromotionSpec {
        model: text("a"),
        source: Some(text("trial")),
        gate: Some(GateSpec {
            metric: text("a"),
            minimum: Some(1.0),
            maximum: Some(2.0),
            improves_on: Some(text("champion")),
            by: Some(0.5),
            confidence: Some(0.95),
        }),
        approval: Some(ApprovalSpec { by: vec![text("ada")], expires: Some(text("7d")) }),
        pipeline: Some(PipelineSpec {
            steps: vec![StepSpec {
                name: text("evaluate"),
                data: Some(text("holdout.csv")),
                process: Some(json!({"command": ["true"]})),
            }],
        }),
        serving: Some(ServingSpec {
            template: text("custom"),
            process: Some(json!({"command": ["true"]})),
            mode: Some(text("canary")),
            canary: vec![5, 100],
            share: Some(50),
            compare: Some(CompareSpec { output: Some(text("digit")), tolerance: Some(0.01) }),
            bake: Some(text("10m")),
            min_requests: Some(500),
            guards: vec![GuardSpec {
                error_rate: Some(worse_by(json!(0.01))),
                latency_p95: Some(worse_by(json!("20%"))),
                quality: Some(worse_by(json!(0.01))),
                disagreement: Some(worse_by(json!(0.02))),
            }],
            keep_previous: Some(text("1h")),
            ready_within: Some(text("1m")),
            sticky: Some(text("x-user")),
            watch: Some(WatchSpec {
                log: Some(LogSpec { sample: Some(0.1), keep: Some(text("7d")), redact: vec![text("name")] }),
                output: Some(text("digit")),
                drift: Some(DriftSpec { window: Some(500), threshold: Some(0.01) }),
                on_breach: Some(json!("alert")),
                webhook: Some(text("http://alerts:9000")),
            }),
        }),
        metadata: Some(MetadataSpec {
            mlflow: Some(MlflowSpec { uri: text("http://mlflow:5000"), registry: Some(true) }),
        }),
    }
}

/// A document in which every field of every type is set; a new field does not compile without being named here.
fn full() -> ExperimentDocument {
    let text = |text: &str| text.to_owned();
    let map = || BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let algorithm = || AlgorithmSpec {
        algorithm_name: text("random"),
        algorithm_settings: setting(),
        endpoint: Some(text("here:1")),
    };
    let parameter = ParameterSpec {
        name: text("lr"),
        parameter_type: text("double"),
        feasible_space: FeasibleSpace {
            max: text("2"),
            min: text("1"),
            list: vec![text("1")],
            step: text("1"),
            distribution: text("uniform"),
        },
        when: BTreeMap::from([("a".to_owned(), json!("b"))]),
        default_value: Some(text("1")),
        ordered: Some(true),
        prior: Some(PriorSpec {
            mean: Some(1.5),
            std: Some(0.5),
            weights: BTreeMap::from([(text("a"), 2.0)]),
        }),
    };
    let template = TrialTemplate {
        retain: true,
        trial_spec: Some(json!({"kind": "Process"})),
        config_map: Some(ConfigMapSource {
            config_map_name: text("a"),
            config_map_namespace: text("b"),
            template_path: text("c"),
        }),
        trial_parameters: Some(vec![TrialParameter {
            name: text("a"),
            description: text("b"),
            reference: text("c"),
        }]),
        primary_pod_labels: map(),
        primary_container_name: text("a"),
        success_condition: text("a"),
        failure_condition: text("a"),
    };
    let collector = MetricsCollectorSpec {
        source: Some(Source {
            http_get: Some(HttpGet {
                path: text("/"),
                port: Some(json!(1)),
                host: text("a"),
                scheme: text("HTTP"),
            }),
            file_system_path: Some(FileSystemPath {
                path: text("/"),
                kind: text("File"),
                format: text("TEXT"),
            }),
            filter: Some(Filter { metrics_format: vec![text("a")] }),
        }),
        collector: Some(MetricsCollector {
            kind: text("Custom"),
            custom_collector: Some(json!({"name": "a"})),
        }),
    };
    let spec = ExperimentSpec {
        parameters: vec![parameter],
        objective: Some(ObjectiveSpec {
            kind: text("minimize"),
            goal: Some(1.0),
            objective_metric_name: text("a"),
            additional_metric_names: vec![text("b")],
            metric_strategies: vec![MetricStrategy { name: text("a"), value: text("min") }],
        }),
        algorithm: Some(algorithm()),
        early_stopping: Some(algorithm()),
        trial_template: Some(template),
        parallel_trial_count: Some(1),
        max_trial_count: Some(1),
        max_failed_trial_count: Some(1),
        metrics_collector_spec: Some(collector),
        nas_config: Some(nas()),
        resume_policy: Some(text("Never")),
        seed: Some(1),
        parameter_constraints: vec![text("a < 1")],
        queued_points: vec![map()],
        repeats: Some(3),
        max_duration: Some(text("1h")),
        max_gpu_hours: Some(1.0),
        max_cost: Some(1.0),
        price_per_slot_hour: Some(1.0),
        artifacts: Some(artifacts()),
        suspend: Some(true),
        promotion: Some(promotion()),
        schedule: Some(schedule()),
    };
    let metadata = Metadata { name: text("a"), namespace: text("b"), labels: map(), annotations: map() };
    ExperimentDocument { api_version: text("a"), kind: text("b"), metadata, spec }
}

fn nas() -> NasConfig {
    let operation = Operation { operation_type: "a".into(), parameters: vec![ParameterSpec::default()] };
    NasConfig {
        graph_config: GraphConfig { num_layers: Some(1), input_sizes: vec![1], output_sizes: vec![1] },
        operations: vec![operation],
    }
}

fn schedule() -> ScheduleSpec {
    let text = || Some("a".to_owned());
    ScheduleSpec {
        cron: text(),
        time_zone: text(),
        every: text(),
        on_new_data: Some(NewDataSpec { path: "a".into(), check: text() }),
        on_drift: Some(true),
        concurrency: text(),
        suspend: Some(true),
        starting_deadline: text(),
        history: Some(HistorySpec { succeeded: Some(1), failed: Some(1) }),
    }
}

fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    let documented = at(path);
    if !path.is_empty() && !path.ends_with(']') {
        found.push(path.to_owned());
    }
    // What stands inside these has names of its own, or is documented elsewhere.
    let closed = documented
        .is_some_and(|field| matches!(field.shape, Shape::Any | Shape::TextMap | Shape::NumberMap))
        || ["spec.parameters[].when", "spec.queuedPoints[]", "spec.nasConfig.operations[].parameters[]"]
            .contains(&path);
    match value {
        _ if closed => {}
        Value::Object(map) => {
            for (key, value) in map {
                paths(value, format!("{path}.{key}").trim_start_matches('.'), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_types_is_documented() {
    let mut found = Vec::new();
    paths(&serde_json::to_value(full()).unwrap(), "", &mut found);
    assert!(found.len() > 80, "{}", found.len());
    let missing: Vec<_> = found.iter().filter(|path| at(path).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let documented = FIELDS.iter().map(|field| field.path.to_owned());
    let of_process = |path: &String| path.starts_with("spec.trialTemplate.trialSpec.");
    let unknown: Vec<_> = documented.filter(|path| !of_process(path) && !found.contains(path)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Whether a value is what a shape says.
fn has_shape(value: &Value, shape: Shape) -> bool {
    let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(is));
    let each = |is: fn(&Value) -> bool| value.as_object().is_some_and(|map| map.values().all(is));
    match shape {
        Shape::Text => value.is_string(),
        Shape::Int => value.is_u64(),
        Shape::Number => value.is_number(),
        Shape::Bool => value.is_boolean(),
        Shape::Map => value.is_object(),
        Shape::List => all(Value::is_object),
        Shape::Texts => all(Value::is_string),
        Shape::Ints => all(Value::is_u64),
        Shape::TextMaps => all(|item| item.as_object().is_some_and(|map| map.values().all(Value::is_string))),
        Shape::TextMap => each(Value::is_string),
        Shape::NumberMap => each(Value::is_number),
        Shape::Any => true,
    }
}

/// What stands at a path of a document, in the first item of each list.
fn first<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, step| match step.strip_suffix("[]") {
        Some(step) => value.get(step)?.get(0),
        None => value.get(step),
    })
}

#[test]
fn every_field_has_the_shape_of_its_type() {
    let document = serde_json::to_value(full()).unwrap();
    let fields = FIELDS.iter().filter_map(|field| Some((field, first(&document, field.path)?)));
    let wrong: Vec<_> = fields.filter(|(field, value)| !has_shape(value, field.shape)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_document_with_everything_comes_back_unchanged() {
    let document = full();
    let (again, report) = decode(serde_json::to_value(&document).unwrap());
    assert_eq!((again, report), (document, crate::report::Report::default()));
}

#[test]
fn every_paragraph_is_one() {
    for field in FIELDS.iter() {
        assert!(field.doc.ends_with('.') && !field.doc.contains('\n'), "{}", field.path);
    }
}

#[test]
fn fields_are_found_by_any_end_of_their_path() {
    assert_eq!(find("spec.parameters[2].name")[0].path, "spec.parameters[].name");
    assert_eq!(find("feasibleSpace.min")[0].path, "spec.parameters[].feasibleSpace.min");
    assert_eq!(find("algorithmSettings").len(), 2);
    assert!(find("nothing").is_empty() && find("").is_empty());
    let below: Vec<_> = below("spec.metricsCollectorSpec").map(Field::name).collect();
    assert_eq!(below, ["collector", "source"]);
}
