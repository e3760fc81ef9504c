//! Objects of runs: what is created, whose it is, and how it is read.

use controller_core::experiment::ExperimentRecord;
use controller_core::run::{Exit, Run, RunId, RunPhase};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::inject::Settings;
use crate::project::testing::{DEMO, at, experiment, record, run, yaml};

fn made(record: &ExperimentRecord) -> Result<DynamicObject, ObjectError> {
    object(&run(record), "t-uid", &Settings::default())
}

#[test]
fn the_object_of_a_run() {
    insta::assert_snapshot!(yaml(&made(&experiment()).unwrap()));
}

const PROCESS: &str = "
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: demo, namespace: ns1}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: '0.01', max: '0.1'}}
  trialTemplate:
    trialParameters:
      - {name: learningRate, reference: lr}
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      metadata: {labels: {team: a}}
      spec:
        image: reg.io/x/train:1
        command: [python, train.py]
        args: ['--lr=${trialParameters.learningRate}', '--out=$(HOME)']
        env: {PRICE: $5}
        workingDir: /src
        timeout: 90s
        retries: 2
        resources: {cpu: 500m, example.com/gpu: 2}
";

#[test]
fn a_process_is_a_job_with_one_container() {
    let made = made(&record(PROCESS)).unwrap();
    insta::assert_snapshot!(yaml(&made));
    let RunPhase::Running { slots, .. } = status(&made, at(0)).unwrap().phase else { panic!("it runs") };
    assert_eq!(slots, ["gpu-0", "gpu-1"]);
}

#[test]
fn a_process_that_only_runs_on_a_machine_is_refused() {
    let refused = |from: &str, to: &str| made(&record(&PROCESS.replace(from, to))).unwrap_err().to_string();
    let image = refused("        image: reg.io/x/train:1\n", "");
    assert_eq!(image, "spec.image: a Process needs an image to run on a cluster");
    let folder = refused("workingDir: /src", "workingDir: src");
    assert_eq!(folder, "spec.workingDir: on a cluster it is a folder of the image");
}

#[test]
fn labels_and_annotations_of_the_template_stay() {
    let mut record = experiment();
    let template = record.spec.trial_template.as_mut().unwrap();
    template.trial_spec.as_mut().unwrap()["metadata"] =
        json!({"labels": {"kueue.x-k8s.io/queue-name": "q"}, "annotations": {"a": "b"}, "finalizers": ["f"]});
    let metadata = made(&record).unwrap().metadata;
    assert_eq!(metadata.labels.unwrap()["kueue.x-k8s.io/queue-name"], "q");
    assert_eq!(metadata.annotations.unwrap()["a"], "b");
    assert_eq!(metadata.finalizers.unwrap(), ["f"]);
}

fn template(record: &mut ExperimentRecord) -> &mut controller_core::spec::TrialTemplate {
    record.spec.trial_template.as_mut().unwrap()
}

#[test]
fn a_template_that_nobody_could_run_or_read_is_refused_by_what_is_wrong() {
    let refused = |change: fn(&mut ExperimentRecord)| {
        let mut record = experiment();
        change(&mut record);
        made(&record).unwrap_err().to_string()
    };
    let success = refused(|record| template(record).success_condition = "status.@bad".into());
    assert_eq!(success, "successCondition `status.@bad` cannot be read");
    let untyped = refused(|record| template(record).trial_spec.as_mut().unwrap()["kind"] = json!(""));
    assert_eq!(untyped, "the trial template has no kind");
    let labels = refused(|record| {
        template(record).trial_spec.as_mut().unwrap()["metadata"] = json!({"labels": {"n": 1}});
    });
    assert_eq!(labels, "the trial template makes no object of Kubernetes");
}

