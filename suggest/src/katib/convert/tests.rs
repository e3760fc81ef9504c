use proto::katib::ParameterType as Kind;

use super::*;
use crate::katib::testing::{experiment, parameter, told, trial};

fn study(algorithm: &str) -> Study {
    let parameters = vec![
        parameter("lr", Kind::Double, "0.1,0.5"),
        parameter("units", Kind::Int, "1,64"),
        parameter("batch", Kind::Discrete, "32,8,16"),
        parameter("opt", Kind::Categorical, "sgd,adam"),
    ];
    study_from_proto(&experiment(algorithm, parameters)).unwrap()
}

fn point(lr: &'static str, units: &'static str, batch: &'static str) -> [(&'static str, &'static str); 4] {
    [("lr", lr), ("units", units), ("batch", batch), ("opt", "adam")]
}

#[test]
fn lists_keep_their_texts() {
    let study = study("random");
    let Domain::Discrete { texts, values } = &study.space.parameters()[2].domain else { panic!() };
    assert_eq!((texts.join(","), values.as_slice()), ("8,16,32".to_owned(), &[8.0, 16.0, 32.0][..]));
    let words = parameter("words", Kind::Discrete, "1,two");
    assert!(matches!(domain(&words), Ok(Domain::Categorical { .. })));
}

#[test]
fn spaces_from_which_nothing_can_be_drawn_are_refused() {
    for (kind, space, problem) in [
        (Kind::Double, "a,1", "`p`: min `a` is no number"),
        (Kind::Double, "1,0", "`p`: min 1 is above max 0"),
        (Kind::Double, "0,inf", "`p`: max is not a finite number"),
        (Kind::Int, "1,2.5", "`p`: max `2.5` is no whole number"),
        (Kind::Int, "1,5,0", "`p`: step 0 must be above 0"),
    ] {
        let refused = study_from_proto(&experiment("random", vec![parameter("p", kind, space)]));
        assert_eq!(refused.unwrap_err(), [problem]);
    }
    let refused = study_from_proto(&experiment("random", vec![]));
    assert_eq!(refused.unwrap_err(), ["the search space has no parameters"]);
}

#[test]
fn the_seed_is_random_state_or_what_the_experiment_is() {
    let parameters = || vec![parameter("lr", Kind::Double, "0,1")];
    let seed = |experiment: &wire::Experiment| study_from_proto(experiment).unwrap().seed;
    let plain = experiment("random", parameters());
    assert_eq!(seed(&told(plain.clone(), "random_state", "7")), 7);
    let mut edited = plain.clone();
    edited.spec.as_mut().unwrap().max_trial_count = 100;
    assert_eq!(seed(&edited), seed(&plain));
    assert_ne!(seed(&wire::Experiment { name: "f".into(), ..plain.clone() }), seed(&plain));
    assert_ne!(seed(&experiment("sobol", parameters())), seed(&plain));
}

#[test]
fn history_comes_in_the_order_of_ends_and_numbers_in_that_of_starts() {
    use Condition::{Created, Failed, Succeeded};
    let at = point("0.2", "3", "8");
    let trials = [
        trial("new", &at, Created, None, (0, 0)),
        trial("late", &at, Succeeded, Some("0.7"), (1, 9)),
        trial("b", &at, Failed, None, (2, 5)),
        trial("a", &at, Succeeded, Some("0.5"), (2, 5)),
    ];
    let past = past_from_proto(&study("random"), &trials, 10);
    let ends: Vec<(u64, Option<f64>)> = past
        .events
        .iter()
        .filter_map(|event| match event {
            HistoryEvent::Ended { trial, outcome } => Some((trial.0, outcome.cost())),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(11, Some(-0.5)), (12, None), (10, Some(-0.7))]);
    assert_eq!(past.running.iter().map(|trial| trial.idx.0).collect::<Vec<_>>(), [13]);
    let mut shuffled = trials;
    shuffled.reverse();
    assert_eq!(past_from_proto(&study("random"), &shuffled, 10), past);
}

#[test]
fn only_measured_ends_are_results() {
    use Condition::{Created, Earlystopped, Failed, Killed, Metricsunavailable, Running, Succeeded, Unknown};
    let failed = Some(Outcome::Failed);
    let stopped = |costs: &[f64]| Some(Outcome::EarlyStopped { costs: costs.to_vec() });
    for (condition, accuracy, outcome) in [
        (Succeeded, Some("0.5"), Some(Outcome::Succeeded { costs: vec![-0.5] })),
        (Succeeded, Some("nan"), failed.clone()),
        (Succeeded, Some("unavailable"), failed.clone()),
        (Succeeded, None, failed.clone()),
        (Earlystopped, Some("0.25"), stopped(&[-0.25])),
        (Earlystopped, None, stopped(&[])),
        (Failed, Some("0.5"), failed.clone()),
        (Killed, None, failed.clone()),
        (Metricsunavailable, None, failed),
        (Created, None, None),
        (Running, None, None),
        (Unknown, None, None),
    ] {
        let trial = trial("t", &[], condition, accuracy, (1, 2));
        let objective = study("random").objectives[0].clone();
        assert_eq!(outcome_from_proto(trial.status.as_ref().unwrap(), &objective), outcome, "{condition:?}");
    }
}

#[test]
fn points_of_others_are_taken_in_or_passed_over() {
    let values = |point: &[(&str, &str)]| {
        let trial = trial("t", point, Condition::Succeeded, Some("1"), (1, 2));
        assignment_from_proto(&study("random"), &trial)
            .map(|assignment| study("random").space.texts(&assignment))
    };
    let texts =
        |point: &[(&str, &str)]| values(point).unwrap().into_iter().map(|(_, t)| t).collect::<Vec<_>>();
    assert_eq!(texts(&point("0.2", "3", "8")), ["0.2", "3", "8", "adam"]);
    assert_eq!(texts(&point("2e-05", "99.0", "16.0")), ["0.1", "64", "16", "adam"]);
    let turned = [("opt", "sgd"), ("batch", "32"), ("units", "5"), ("lr", "0.3")];
    assert_eq!(texts(&turned), ["0.3", "5", "32", "sgd"]);
    assert_eq!(values(&point("0.2", "3", "7")), None);
    assert_eq!(values(&point("nan", "3", "8")), None);
    assert_eq!(values(&[("lr", "0.2")]), None);
    assert_eq!(texts(&[&point("0.2", "3", "8")[..], &[("gone", "1")]].concat())[0], "0.2");
}

#[test]
fn values_are_written_as_python_does() {
    let study = study("random");
    let values = [Value::Float(1e-5), Value::Int(3), Value::Choice(0), Value::Choice(1)].map(Some).to_vec();
    let suggestion = Suggestion { assignment: Assignment(values), ..Suggestion::default() };
    let written = suggestion_to_proto(&study.space, &suggestion);
    let texts: Vec<&str> = written.assignments.iter().map(|a| a.value.as_str()).collect();
    assert_eq!(texts, ["1e-05", "3", "8", "adam"]);
}
