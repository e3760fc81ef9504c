//! Histories and spaces that no sampler was made for, as one list that every sampler is run through: its points lie in
//! the space, it does not panic, and it says when it finds nothing.

use study::{
    Assignment, Constraint, Distribution, Domain, HistoryEvent, Outcome, Parameter, Space, Study, Suggestion,
    Trial, TrialIdx, Value,
};

use super::{Make, categorical, float, mixed, spaces, study, with};
use crate::Sampler;
use crate::rng::Streams;
use crate::settings::SettingsError;

/// Whether there is something to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// The first question is answered.
    Something,
    /// So little of the space meets its constraints that a search may give up.
    Perhaps,
    /// Nothing meets the constraints: no question is answered.
    Nothing,
}

/// How a trial ends, by its number.
type End = fn(u64) -> Outcome;

/// One search that goes wrong.
struct Case {
    name: &'static str,
    space: Space,
    /// Trials, one after the other.
    n: u64,
    outcome: End,
    found: Found,
}

/// The whole list. A trial that ends twice or late is part of the contract.
pub(crate) fn hostile(make: Make<'_>) {
    hostile_in(make, &Space::clone);
}

/// The same in spaces to which something is added that the sampler cannot do without.
pub(crate) fn hostile_in(make: Make<'_>, add: &dyn Fn(&Space) -> Space) {
    for mut case in histories().into_iter().chain(hard_spaces()).chain(constraints()) {
        case.space = add(&case.space);
        search(make, &case);
    }
    for space in spaces().iter().map(add) {
        one_point_again_and_again(make, &space);
        a_budget_that_is_raised(make, &space);
        a_history_of_other_spaces(make, &space);
    }
    a_thousand_that_run(make, &add(&mixed()));
}

fn cost(cost: f64) -> Outcome {
    Outcome::Succeeded { costs: vec![cost] }
}

/// Costs without a pattern.
fn ordinary(idx: u64) -> Outcome {
    cost((idx * 7919 % 101) as f64)
}

