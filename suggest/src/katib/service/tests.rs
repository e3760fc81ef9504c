use proto::katib::ParameterType as Kind;
use proto::katib::trial_status::TrialConditionType as Condition;

use super::*;
use crate::katib::testing::{experiment, parameter, told, trial};

fn numbers() -> Vec<wire::ParameterSpec> {
    vec![
        parameter("lr", Kind::Double, "0.1,0.5"),
        parameter("units", Kind::Int, "1,64"),
        parameter("opt", Kind::Categorical, "sgd,adam"),
    ]
}

fn small() -> Vec<wire::ParameterSpec> {
    vec![parameter("units", Kind::Int, "1,3"), parameter("opt", Kind::Categorical, "sgd,adam")]
}

fn request(
    experiment: wire::Experiment,
    trials: Vec<wire::Trial>,
    current: i32,
) -> wire::GetSuggestionsRequest {
    let total_request_number = trials.len() as i32 + current;
    wire::GetSuggestionsRequest {
        experiment: Some(experiment),
        trials,
        current_request_number: current,
        total_request_number,
    }
}

type Point = Vec<(String, String)>;

fn ask(request: &wire::GetSuggestionsRequest) -> Result<Vec<Point>, Status> {
    let points = Question::read(request)?.reply(&Sessions::default())?.parameter_assignments.into_iter().map(
        |point| point.assignments.into_iter().map(|assignment| (assignment.name, assignment.value)).collect(),
    );
    Ok(points.collect())
}

fn ended(name: &str, point: &Point, accuracy: &str, second: u32) -> wire::Trial {
    let point: Vec<(&str, &str)> =
        point.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    trial(name, &point, Condition::Succeeded, Some(accuracy), (second, second))
}

/// Asks and tells, `at_once` at a time.
fn walk(experiment: &wire::Experiment, n: usize, at_once: usize) -> Vec<Point> {
    let (mut points, mut trials) = (Vec::new(), Vec::new());
    while points.len() < n {
        let answer = ask(&request(experiment.clone(), trials.clone(), at_once as i32)).unwrap();
        assert_eq!(answer.len(), at_once);
        for point in answer {
            let number = trials.len() as u32;
            trials.push(ended(&format!("t{number:02}"), &point, &format!("0.{number}"), number + 1));
            points.push(point);
        }
    }
    points
}

#[test]
fn every_algorithm_answers_with_the_number_asked_for() {
    // Those that search architectures have questions of their own, and this wire hands no checkpoints over.
    let answers = |info: &registry::Info| {
        !info.features.contains(&(registry::Feature::Float, registry::Can::No)) && info.name != "pbt"
    };
    let infos = registry::list().into_iter().filter(|info| !info.early_stopping && answers(info));
    for name in infos.map(|info| info.name) {
        let experiment = told(
            told(experiment(name, numbers()), "random_state", "1"),
            if matches!(name, "hyperband" | "asha") { "r_l" } else { "random_state" },
            "9",
        );
        let experiment = match name {
            "hyperband" | "asha" => told(experiment, "resource_name", "units"),
            _ => experiment,
        };
        let points = walk(&experiment, 24, 3);
        assert_eq!(points, walk(&experiment, 24, 3), "{name} is not a function of what it is told");
        let distinct: BTreeSet<&Point> = points.iter().collect();
        assert!(distinct.len() > 20, "{name}: {distinct:?}");
    }
}

#[test]
fn a_grid_ends_and_others_repeat() {
    let grid = experiment("grid", small());
    let points = walk(&grid, 6, 3);
    assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), 6);
    let trials: Vec<_> =
        points.iter().zip(1..).map(|(point, n)| ended(&format!("t{n}"), point, "1", n)).collect();
    let refused = ask(&request(grid.clone(), trials.clone(), 1)).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange);
    // One is left and two are asked for: it is not lost.
    let answer = ask(&request(grid, trials[..5].to_vec(), 2)).unwrap();
    assert_eq!(answer.len(), 2);
    assert!(answer.contains(&points[5]));
    for name in ["random", "sobol", "tpe"] {
        let answer = ask(&request(experiment(name, small()), trials.clone(), 8)).unwrap();
        assert_eq!(answer.len(), 8, "{name}");
    }
}

