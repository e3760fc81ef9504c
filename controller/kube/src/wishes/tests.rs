//! What is asked for, and what is not asked for twice.

use std::collections::BTreeSet;

use controller_core::conditions;
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Hold};
use controller_core::plan::KILL_WANTED;
use controller_core::ports::{StoredWish, Wish};
use controller_core::trial::{TrialRecord, TrialState};
use controller_core::validate::edited;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::project::testing::{DEMO, at, experiment, finished, pending, record, running};
use crate::project::{status, trial};

/// The resource of a text as a cluster has it, with status and what a server adds.
fn resource(text: &str) -> DynamicObject {
    let mut value = controller_core::yaml::parse(text).unwrap().remove(0).value;
    value["metadata"]["uid"] = json!("e-uid");
    value["metadata"]["creationTimestamp"] = json!("2026-01-01T10:00:00Z");
    value["status"] = status(&experiment(), &running(0), &[]);
    serde_json::from_value(value).unwrap()
}

/// The same with other words at the top of the spec; null takes one away.
#[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
fn with(words: Value) -> DynamicObject {
    let mut resource = resource(DEMO);
    for (word, value) in words.as_object().unwrap() {
        resource.data["spec"][word] = value.clone();
    }
    resource
}

fn stored(wish: Wish) -> StoredWish {
    StoredWish { wish_no: 1, at: at(5), wish }
}

fn asked(resource: &DynamicObject) -> Asked {
    of_experiment(resource, &experiment(), &running(0), &[])
}

/// The one wish of a resource.
fn one(resource: &DynamicObject) -> Wish {
    let mut asked = asked(resource);
    assert_eq!((asked.wishes.len(), asked.refused.len()), (1, 0), "{asked:?}");
    asked.wishes.remove(0)
}

/// Where refusals stand.
fn refused(asked: &Asked) -> Vec<&str> {
    assert!(asked.wishes.is_empty(), "{asked:?}");
    asked.refused.iter().map(|problem| problem.path.as_str()).collect()
}

fn completed(reason: &str) -> ExperimentStatus {
    let mut status = running(4);
    conditions::end(&mut status.conditions, at(9), "Succeeded", reason, "");
    status.completed = Some(at(9));
    status
}

#[test]
fn a_resource_is_read_as_a_file_is() {
    let (document, report) = document(&resource(DEMO));
    assert!(report.is_valid() && report.warnings.is_empty(), "{report:?}");
    assert_eq!(document.spec, experiment().spec);
    assert_eq!((&*document.metadata.name, &*document.metadata.namespace), ("demo", "ns1"));
}

#[test]
fn what_is_wrong_with_a_resource_is_said_as_everywhere_and_conditions_too() {
    let (_, report) = document(&with(json!({"maxTrialCount": 0, "schedule": {}, "maxTrialCont": 3})));
    let errors: Vec<_> = report.errors.iter().map(|problem| problem.path.as_str()).collect();
    assert!(errors.contains(&"spec.maxTrialCount") && errors.contains(&"spec.schedule"), "{errors:?}");
    assert_eq!(report.warnings[0].hint.as_deref(), Some("did you mean `maxTrialCount`?"));
    let mut unreadable = resource(DEMO);
    unreadable.data["spec"]["trialTemplate"]["successCondition"] = json!("status.@pretty");
    let (_, report) = document(&unreadable);
    assert_eq!(report.errors[0].path, "spec.trialTemplate.successCondition");
}

#[test]
fn what_is_as_it_is_asks_for_nothing() {
    assert_eq!(asked(&resource(DEMO)), Asked::default());
    // A server has filled in defaults, or has not.
    let mut defaulted = resource(DEMO);
    defaulted.data["spec"] = serde_json::to_value(experiment().spec).unwrap();
    assert_eq!(asked(&defaulted), Asked::default());
    // A number has come back as another kind of number.
    defaulted.data["spec"]["objective"]["goal"] = json!(1);
    assert_eq!(asked(&defaulted), Asked::default());
}