#[test]
fn the_webhook_prepares_the_pods_of_an_object_that_holds_none() {
    let mut record = experiment();
    let spec = record.spec.trial_template.as_mut().unwrap().trial_spec.as_mut().unwrap();
    *spec = json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"x": 1}});
    let sidecar = ("reg.io/sidecar:1".to_owned(), "http://cairn:7700".to_owned());
    let settings = Settings { image: Some(sidecar.0), server: Some(sidecar.1), ..Settings::default() };
    let by_webhook = |settings: &Settings| {
        let made = object(&run(&record), "t-uid", settings).unwrap();
        assert!(!has_pods(&made));
        Reading::read(&made).unwrap().by_webhook
    };
    assert!(by_webhook(&Settings { webhook: true, ..settings.clone() }));
    assert!(!by_webhook(&settings), "what it prints is read all the same");
    let mut file = run(&record);
    file.collector.collector = Some(serde_json::from_value(json!({"kind": "File"})).unwrap());
    let refused = object(&file, "t-uid", &settings).unwrap_err().to_string();
    assert!(
        refused.starts_with("its metrics cannot be collected: `File` of a Thing needs a sidecar"),
        "{refused}"
    );
}

#[test]
fn an_object_of_the_same_name_is_this_run_another_attempt_or_somebody_else_s() {
    let (record, run) = (experiment(), run(&experiment()));
    let object = made(&record).unwrap();
    assert_eq!(existing(&object, &run, "t-uid"), Existing::This);
    let next = Run { id: RunId { attempt: 3, ..run.id }, ..run.clone() };
    assert_eq!(existing(&object, &next, "t-uid"), Existing::Attempt(run.id));
    let demo = format!("Trial {}", run.trial);
    assert_eq!(existing(&object, &run, "other-uid"), Existing::Foreign(demo));
    let mut bare = object.clone();
    bare.metadata.owner_references = None;
    assert_eq!(existing(&bare, &run, "t-uid"), Existing::Foreign("nobody".into()));
    for text in ["7/0", "7/0/2/1", "a/0/2", ""] {
        let mut edited = object.clone();
        edited.metadata.annotations.as_mut().unwrap().insert("cairn.dev/run".into(), text.into());
        assert!(matches!(existing(&edited, &run, "t-uid"), Existing::Foreign(_)), "{text}");
    }
}

#[test]
fn primary_pods_are_those_of_the_trial_with_the_labels_of_its_kind() {
    let of = |kind: &str, version: &str| {
        let text = DEMO.replace("kind: Job", &format!("kind: {kind}")).replace("batch/v1", version);
        let template = record(&text).spec.trial_template.unwrap();
        primary_pods("demo-x", &template.primary_pod_labels)
    };
    assert_eq!(of("Job", "batch/v1"), "katib.kubeflow.org/trial=demo-x");
    assert_eq!(
        of("PyTorchJob", "kubeflow.org/v1"),
        "katib.kubeflow.org/trial=demo-x,training.kubeflow.org/job-role=master"
    );
    assert_eq!(
        of("TrainJob", "trainer.kubeflow.org/v1alpha1"),
        "katib.kubeflow.org/trial=demo-x,batch.kubernetes.io/job-completion-index=0,jobset.sigs.k8s.io/replicatedjob-name=node"
    );
}

/// How the run of an object with this status and these expressions goes.
#[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
fn phase(success: &str, failure: &str, more: Value) -> RunPhase {
    let mut record = experiment();
    let template = record.spec.trial_template.as_mut().unwrap();
    template.success_condition = success.into();
    template.failure_condition = failure.into();
    let mut object = made(&record).unwrap();
    for (word, value) in more.as_object().unwrap() {
        object.data[word] = value.clone();
    }
    let status = status(&object, at(500)).unwrap();
    assert_eq!(status.run, run(&record).id);
    status.phase
}

fn end(phase: RunPhase) -> (Exit, i64) {
    match phase {
        RunPhase::Ended(end) => (end.exit, end.ended.since(at(0)).as_secs() as i64),
        other => panic!("{other:?}"),
    }
}

const COMPLETE: &str = r#"status.conditions.#(type=="Complete")#|#(status=="True")#"#;
const FAILED: &str = r#"status.conditions.#(type=="Failed")#|#(status=="True")#"#;

