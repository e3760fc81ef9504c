//! Records for tests: the experiment `demo` of the contract's worked example, and trials in every state.

use std::collections::BTreeMap;

use controller_core::conditions;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus};
use controller_core::render::{TrialMeta, render};
use controller_core::run::{Run, RunId};
use controller_core::spec::ArtifactsSpec;
use controller_core::time::Timestamp;
use controller_core::trial::{MetricSummary, Origin, TrialRecord, TrialState, trial_name};
use controller_core::validate;
use kube::core::DynamicObject;
use study::{Comparison, Rule, Suggestion, TrialIdx};

pub(crate) const DEMO: &str = "
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata:
  name: demo
  namespace: ns1
  labels: {team: a}
  annotations: {note: mine, kubectl.kubernetes.io/last-applied-configuration: '{}'}
spec:
  objective: {type: minimize, goal: 1.0, objectiveMetricName: loss, additionalMetricNames: [acc]}
  algorithm: {algorithmName: random}
  earlyStopping: {algorithmName: medianstop}
  parallelTrialCount: 2
  maxTrialCount: 4
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: '0.01', max: '0.1'}}
  trialTemplate:
    primaryContainerName: main
    trialParameters:
      - {name: learningRate, reference: lr}
      - {name: who, reference: '${trialSpec.Name}'}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        template:
          spec:
            restartPolicy: Never
            containers:
              - name: main
                image: reg.io/x/train:1
                command: [python, t.py, '--lr=${trialParameters.learningRate}', '--id=${trialParameters.who}']
";

/// A second of the experiment's life.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::parse_rfc3339("2026-01-01T10:00:00Z")
        .unwrap()
        .plus(std::time::Duration::from_secs(second as u64))
}

/// The record of a text.
pub(crate) fn record(text: &str) -> ExperimentRecord {
    let (document, _, report) = validate::text(text);
    assert!(report.is_valid(), "{report:?}");
    ExperimentRecord {
        id: ExperimentId(7),
        uid: "e-uid".into(),
        cluster: "c-uid".into(),
        namespace: document.metadata.namespace,
        name: document.metadata.name,
        labels: document.metadata.labels,
        annotations: document.metadata.annotations,
        spec_digest: document.spec.digest(),
        seed: 1,
        base_dir: None,
        created: at(0),
        earlier: Vec::new(),
        spec: document.spec,
    }
}

pub(crate) fn experiment() -> ExperimentRecord {
    record(DEMO)
}

/// The status of an experiment that runs, with this many trials that have succeeded.
pub(crate) fn running(succeeded: u64) -> ExperimentStatus {
    let mut status = ExperimentStatus { started: Some(at(1)), ..ExperimentStatus::default() };
    let list = &mut status.conditions;
    conditions::set(list, at(0), "Created", true, "ExperimentCreated", "Experiment is created");
    conditions::set(list, at(1), "Running", true, "ExperimentRunning", "Experiment is running");
    status.counters.succeeded = succeeded;
    status
}

/// A trial that nothing has happened to.
pub(crate) fn pending(idx: u64) -> TrialRecord {
    let idx = TrialIdx(idx);
    TrialRecord {
        idx,
        name: trial_name("demo", "e-uid", idx),
        state: TrialState::Pending,
        suggestion: Suggestion::default(),
        assignments: vec![("lr".into(), "0.0731".into())],
        labels: BTreeMap::new(),
        rules: Vec::new(),
        origin: Origin::Search,
        attempt: 0,
        failures: 0,
        lost: 0,
        reason: "TrialCreated".into(),
        message: "Trial is created".into(),
        observation: Vec::new(),
        objectives: Vec::new(),
        model: None,
        checkpoint: None,
        waited: vec![],
        reached: None,
        steps: 0,
        created: at(2),
        started: None,
        ended: None,
    }
}

/// A trial that has ended in a state.
pub(crate) fn ended(idx: u64, state: TrialState, reason: &str, message: &str) -> TrialRecord {
    let (started, ended) = (Some(at(3)), Some(at(60)));
    TrialRecord { state, reason: reason.into(), message: message.into(), started, ended, ..pending(idx) }
}

/// A trial that has succeeded, with everything there is to say of one.
pub(crate) fn finished(idx: u64) -> TrialRecord {
    let metric = |name: &str, min: &str, max: &str, latest: &str| MetricSummary {
        name: name.into(),
        min: min.into(),
        max: max.into(),
        latest: latest.into(),
    };
    TrialRecord {
        labels: BTreeMap::from([("pbt.suggestion.katib.kubeflow.org/generation".into(), "1".into())]),
        rules: vec![Rule {
            metric: "loss".into(),
            value: 0.5,
            comparison: Comparison::Greater,
            start_step: 4,
        }],
        observation: vec![metric("loss", "0.25", "0.30", "0.25"), metric("acc", "0.8", "0.9", "0.9")],
        objectives: vec![0.25],
        attempt: 1,
        ..ended(idx, TrialState::Succeeded, "TrialSucceeded", "Trial has succeeded")
    }
}

/// An object as people read it.
pub(crate) fn yaml(object: &DynamicObject) -> String {
    controller_core::yaml::write(&serde_json::to_value(object).unwrap())
}

/// The second attempt of the first trial.
pub(crate) fn run(record: &ExperimentRecord) -> Run {
    let (trial, template) = (pending(0), record.spec.trial_template.clone().unwrap());
    let meta = TrialMeta { name: &trial.name, namespace: &record.namespace };
    Run {
        id: RunId { experiment: ExperimentId(7), trial: TrialIdx(0), attempt: 2 },
        namespace: record.namespace.clone(),
        experiment: record.name.clone(),
        experiment_uid: record.uid.clone(),
        trial: trial.name.clone(),
        manifest: render(&record.spec, &trial.assignments, meta).unwrap(),
        primary_container: template.primary_container_name,
        primary_pod_labels: template.primary_pod_labels,
        success_condition: template.success_condition,
        failure_condition: template.failure_condition,
        retain: template.retain,
        collector: record.spec.collector(),
        metrics: vec!["loss".into(), "acc".into()],
        maximize: false,
        rules: Vec::new(),
        base_dir: None,
        start_from: None,
        keep_checkpoint: false,
        checkpoint_path: None,
        artifacts: ArtifactsSpec::default(),
        start: None,
    }
}