fn histories() -> Vec<Case> {
    let outcomes: [(&'static str, End); 9] = [
        ("all costs equal", |_| cost(3.0)),
        ("one huge cost", |idx| if idx == 5 { cost(1e308) } else { ordinary(idx) }),
        ("one tiny cost", |idx| if idx == 5 { cost(-1e308) } else { ordinary(idx) }),
        ("costs of least size", |idx| cost(idx as f64 * f64::MIN_POSITIVE)),
        ("every trial fails", |_| Outcome::Failed),
        ("the first thirty fail", |idx| if idx < 30 { Outcome::Failed } else { ordinary(idx) }),
        ("no cost is a number", |_| cost(f64::NAN)),
        ("some costs are infinite", |idx| match idx % 3 {
            0 => cost(f64::INFINITY),
            1 => cost(f64::NEG_INFINITY),
            _ => ordinary(idx),
        }),
        ("no trial has costs", |_| Outcome::EarlyStopped { costs: vec![] }),
    ];
    let on = |(name, outcome): (&'static str, End)| {
        spaces().into_iter().map(move |space| Case { name, space, n: 40, outcome, found: Found::Something })
    };
    outcomes.into_iter().flat_map(on).collect()
}

fn hard_spaces() -> Vec<Case> {
    let case = |name, n, parameters: Vec<Parameter>| Case {
        name,
        space: Space::new(parameters, vec![]).unwrap(),
        n,
        outcome: ordinary,
        found: Found::Something,
    };
    let range = |name: &str, min: f64, max: f64, distribution| {
        with(name, Domain::Float { min, max, step: None, distribution })
    };
    let (uniform, log) = (Distribution::Uniform, Distribution::LogUniform);
    let names: Vec<String> = (0..5000).map(|i| format!("c{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let whole = |name: &str, min, max| with(name, Domain::Int { min, max, step: 1, distribution: uniform });
    vec![
        case(
            "dimensions of one value",
            20,
            vec![
                categorical("c", &["only"]),
                whole("n", 4, 4),
                range("x", 2.0, 2.0, uniform),
                with("d", Domain::Discrete { texts: vec!["3".into()], values: vec![3.0] }),
                float("y"),
                float("z"),
            ],
        ),
        case("one point", 20, vec![categorical("c", &["only"]), whole("n", 4, 4), whole("m", -1, -1)]),
        case(
            "ranges of six hundred orders",
            40,
            vec![
                range("x", 1e-300, 1e300, uniform),
                range("y", 1e-300, 1e300, log),
                range("z", -1e300, 1e300, Distribution::Normal),
                range("tiny", 1e-300, 2e-300, uniform),
            ],
        ),
        case(
            "whole numbers without end",
            40,
            vec![whole("n", i64::MIN / 2, i64::MAX / 2), whole("m", 0, i64::MAX)],
        ),
        case("two hundred dimensions", 14, (0..200).map(|i| float(&format!("x{i}"))).collect()),
        case("five thousand names", 25, vec![categorical("c", &names), float("x"), float("y")]),
    ]
}

fn constraints() -> Vec<Case> {
    let ten =
        |name| with(name, Domain::Int { min: 1, max: 10, step: 1, distribution: Distribution::Uniform });
    let thousand =
        |name| with(name, Domain::Int { min: 1, max: 1000, step: 1, distribution: Distribution::Uniform });
    let case = |name, parameters: Vec<Parameter>, constraint: &str, found| Case {
        name,
        space: Space::new(parameters, vec![Constraint::parse(constraint).unwrap()]).unwrap(),
        n: 15,
        outcome: ordinary,
        found,
    };
    vec![
        case("one feasible point", vec![ten("a"), ten("b"), ten("c")], "a + b + c >= 30", Found::Something),
        case(
            "one feasible point of many",
            vec![thousand("a"), thousand("b"), thousand("c")],
            "a + b + c >= 3000",
            Found::Perhaps,
        ),
        case("a feasible corner", vec![float("x"), float("y")], "x + y <= -1.8", Found::Something),
        case("a feasible speck", vec![float("x"), float("y")], "x + y <= -1.999999", Found::Perhaps),
        case("nothing feasible", vec![float("x"), float("y")], "x + y >= 10", Found::Nothing),
        case("nothing feasible of few", vec![ten("a"), ten("b")], "a + b >= 100", Found::Nothing),
    ]
}

/// `None` where the sampler refuses the space, as it may.
fn made(make: Make<'_>, space: &Space) -> Option<Box<dyn Sampler>> {
    match make(&study("test", space.clone())) {
        Ok(sampler) => Some(sampler),
        Err(SettingsError::Unsuited { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn search(make: Make<'_>, case: &Case) {
    let Some(mut sampler) = made(make, &case.space) else { return };
    let streams = Streams::new(7);
    let inside = |suggestions: &[Suggestion]| {
        for suggestion in suggestions {
            assert!(case.space.contains(&suggestion.assignment), "{}: {suggestion:?}", case.name);
        }
    };
    for idx in (0..case.n).map(TrialIdx) {
        let Some(suggestion) = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop() else {
            let started = idx.0 > 0 && case.found != Found::Nothing;
            assert!(started || case.found != Found::Something, "{}: nothing was proposed", case.name);
            break;
        };
        assert_ne!(case.found, Found::Nothing, "{}: {suggestion:?}", case.name);
        inside(std::slice::from_ref(&suggestion));
        sampler.tell(&ended(idx, suggestion, (case.outcome)(idx.0)));
    }
    inside(&sampler.ask(TrialIdx(case.n)..TrialIdx(case.n + 4), &[], &streams));
}

/// Answers lie in the space.
fn all_inside(space: &Space, answers: &[Suggestion]) {
    for suggestion in answers {
        assert!(space.contains(&suggestion.assignment), "{suggestion:?}");
    }
}

/// A trial that has ended.
fn ended(idx: TrialIdx, suggestion: Suggestion, outcome: Outcome) -> [HistoryEvent; 2] {
    [HistoryEvent::Started(Trial { idx, suggestion }), HistoryEvent::Ended { trial: idx, outcome }]
}

/// Forty trials of one point with different costs, as of a program with much noise.
fn one_point_again_and_again(make: Make<'_>, space: &Space) {
    let Some(mut sampler) = made(make, space) else { return };
    let streams = Streams::new(7);
    let suggestion = sampler.ask(TrialIdx(0)..TrialIdx(1), &[], &streams).remove(0);
    for idx in (0..40).map(TrialIdx) {
        sampler.tell(&ended(idx, suggestion.clone(), ordinary(idx.0)));
    }
    all_inside(space, &sampler.ask(TrialIdx(40)..TrialIdx(44), &[], &streams));
}

/// What was planned for 6 trials goes on to 40, and then is cut to 5.
fn a_budget_that_is_raised(make: Make<'_>, space: &Space) {
    let streams = Streams::new(7);
    let mut told = Vec::new();
    for (budget, until) in [(6, 6), (40, 30), (5, 35)] {
        let study = Study { max_trials: Some(budget), ..study("test", space.clone()) };
        let Ok(mut sampler) = make(&study) else { return };
        sampler.tell(&told);
        for idx in (told.len() as u64 / 2..until).map(TrialIdx) {
            let Some(suggestion) = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop() else { return };
            all_inside(space, std::slice::from_ref(&suggestion));
            let events = ended(idx, suggestion, ordinary(idx.0));
            sampler.tell(&events);
            told.extend(events);
        }
    }
}

/// Trials with other parameters than the space has, values out of its domains, or none: the best there are, and running.
fn a_history_of_other_spaces(make: Make<'_>, space: &Space) {
    let Some(mut sampler) = made(make, space) else { return };
    let n = space.parameters().len();
    let of = |value, n| Assignment(vec![value; n]);
    let foreign = [
        of(None, n),
        of(None, 0),
        of(Some(Value::Choice(0)), n - 1),
        of(Some(Value::Choice(9999)), n),
        of(Some(Value::Float(-1e9)), n),
        of(Some(Value::Float(f64::NAN)), n + 1),
        of(Some(Value::Int(i64::MIN)), n),
    ];
    let foreign = foreign.map(|assignment| Suggestion { assignment, ..Suggestion::default() });
    for (idx, suggestion) in (0..).map(TrialIdx).zip(foreign.iter().cycle().take(42).cloned()) {
        sampler.tell(&ended(idx, suggestion, cost(-1e6 - idx.0 as f64)));
    }
    let running: Vec<Trial> =
        (50..).map(TrialIdx).zip(foreign).map(|(idx, suggestion)| Trial { idx, suggestion }).collect();
    let answer = sampler.ask(TrialIdx(60)..TrialIdx(66), &running, &Streams::new(7));
    assert!(!answer.is_empty());
    all_inside(space, &answer);
}

/// None of them has ended.
fn a_thousand_that_run(make: Make<'_>, space: &Space) {
    let Some(sampler) = made(make, space) else { return };
    let streams = Streams::new(7);
    let all = sampler.ask(TrialIdx(0)..TrialIdx(1000), &[], &streams);
    let running: Vec<Trial> =
        (0..).map(TrialIdx).zip(all).map(|(idx, suggestion)| Trial { idx, suggestion }).collect();
    all_inside(space, &sampler.ask(TrialIdx(1000)..TrialIdx(1002), &running, &streams));
}

mod tests {
    use super::*;
    use crate::auto::Auto;
    use crate::cmaes::Cmaes;
    use crate::evolution::Evolution;
    use crate::gp::Gp;
    use crate::local_search::LocalSearch;
    use crate::random::Random;
    use crate::testing::{numeric, uses};
    use crate::tpe::Tpe;

    /// In a space of numbers, where nothing is proposed twice anyway.
    #[test]
    fn failed_and_running_trials_mean_what_the_table_says() {
        type Row = (&'static str, fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>, (bool, bool));
        let table: [Row; 6] = [
            ("random", |study| Ok(Box::new(Random::new(study)?)), (false, false)),
            ("gp", |study| Ok(Box::new(Gp::new(study)?)), (true, true)),
            ("tpe", |study| Ok(Box::new(Tpe::new(study)?)), (true, true)),
            ("cmaes", |study| Ok(Box::new(Cmaes::new(study)?)), (true, false)),
            ("evolution", |study| Ok(Box::new(Evolution::new(study)?)), (false, true)),
            ("local-search", |study| Ok(Box::new(LocalSearch::new(study)?)), (true, true)),
        ];
        for (name, make, expected) in table {
            assert_eq!(
                uses(&make, numeric()),
                expected,
                "{name}: whether failures matter, and running trials"
            );
        }
    }

    #[test]
    fn the_gaussian_process_lives_through_it() {
        let gp = |study: &Study| -> Result<Box<dyn Sampler>, SettingsError> { Ok(Box::new(Gp::new(study)?)) };
        hostile(&gp);
    }

    #[test]
    fn the_evolution_strategy_lives_through_it() {
        let cmaes =
            |study: &Study| -> Result<Box<dyn Sampler>, SettingsError> { Ok(Box::new(Cmaes::new(study)?)) };
        hostile(&cmaes);
    }

    #[test]
    fn the_rule_lives_through_it() {
        let auto =
            |study: &Study| -> Result<Box<dyn Sampler>, SettingsError> { Ok(Box::new(Auto::new(study)?)) };
        hostile(&auto);
    }
}
