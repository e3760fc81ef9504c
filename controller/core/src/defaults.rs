//! What an Experiment means where it says nothing, as Katib's webhook fills it in.

use std::collections::BTreeMap;

use crate::report::Report;
use crate::spec::{
    AlgorithmSpec, ExperimentSpec, FileSystemPath, HttpGet, MetricStrategy, MetricsCollector,
    MetricsCollectorSpec, ObjectiveSpec, TrialTemplate,
};

/// Trials at once.
const PARALLEL: i32 = 3;
/// Where a file collector looks.
const METRICS_FILE: &str = "/var/log/katib/metrics.log";
/// Where an event file collector looks.
const EVENT_FOLDER: &str = "/var/log/katib/tfevent/";

/// Fills in everything that has a default, and notes what was decided for the user.
pub fn apply(spec: &mut ExperimentSpec, report: &mut Report) {
    spec.parallel_trial_count.get_or_insert(PARALLEL);
    if spec.resume_policy.as_ref().is_none_or(String::is_empty) {
        spec.resume_policy = Some("Never".into());
    }
    if spec.algorithm.is_none() {
        spec.algorithm = Some(AlgorithmSpec { algorithm_name: "auto".into(), ..Default::default() });
        report.notes.push("no algorithm was named: `auto` chooses".into());
    }
    if let Some(objective) = &mut spec.objective {
        strategies(objective);
    }
    if let Some(template) = &mut spec.trial_template {
        trial_template(template);
    }
    collector(spec.metrics_collector_spec.get_or_insert_default());
    for parameter in &mut spec.parameters {
        if parameter.feasible_space.distribution.is_empty() {
            parameter.feasible_space.distribution = "uniform".into();
        }
    }
}

/// Each metric without a strategy gets that of the objective's type.
fn strategies(objective: &mut ObjectiveSpec) {
    let value = match objective.kind.as_str() {
        "minimize" => "min",
        "maximize" => "max",
        _ => "latest",
    };
    for name in objective.metrics() {
        if !objective.metric_strategies.iter().any(|strategy| strategy.name == name) {
            objective.metric_strategies.push(MetricStrategy { name, value: value.into() });
        }
    }
}

/// The expression that says that an object's condition of this type is true.
pub fn condition(kind: &str) -> String {
    format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#")
}

fn trial_template(template: &mut TrialTemplate) {
    let kind = template.kind().to_owned();
    let success = match kind.as_str() {
        "Job" | "TrainJob" => "Complete",
        "TFJob" | "PyTorchJob" | "XGBoostJob" | "MPIJob" => "Succeeded",
        _ => return,
    };
    if template.success_condition.is_empty() {
        template.success_condition = condition(success);
    }
    if template.failure_condition.is_empty() {
        template.failure_condition = condition("Failed");
    }
    if template.primary_pod_labels.is_empty() {
        let labels: &[(&str, &str)] = match kind.as_str() {
            "Job" => &[],
            "TrainJob" => &[
                ("jobset.sigs.k8s.io/replicatedjob-name", "node"),
                ("batch.kubernetes.io/job-completion-index", "0"),
            ],
            // Other than Katib, whose label no pod of these has.
            "MPIJob" if template.api_version() == "kubeflow.org/v2beta1" => {
                &[("training.kubeflow.org/job-role", "launcher")]
            }
            _ => &[("training.kubeflow.org/job-role", "master")],
        };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        template.primary_pod_labels = labels.collect::<BTreeMap<_, _>>();
    }
}