#[test]
fn budgets_are_wishes_and_are_wished_once() {
    let more =
        with(json!({"maxTrialCount": 9, "parallelTrialCount": 3, "maxDuration": "2h", "maxGpuHours": 5}));
    let wish = one(&more);
    let new = edited(&experiment().spec, &wish);
    assert_eq!((new.max_trial_count, new.parallel_trial_count), (Some(9), Some(3)));
    assert_eq!((new.max_duration.as_deref(), new.max_gpu_hours), (Some("2h"), Some(5.0)));
    assert_eq!(of_experiment(&more, &experiment(), &running(0), &[stored(wish)]), Asked::default());
    let carried_out = ExperimentRecord { spec: new, ..experiment() };
    assert_eq!(of_experiment(&more, &carried_out, &running(0), &[]), Asked::default());
}

#[test]
fn a_budget_that_is_gone_is_taken_away() {
    let free = with(json!({"maxTrialCount": null}));
    let wish = one(&free);
    assert_eq!(wish, Wish::Lift { budgets: vec!["maxTrialCount".into()] });
    assert_eq!(of_experiment(&free, &experiment(), &running(0), &[stored(wish)]), Asked::default());
    let both = asked(&with(json!({"maxTrialCount": null, "maxFailedTrialCount": 2})));
    assert_eq!(both.wishes.len(), 2);
    let spec = both.wishes.iter().fold(experiment().spec, |spec, wish| edited(&spec, wish));
    assert_eq!((spec.max_trial_count, spec.max_failed_trial_count), (None, Some(2)));
}

#[test]
fn everything_else_is_refused_by_name_and_does_not_keep_budgets_back() {
    let parameters =
        json!([{"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.01", "max": "9"}}]);
    let other = asked(&with(json!({"parameters": parameters})));
    assert_eq!(refused(&other), ["spec.parameters[0].feasibleSpace.max"]);
    let both = asked(&with(json!({"parameters": parameters, "maxTrialCount": 9})));
    assert_eq!((both.wishes.len(), both.refused.len()), (1, 1));
}

#[test]
fn an_edit_that_makes_no_sense_is_refused() {
    assert_eq!(refused(&asked(&with(json!({"parallelTrialCount": 9})))), ["spec.parallelTrialCount"]);
    let fewer = of_experiment(&with(json!({"maxTrialCount": 3})), &experiment(), &running(3), &[]);
    assert_eq!(refused(&fewer), ["spec.maxTrialCount"]);
}

#[test]
fn an_experiment_that_is_over_is_taken_up_again_as_its_policy_says() {
    let of = |policy: &str, reason: &str| {
        let text =
            DEMO.replace("  maxTrialCount: 4\n", &format!("  maxTrialCount: 4\n  resumePolicy: {policy}\n"));
        let mut more = resource(&text);
        more.data["spec"]["maxTrialCount"] = json!(9);
        of_experiment(&more, &record(&text), &completed(reason), &[])
    };
    for policy in ["LongRunning", "FromVolume"] {
        assert_eq!(of(policy, "ExperimentMaxTrialsReached").wishes.len(), 1, "{policy}");
        assert_eq!(refused(&of(policy, "ExperimentGoalReached")), ["spec.resumePolicy"]);
    }
    assert_eq!(refused(&of("Never", "ExperimentMaxTrialsReached")), ["spec.resumePolicy"]);
    assert_eq!(
        of_experiment(&resource(DEMO), &experiment(), &completed("ExperimentGoalReached"), &[]),
        Asked::default()
    );
}

#[test]
fn suspend_holds_and_lets_go_and_is_no_edit() {
    let (held, free) = (with(json!({"suspend": true})), resource(DEMO));
    let of = |resource: &DynamicObject, hold: Hold, open: &[Wish]| {
        let status = ExperimentStatus { hold, ..running(1) };
        let open: Vec<_> = open.iter().cloned().map(stored).collect();
        of_experiment(resource, &experiment(), &status, &open).wishes
    };
    let stop = Wish::Stop { now: false };
    assert_eq!(of(&held, Hold::Free, &[]), vec![stop.clone()]);
    assert_eq!(of(&held, Hold::Free, std::slice::from_ref(&stop)), []);
    assert_eq!(of(&held, Hold::Draining, &[]), []);
    assert_eq!(of(&held, Hold::Draining, &[Wish::Resume]), vec![stop.clone()]);
    assert_eq!(of(&free, Hold::Draining, &[]), [Wish::Resume]);
    assert_eq!(of(&free, Hold::Stopped, &[]), [Wish::Resume]);
    assert_eq!(of(&free, Hold::Free, &[]), []);
    assert_eq!(
        of_experiment(&held, &experiment(), &completed("ExperimentGoalReached"), &[]),
        Asked::default()
    );
    // It was submitted so, and its record says so for ever.
    let born = ExperimentRecord { spec: document(&held).0.spec, ..experiment() };
    assert_eq!(of_experiment(&free, &born, &running(0), &[]), Asked::default());
}

