//! What clients of Katib look at, rule by rule.

use controller_core::conditions;
use controller_core::experiment::Best;
use controller_core::katib;
use controller_core::ports::AskRecord;
use controller_core::trial::TrialState;
use serde_json::{Value, json};
use study::TrialIdx;

use super::testing::{DEMO, at, ended, experiment, finished, pending, record, running, yaml};
use super::*;
use crate::resources::{Kind, definition};

/// Type, status and reason of each condition of a status.
fn told(status: &Value) -> Vec<String> {
    let conditions = status["conditions"].as_array().unwrap().iter();
    conditions.map(|c| format!("{} {} {}", c["type"], c["status"], c["reason"]).replace('"', "")).collect()
}

/// A status with a best trial that has completed.
fn completed() -> controller_core::experiment::ExperimentStatus {
    let (mut status, best) = (running(2), finished(1));
    let message = "Experiment has succeeded because max trial count has reached";
    status.completed = Some(at(99));
    conditions::end(&mut status.conditions, at(99), "Succeeded", "ExperimentMaxTrialsReached", message);
    status.best = Some(Best {
        idx: best.idx,
        name: best.name,
        assignments: best.assignments,
        observation: best.observation,
        value: Some(0.25),
        runs: 1,
        std_error: None,
    });
    status.counters.failed = 1;
    status.counters.metrics_unavailable = 1;
    status
}

#[test]
fn the_status_of_an_experiment() {
    let lists =
        [("succeededTrialList", vec![finished(2), finished(1)]), ("failedTrialList", vec![pending(0)])];
    let status = status(&experiment(), &completed(), &lists);
    insta::assert_snapshot!(controller_core::yaml::write(&status));
}

#[test]
fn a_status_without_trials_has_neither_counters_nor_lists_and_an_empty_best() {
    let status = status(&experiment(), &running(0), &[]);
    assert_eq!(status["completionTime"], Value::Null);
    assert_eq!(status["currentOptimalTrial"], json!({"observation": {}}));
    let words: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(words, ["startTime", "completionTime", "conditions", "currentOptimalTrial"]);
}

#[test]
fn lists_hold_the_newest_500_names_oldest_first() {
    let answer: Vec<_> = (0..600).rev().map(pending).collect();
    let status = status(&experiment(), &running(600), &[("pendingTrialList", answer)]);
    let names = status["pendingTrialList"].as_array().unwrap();
    assert_eq!(names.len(), 500);
    assert_eq!((&names[0], &names[499]), (&json!(pending(100).name), &json!(pending(599).name)));
}

#[test]
fn a_trial() {
    insta::assert_snapshot!(yaml(&trial(&experiment(), &finished(3))));
}

#[test]
fn a_trial_of_a_spec_that_says_little_says_little() {
    let text = DEMO.replace("  earlyStopping: {algorithmName: medianstop}\n", "").replace(", goal: 1.0", "");
    let object = trial(&record(&text), &pending(0));
    let words: Vec<_> = object.data["spec"].as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "objective",
        "parameterAssignments",
        "runSpec",
        "metricsCollector",
        "primaryContainerName",
        "successCondition",
        "failureCondition",
    ];
    assert_eq!(words, wanted);
    assert!(object.data["status"].get("observation").is_none());
    assert_eq!(object.data["status"]["completionTime"], Value::Null);
}

#[test]
fn conditions_of_trials_end_with_the_current_state() {
    let of =
        |record: &controller_core::trial::TrialRecord| told(&trial(&experiment(), record).data["status"]);
    assert_eq!(of(&pending(0)), ["Created True TrialCreated"]);
    let running = controller_core::trial::TrialRecord {
        state: TrialState::Running,
        started: Some(at(3)),
        ..pending(0)
    };
    assert_eq!(of(&running), ["Created True TrialCreated", "Running True TrialRunning"]);
    let start = ["Created True TrialCreated", "Running False TrialRunning"];
    for (state, reason) in [
        (TrialState::Succeeded, "TrialSucceeded"),
        (TrialState::Failed, "TrialFailed"),
        (TrialState::Killed, "TrialKilled"),
        (TrialState::EarlyStopped, "TrialEarlyStopped"),
        (TrialState::MetricsUnavailable, "MetricsUnavailable"),
    ] {
        let last = format!("{} True {reason}", state.name());
        assert_eq!(of(&ended(0, state, reason, "")), [start[0], start[1], &last]);
    }
}

#[test]
fn the_newest_1000_trials_are_shown_and_others_only_for_a_reason() {
    let (record, status) = (experiment(), running(1500));
    assert!(!is_shown(&record, &status, &finished(499)));
    assert!(is_shown(&record, &status, &finished(500)) && is_shown(&record, &status, &finished(1499)));
    assert!(is_shown(&record, &status, &pending(3)), "it has not ended");
    let retained = self::record(&DEMO.replace("trialTemplate:\n", "trialTemplate:\n    retain: true\n"));
    assert!(is_shown(&retained, &status, &finished(3)), "its object would go with it");
}

#[test]
fn a_suggestion() {
    let asks = [AskRecord { first_idx: TrialIdx(2), n: 1, history_seq: 9 }];
    insta::assert_snapshot!(yaml(&suggestion(&experiment(), &running(2), &asks, &[pending(0), finished(1)])));
}

