use controller_core::trial::Origin;
use serde_json::json;
use study::{Assignment, TrialIdx, Value};

use super::*;

fn spec() -> ExperimentSpec {
    serde_json::from_value(json!({
        "objective": {
            "type": "maximize",
            "objectiveMetricName": "acc",
            "additionalMetricNames": ["loss"],
            "metricStrategies": [{"name": "acc", "value": "max"}, {"name": "loss", "value": "min"}],
        },
        "algorithm": {
            "algorithmName": "mine",
            "endpoint": "here:1",
            "algorithmSettings": [{"name": "eta", "value": "3"}],
        },
        "parameters": [
            {"name": "lr", "parameterType": "double",
             "feasibleSpace": {"min": "0.1", "max": "1", "distribution": "logUniform"}},
            {"name": "opt", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
        ],
        "parallelTrialCount": 2,
    }))
    .unwrap()
}

fn space() -> Space {
    controller_core::study::of_spec(&spec(), "e", 1).0.unwrap().space
}

fn trial(state: TrialState) -> TrialRecord {
    let summary = |name: &str, texts: [&str; 3]| {
        let [min, max, latest] = texts.map(str::to_owned);
        MetricSummary { name: name.into(), min, max, latest }
    };
    TrialRecord {
        idx: TrialIdx(3),
        name: "e-12345678".into(),
        state,
        suggestion: Suggestion::default(),
        assignments: vec![("lr".into(), "0.5".into()), ("opt".into(), "sgd".into())],
        labels: BTreeMap::new(),
        rules: Vec::new(),
        origin: Origin::Search,
        attempt: 1,
        failures: 0,
        lost: 0,
        reason: String::new(),
        message: String::new(),
        observation: vec![
            summary("acc", ["0.1", "0.9", "0.8"]),
            summary("loss", ["unavailable", "unavailable", "n/a"]),
        ],
        objectives: vec![0.9],
        model: None,
        checkpoint: None,
        waited: vec![],
        reached: None,
        steps: 0,
        created: Timestamp(1_000_000),
        started: Some(Timestamp(2_000_000)),
        ended: Some(Timestamp(3_500_000)),
    }
}

#[test]
fn an_experiment_carries_the_settings_that_came_back() {
    let over = ["eta", "place"].map(|name| Setting { name: name.into(), value: "9".into() });
    let experiment = experiment_to_proto("e", &spec(), &over);
    let spec = experiment.spec.unwrap();
    let settings = spec.algorithm.unwrap().algorithm_settings;
    let settings: Vec<_> = settings.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(settings, [("eta", "9"), ("place", "9")]);
    let parameters = spec.parameter_specs.unwrap().parameters;
    assert_eq!(parameters[0].parameter_type(), wire::ParameterType::Double);
    let space = parameters[0].feasible_space.as_ref().unwrap();
    assert_eq!((space.min.as_str(), space.distribution()), ("0.1", wire::Distribution::LogUniform));
    assert_eq!(parameters[1].feasible_space.as_ref().unwrap().list, ["sgd", "adam"]);
    assert_eq!(spec.objective.unwrap().r#type(), wire::ObjectiveType::Maximize);
    assert_eq!((spec.parallel_trial_count, spec.max_trial_count), (2, 0));
}

#[test]
fn an_ended_trial_shows_the_values_that_its_strategies_pick() {
    let shown = trial_to_proto(&trial(TrialState::Succeeded), true, &spec().objective()).unwrap();
    let status = shown.status.unwrap();
    let metrics = status.observation.as_ref().unwrap().metrics.iter();
    let metrics: Vec<_> = metrics.map(|m| (m.name.as_str(), m.value.as_str())).collect();
    assert_eq!(metrics, [("acc", "0.9"), ("loss", "n/a")]);
    assert_eq!(status.condition(), Condition::Succeeded);
    assert_eq!(status.start_time, "1970-01-01T00:00:02Z");
    assert_eq!(status.completion_time, "1970-01-01T00:00:03Z");
    assert_eq!(shown.name, "e-12345678");
}

#[test]
fn an_end_that_came_after_the_question_is_not_shown() {
    let objective = spec().objective();
    let then =
        TrialRecord { started: None, ended: None, observation: Vec::new(), ..trial(TrialState::Pending) };
    let asked = trial_to_proto(&then, false, &objective);
    assert_eq!(trial_to_proto(&trial(TrialState::Failed), false, &objective), asked);
    assert_eq!(asked.unwrap().status.unwrap().condition(), Condition::Running);
}

#[test]
fn trials_without_a_value_are_left_out_as_katib_does() {
    let objective = spec().objective();
    let silent = TrialRecord { objectives: Vec::new(), ..trial(TrialState::EarlyStopped) };
    assert_eq!(trial_to_proto(&silent, true, &objective), None);
    assert_eq!(trial_to_proto(&trial(TrialState::MetricsUnavailable), true, &objective), None);
    let condition =
        |state| trial_to_proto(&trial(state), true, &objective).unwrap().status.unwrap().condition();
    assert_eq!(condition(TrialState::EarlyStopped), Condition::Earlystopped);
    assert_eq!(condition(TrialState::Killed), Condition::Killed);
}

#[test]
fn names_and_labels_of_the_service_come_back_to_it() {
    let assignments = [("opt", "adam"), ("lr", "1e-01"), ("unheard", "of")]
        .map(|(name, value)| wire::ParameterAssignment { name: name.into(), value: value.into() });
    let answer = ParameterAssignments {
        assignments: assignments.to_vec(),
        trial_name: "mine-7".into(),
        labels: [("generation".to_owned(), "2".to_owned())].into(),
    };
    let suggestion = suggestion_from_proto(&space(), "mine", &answer).unwrap();
    assert_eq!(suggestion.assignment, Assignment(vec![Some(Value::Float(0.1)), Some(Value::Choice(1))]));
    let trial = TrialRecord { suggestion, ..trial(TrialState::Succeeded) };
    let shown = trial_to_proto(&trial, true, &spec().objective()).unwrap();
    assert_eq!(shown.name, "mine-7");
    assert_eq!(shown.spec.unwrap().labels, answer.labels);
}

#[test]
fn a_suggestion_that_is_no_point_of_the_space_is_refused() {
    let answer = |points: &[(&str, &str)]| {
        let assignments = points
            .iter()
            .map(|(name, value)| wire::ParameterAssignment { name: (*name).into(), value: (*value).into() });
        let answer = ParameterAssignments { assignments: assignments.collect(), ..Default::default() };
        suggestion_from_proto(&space(), "mine", &answer).unwrap_err()
    };
    assert_eq!(answer(&[("lr", "0.5")]), "a suggestion has no value for `opt`");
    let unknown = "a suggestion has `rmsprop` for `opt`, which is no value of it";
    assert_eq!(answer(&[("lr", "0.5"), ("opt", "rmsprop")]), unknown);
}