#[test]
fn points_of_a_batch_differ_while_there_are_others() {
    let architectures = ["bananas", "nas-evolution", "nas-local-search"];
    let others = ["random", "sobol", "tpe", "multivariate-tpe", "bayesianoptimization", "grid"];
    for name in architectures.into_iter().chain(others) {
        let answer = ask(&request(experiment(name, small()), vec![], 6)).unwrap();
        assert_eq!(answer.iter().collect::<BTreeSet<_>>().len(), 6, "{name}: {answer:?}");
    }
}

#[test]
fn one_process_serves_many_and_remembers_none() {
    let ours = experiment("random", numbers());
    let theirs = wire::Experiment { name: "other".into(), ..ours.clone() };
    let first = ask(&request(ours.clone(), vec![], 2)).unwrap();
    assert_ne!(ask(&request(theirs, vec![], 2)).unwrap(), first);
    assert_eq!(ask(&request(ours.clone(), vec![], 2)).unwrap(), first);
    let one = |total| {
        let request =
            wire::GetSuggestionsRequest { total_request_number: total, ..request(ours.clone(), vec![], 1) };
        ask(&request).unwrap().remove(0)
    };
    assert_eq!([one(1), one(2)].as_slice(), first);
}

#[test]
fn more_imported_trials_than_were_asked_for_do_no_harm() {
    let at = |lr: &str| {
        vec![("lr".into(), lr.into()), ("units".into(), "3".into()), ("opt".into(), "adam".into())]
    };
    let mut trials: Vec<_> = (1..30).map(|n| ended(&format!("t{n}"), &at("7.5"), "0.5", n)).collect();
    let running: Point = at("0.3");
    let running: Vec<(&str, &str)> = running.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    trials.push(trial("r", &running, Condition::Running, None, (1, 0)));
    for name in ["tpe", "bayesianoptimization", "cmaes"] {
        let request = wire::GetSuggestionsRequest {
            total_request_number: 2,
            ..request(experiment(name, numbers()), trials.clone(), 2)
        };
        assert_eq!(ask(&request).unwrap().len(), 2, "{name}");
    }
}

#[test]
fn nothing_asked_for_is_answered_with_nothing() {
    assert_eq!(ask(&request(experiment("grid", small()), vec![], 0)).unwrap(), Vec::<Point>::new());
    assert_eq!(ask(&request(experiment("tpe", small()), vec![], -3)).unwrap(), Vec::<Point>::new());
}

#[test]
fn what_makes_no_sense_is_an_invalid_argument() {
    let nothing = wire::GetSuggestionsRequest::default();
    let status = ask(&nothing).unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, "request is empty"));
    let status = ask(&request(experiment("pbt", small()), vec![], 1)).unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let mut nas = experiment("random", vec![]);
    nas.spec.as_mut().unwrap().nas_config = Some(wire::NasConfig::default());
    let status = ask(&request(nas, vec![], 1)).unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let status = ask(&request(experiment("random", small()), vec![], i32::MAX)).unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_search_that_cannot_begin_is_refused_when_validated() {
    let validate = async |experiment: Option<wire::Experiment>| {
        let request = Request::new(wire::ValidateAlgorithmSettingsRequest { experiment });
        SuggestionService::default()
            .validate_algorithm_settings(request)
            .await
            .map(|_| ())
            .map_err(|s| s.message().to_owned())
    };
    assert_eq!(validate(None).await.unwrap_err(), "request is empty");
    assert_eq!(validate(Some(experiment("tpe", numbers()))).await, Ok(()));
    let empty = experiment("tpe", vec![parameter("x", Kind::Double, "2,1")]);
    assert_eq!(validate(Some(empty)).await.unwrap_err(), "`x`: min 2 is above max 1");
}