fn collector(spec: &mut MetricsCollectorSpec) {
    let collector = spec
        .collector
        .get_or_insert_with(|| MetricsCollector { kind: "StdOut".into(), custom_collector: None });
    match collector.kind.as_str() {
        "PrometheusMetric" => {
            let http = spec.source.get_or_insert_default().http_get.get_or_insert_with(HttpGet::default);
            if http.path.is_empty() {
                http.path = "/metrics".into();
            }
            if http.port.is_none() {
                http.port = Some(8080.into());
            }
        }
        "File" => {
            let path = spec.source.get_or_insert_default().file_system_path.get_or_insert_default();
            fill(path, "File", METRICS_FILE);
            if path.format.is_empty() {
                path.format = "TEXT".into();
            }
        }
        "TensorFlowEvent" => {
            let path = spec.source.get_or_insert_default().file_system_path.get_or_insert_default();
            fill(path, "Directory", EVENT_FOLDER);
        }
        _ => {}
    }
}

fn fill(path: &mut FileSystemPath, kind: &str, default: &str) {
    if path.kind.is_empty() {
        path.kind = kind.into();
    }
    if path.path.is_empty() {
        path.path = default.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaulted(spec: serde_json::Value) -> ExperimentSpec {
        let mut spec = serde_json::from_value(spec).unwrap();
        apply(&mut spec, &mut Report::default());
        spec
    }

    #[test]
    fn counts_policies_and_algorithm_have_defaults() {
        let mut report = Report::default();
        let mut spec = ExperimentSpec::default();
        apply(&mut spec, &mut report);
        assert_eq!(spec.parallel_trial_count, Some(3));
        assert_eq!(spec.resume_policy.as_deref(), Some("Never"));
        assert_eq!(spec.algorithm.unwrap().algorithm_name, "auto");
        assert_eq!((spec.max_trial_count, spec.max_failed_trial_count), (None, None));
        assert_eq!(report.notes.len(), 1);
    }

    #[test]
    fn additional_metrics_follow_the_objective_s_type() {
        let objective =
            json!({"type": "minimize", "objectiveMetricName": "loss", "additionalMetricNames": ["acc"]});
        let strategies = defaulted(json!({"objective": objective})).objective.unwrap().metric_strategies;
        let pairs: Vec<_> = strategies.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
        assert_eq!(pairs, [("loss", "min"), ("acc", "min")]);
    }

    #[test]
    fn known_jobs_have_conditions_and_labels_others_none() {
        for (kind, success, labels) in
            [("Job", "Complete", 0), ("TrainJob", "Complete", 2), ("PyTorchJob", "Succeeded", 1)]
        {
            let template =
                defaulted(json!({"trialTemplate": {"trialSpec": {"kind": kind}}})).trial_template.unwrap();
            assert!(template.success_condition.contains(success), "{kind}");
            assert!(template.failure_condition.contains("Failed"));
            assert_eq!(template.primary_pod_labels.len(), labels);
        }
        let mpi = json!({"kind": "MPIJob", "apiVersion": "kubeflow.org/v2beta1"});
        let mpi = defaulted(json!({"trialTemplate": {"trialSpec": mpi}})).trial_template.unwrap();
        assert_eq!(mpi.primary_pod_labels["training.kubeflow.org/job-role"], "launcher");
        let other =
            defaulted(json!({"trialTemplate": {"trialSpec": {"kind": "Workflow"}}})).trial_template.unwrap();
        assert!(other.success_condition.is_empty());
    }

    #[test]
    fn collectors_have_their_paths() {
        let of = |kind: &str| {
            defaulted(json!({"metricsCollectorSpec": {"collector": {"kind": kind}}}))
                .collector()
                .source
                .unwrap_or_default()
        };
        assert_eq!(of("File").file_system_path.unwrap().path, METRICS_FILE);
        assert_eq!(of("TensorFlowEvent").file_system_path.unwrap().kind, "Directory");
        assert_eq!(of("PrometheusMetric").http_get.unwrap().port, Some(json!(8080)));
        assert_eq!(defaulted(json!({})).collector().kind(), "StdOut");
    }

    #[test]
    fn every_parameter_gets_a_distribution() {
        let spec = defaulted(json!({"parameters": [{"name": "a", "parameterType": "categorical"}]}));
        assert_eq!(spec.parameters[0].feasible_space.distribution, "uniform");
    }
}