#[test]
fn a_resource_that_is_being_deleted_asks_for_its_end_once_and_for_nothing_else() {
    let mut value = serde_json::to_value(with(json!({"maxTrialCount": 9}))).unwrap();
    value["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    let leaving: DynamicObject = serde_json::from_value(value).unwrap();
    assert_eq!(one(&leaving), Wish::Delete);
    assert_eq!(
        of_experiment(&leaving, &experiment(), &running(0), &[stored(Wish::Delete)]),
        Asked::default()
    );
    let deleting = ExperimentStatus { hold: Hold::Deleting, ..running(0) };
    assert_eq!(of_experiment(&leaving, &experiment(), &deleting, &[]), Asked::default());
}

#[test]
fn a_trial_that_a_person_marks_as_killed_is_to_end() {
    let of = |record: &TrialRecord, open: &[StoredWish]| {
        let mut resource = trial(&experiment(), record);
        let killed = json!({"type": "Killed", "status": "True", "reason": "Mine", "message": ""});
        resource.data["status"]["conditions"].as_array_mut().unwrap().push(killed);
        of_trial(&resource, record, open)
    };
    let wish = Wish::StopTrial { trial: pending(3).idx };
    assert_eq!(of(&pending(3), &[]), Some(wish.clone()));
    assert_eq!(of(&pending(3), &[stored(wish)]), None);
    assert_eq!(of(&TrialRecord { reason: KILL_WANTED.into(), ..pending(3) }, &[]), None);
    assert_eq!(of(&finished(3), &[]), None, "it has ended");
    let running = TrialRecord { state: TrialState::Running, started: Some(at(3)), ..pending(3) };
    assert_eq!(of_trial(&trial(&experiment(), &running), &running, &[]), None);
}

#[test]
fn a_resource_is_known_by_its_uid_and_a_restored_one_by_what_it_names() {
    let listed = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<BTreeSet<_>>();
    let records =
        [experiment(), ExperimentRecord { cluster: "other".into(), id: ExperimentId(8), ..experiment() }];
    let of = |resource: &DynamicObject, listed: &BTreeSet<String>| {
        identity(resource, "c-uid", records.iter(), listed)
    };
    let known = resource(DEMO);
    assert_eq!(of(&known, &listed(&["e-uid"])), Identity::Known(ExperimentId(7)));
    let mut again = known.clone();
    again.metadata.uid = Some("new".into());
    assert_eq!(of(&again, &listed(&["new"])), Identity::New, "the same name is not enough");
    again.metadata.annotations.as_mut().unwrap().insert("cairn.dev/experiment-id".into(), "7".into());
    assert_eq!(of(&again, &listed(&["new"])), Identity::Restored(ExperimentId(7)));
    assert_eq!(of(&again, &listed(&["new", "e-uid"])), Identity::New, "that one is there");
    again.metadata.name = Some("other".into());
    assert_eq!(of(&again, &listed(&["new"])), Identity::New);
}

#[test]
fn records_of_this_cluster_that_a_complete_list_does_not_have_are_deleted() {
    let elsewhere = ExperimentRecord { cluster: "other".into(), ..experiment() };
    let gone = ExperimentRecord { uid: "gone".into(), id: ExperimentId(9), ..experiment() };
    let (records, listed) = ([experiment(), elsewhere, gone], BTreeSet::from(["e-uid".to_owned()]));
    let found: Vec<_> = deleted("c-uid", records.iter(), &listed).map(|record| record.id.0).collect();
    assert_eq!(found, [9]);
}