#[test]
fn a_job_runs_until_a_condition_says_otherwise() {
    let started =
        json!({"startTime": "2026-01-01T10:00:07Z", "conditions": [{"type": "Complete", "status": "False"}]});
    let running = phase(COMPLETE, FAILED, json!({"status": started}));
    assert_eq!(running, RunPhase::Running { since: at(7), slots: Vec::new() });
    assert_eq!(phase(COMPLETE, FAILED, json!({})), RunPhase::Running { since: at(500), slots: Vec::new() });
    for suspended in [json!({"spec": {"suspend": true}}), json!({"spec": {"runPolicy": {"suspend": true}}})] {
        assert!(matches!(phase(COMPLETE, FAILED, suspended), RunPhase::Waiting { .. }));
    }
}

#[test]
fn failure_is_looked_at_before_success_and_its_words_are_kept() {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "R", "message": "M", "lastTransitionTime": "2026-01-01T10:00:09Z"});
    let both = json!({"status": {"conditions": [condition("Complete"), condition("Failed")]}});
    let failed = Exit::Failed { reason: "R".into(), message: "M".into() };
    assert_eq!(end(phase(COMPLETE, FAILED, both)), (failed, 9));
    let complete = json!({"status": {"conditions": [condition("Complete")]}});
    assert_eq!(end(phase(COMPLETE, FAILED, complete)), (Exit::Code { code: 0 }, 9));
}

#[test]
fn objects_of_other_kinds_end_by_their_own_expressions() {
    let (argo, argo_failed) =
        (r#"status.[@this].#(phase=="Succeeded")"#, r#"status.[@this].#(phase=="Failed")"#);
    let status = json!({"status": {"phase": "Succeeded", "startedAt": "2026-01-01T10:00:01Z", "finishedAt": "2026-01-01T10:00:30Z"}});
    assert_eq!(end(phase(argo, argo_failed, status)), (Exit::Code { code: 0 }, 30));
    let status = json!({"status": {"phase": "Failed", "message": "step failed"}});
    let failed = Exit::Failed { reason: String::new(), message: "step failed".into() };
    assert_eq!(end(phase(argo, argo_failed, status)), (failed, 500));
    assert!(matches!(
        phase(argo, argo_failed, json!({"status": {"phase": "Running"}})),
        RunPhase::Running { .. }
    ));
    let tekton = (
        r#"status.conditions.#(type=="Succeeded")#|#(status=="True")#"#,
        r#"status.conditions.#(type=="Succeeded")#|#(status=="False")#"#,
    );
    let status = |is: &str| json!({"status": {"conditions": [{"type": "Succeeded", "status": is}]}});
    assert!(matches!(end(phase(tekton.0, tekton.1, status("False"))).0, Exit::Failed { .. }));
    assert!(end(phase(tekton.0, tekton.1, status("True"))).0.is_success());
    assert!(matches!(phase(tekton.0, tekton.1, status("Unknown")), RunPhase::Running { .. }));
    let counted = "status.[@this].#(succeeded==1)";
    let status = json!({"status": {"succeeded": 1, "completionTime": "2026-01-01T10:00:40Z"}});
    assert_eq!(end(phase(counted, FAILED, status)), (Exit::Code { code: 0 }, 40));
    let named = r#"[@this].#(metadata.namespace=="ns1")"#;
    assert!(end(phase(named, FAILED, json!({}))).0.is_success(), "the whole object is looked at");
    // Neither a number nor an empty list is a hit.
    assert!(matches!(
        phase("status.n", "status.empty", json!({"status": {"n": 1, "empty": []}})),
        RunPhase::Running { .. }
    ));
}

#[test]
fn an_object_without_its_annotations_is_no_run() {
    let mut object = made(&experiment()).unwrap();
    object.metadata.annotations.as_mut().unwrap().remove("cairn.dev/success-condition");
    let error = status(&object, at(0)).unwrap_err().to_string();
    assert_eq!(error, "annotation `cairn.dev/success-condition` is missing or makes no sense");
    object.metadata.annotations = None;
    assert!(matches!(status(&object, at(0)), Err(ReadError::NotARun("cairn.dev/run"))));
}