#[test]
fn a_suggestion_lists_the_open_points_and_the_newest_100() {
    let mut trials: Vec<_> = (0..300).map(finished).collect();
    trials[7] = pending(7);
    let data = suggestion(&experiment(), &running(300), &[], &trials).data;
    assert_eq!((&data["spec"]["requests"], &data["status"]["suggestionCount"]), (&json!(300), &json!(300)));
    let points = data["status"]["suggestions"].as_array().unwrap();
    assert_eq!(points.len(), 101);
    assert_eq!(
        (&points[0]["name"], &points[1]["name"]),
        (&json!(pending(7).name), &json!(pending(200).name))
    );
}

#[test]
fn a_suggestion_goes_through_the_conditions_that_clients_wait_for() {
    let with = |policy: &str| {
        record(
            &DEMO.replace("  maxTrialCount: 4\n", &format!("  maxTrialCount: 4\n  resumePolicy: {policy}\n")),
        )
    };
    let of = |policy: &str, status: &controller_core::experiment::ExperimentStatus| {
        told(&suggestion(&with(policy), status, &[], &[]).data["status"])
    };
    let new = controller_core::experiment::ExperimentStatus::default();
    let (created, ready) = ("Created True SuggestionCreated", "DeploymentReady True DeploymentReady");
    assert_eq!(of("Never", &new), [created]);
    assert_eq!(of("Never", &running(0)), [created, ready, "Running True SuggestionRunning"]);
    for policy in ["Never", "FromVolume"] {
        let end = [
            created,
            "Running False Suggestion is succeeded",
            "DeploymentReady False Suggestion is succeeded",
            "Succeeded True Experiment is succeeded",
        ];
        assert_eq!(of(policy, &completed()), end);
    }
    assert_eq!(of("LongRunning", &completed()), [created, ready, "Running True SuggestionRunning"]);
    let mut again = completed();
    conditions::restart(&mut again, at(200));
    let view = suggestion(&with("FromVolume"), &again, &[], &[]).data["status"].clone();
    assert_eq!(told(&view), [created, ready, "Running True SuggestionRunning"]);
    assert_eq!(view["conditions"][2]["lastTransitionTime"], at(200).to_rfc3339());
}

#[test]
fn messages_of_a_suggestion_say_whether_it_can_go_on() {
    let message = |policy: &str| {
        let text =
            DEMO.replace("  maxTrialCount: 4\n", &format!("  maxTrialCount: 4\n  resumePolicy: {policy}\n"));
        let data = suggestion(&record(&text), &completed(), &[], &[]).data;
        data["status"]["conditions"][3]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message("Never"), "Suggestion is succeeded, can't be restarted");
    assert_eq!(
        message("FromVolume"),
        "Suggestion is succeeded, suggestion volume is not deleted, can be restarted"
    );
}

#[test]
fn the_same_records_give_the_same_objects() {
    let lists = || vec![("succeededTrialList", vec![finished(1)])];
    assert_eq!(status(&experiment(), &completed(), &lists()), status(&experiment(), &completed(), &lists()));
    assert_eq!(trial(&experiment(), &finished(1)), trial(&experiment(), &finished(1)));
}

/// Panics unless the schema knows every field of the value and its type.
fn conforms(schema: &Value, value: &Value, path: &str) {
    if value.is_null() {
        assert_eq!(schema["nullable"], true, "{path} is null");
        return;
    }
    let right = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{path}: type {other}"),
    };
    assert!(right, "{path} is {value}");
    if schema.get("type").is_none() {
        return;
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        conforms(
            known.unwrap_or_else(|| panic!("{path}.{name} is not documented")),
            below,
            &format!("{path}.{name}"),
        );
    }
    for below in value.as_array().into_iter().flatten() {
        conforms(&schema["items"], below, &format!("{path}[]"));
    }
}

#[test]
fn everything_that_is_shown_is_documented() {
    let schema = |kind: Kind| {
        let definition = serde_json::to_value(definition(kind)).unwrap();
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clone()
    };
    let asks = [AskRecord { first_idx: TrialIdx(2), n: 1, history_seq: 9 }];
    let mut all = completed();
    for state in TrialState::ALL {
        *all.counters.of(state) += 1;
    }
    all.algorithm_settings = vec![controller_core::spec::Setting { name: "s_max".into(), value: "3".into() }];
    let lists: Vec<_> = katib::lists(&all.counters).map(|(word, _)| (word, vec![finished(1)])).collect();
    let view = status(&experiment(), &all, &lists);
    assert_eq!(view.as_object().unwrap().len(), 4 + 8 + 7);
    conforms(&schema(Kind::Experiment)["status"], &view, "status");
    let spec = serde_json::to_value(&experiment().spec).unwrap();
    conforms(&schema(Kind::Experiment)["spec"], &spec, "spec");
    for (kind, object) in [
        (Kind::Trial, trial(&experiment(), &finished(1))),
        (Kind::Suggestion, suggestion(&experiment(), &all, &asks, &[finished(1)])),
    ] {
        conforms(&schema(kind)["spec"], &object.data["spec"], kind.name());
        conforms(&schema(kind)["status"], &object.data["status"], kind.name());
    }
}
