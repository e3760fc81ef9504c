//! The contract of every sampler, checked on a handful of small searches.

mod hostile;
pub(crate) mod schedule;

use std::collections::BTreeMap;

use rand::RngExt as _;
use study::{
    Algorithm, Condition, Constraint, Direction, Distribution, Domain, HistoryEvent, Objective, Outcome,
    Parameter, Requirement, Space, Study, Suggestion, Trial, TrialIdx, Value,
};

use crate::Sampler;
use crate::encode::Encoder;
use crate::random::Random;
use crate::rng::Streams;
use crate::settings::SettingsError;

pub(crate) use hostile::{hostile, hostile_in};

/// Makes a sampler for a study.
pub(crate) type Make<'a> = &'a dyn Fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;

pub(crate) fn float(name: &str) -> Parameter {
    let domain = Domain::Float { min: -1.0, max: 3.0, step: None, distribution: Distribution::Uniform };
    Parameter { name: name.into(), domain, when: vec![], default: None, prior: None }
}

pub(crate) fn with(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.into(), domain, when: vec![], default: None, prior: None }
}

pub(crate) fn categorical(name: &str, choices: &[&str]) -> Parameter {
    let choices = choices.iter().map(ToString::to_string).collect();
    with(name, Domain::Categorical { choices, ordered: false })
}

/// Floats, logs, lattices and lists of numbers.
pub(crate) fn numeric() -> Space {
    let log = Distribution::LogUniform;
    let parameters = vec![
        float("x"),
        with("lr", Domain::Float { min: 1e-5, max: 1.0, step: None, distribution: log }),
        with("n", Domain::Int { min: 1, max: 100, step: 1, distribution: log }),
        with("s", Domain::Float { min: 0.0, max: 1.0, step: Some(0.1), distribution: Distribution::Uniform }),
        with(
            "d",
            Domain::Discrete { texts: vec!["1".into(), "2".into(), "8".into()], values: vec![1.0, 2.0, 8.0] },
        ),
    ];
    Space::new(parameters, vec![]).unwrap()
}

/// Names beside numbers.
pub(crate) fn mixed() -> Space {
    Space::new(vec![float("x"), categorical("c", &["a", "b", "c"]), float("y")], vec![]).unwrap()
}

/// Parameters that only some points have.
pub(crate) fn conditional() -> Space {
    let when = |parent: &str, value: &str| {
        vec![Condition {
            parent: parent.into(),
            requirement: Requirement::OneOf { values: vec![value.into()] },
        }]
    };
    let momentum = Parameter { when: when("optimizer", "sgd"), ..float("momentum") };
    let nesterov = Parameter { when: when("optimizer", "sgd"), ..categorical("nesterov", &["yes", "no"]) };
    let beta = Parameter { when: when("nesterov", "yes"), ..float("beta") };
    Space::new(vec![beta, categorical("optimizer", &["sgd", "adam"]), momentum, nesterov, float("x")], vec![])
        .unwrap()
}

/// A hard constraint that cuts off most of the space.
pub(crate) fn constrained() -> Space {
    let constraint = Constraint::parse("x + y <= 0").unwrap();
    Space::new(vec![float("x"), float("y")], vec![constraint]).unwrap()
}

/// Six points.
pub(crate) fn tiny() -> Space {
    let int = Domain::Int { min: 1, max: 3, step: 1, distribution: Distribution::Uniform };
    Space::new(vec![with("n", int), categorical("c", &["a", "b"])], vec![]).unwrap()
}

/// All kinds of spaces.
pub(crate) fn spaces() -> Vec<Space> {
    vec![numeric(), mixed(), conditional(), constrained(), tiny()]
}

/// Spaces of numbers alone, two at least.
pub(crate) fn numeric_spaces() -> Vec<Space> {
    vec![numeric(), constrained()]
}

/// A study of a space, without settings.
pub(crate) fn study(algorithm: &str, space: Space) -> Study {
    Study {
        name: "test".into(),
        space,
        objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
        algorithm: Algorithm { name: algorithm.into(), ..Algorithm::default() },
        early_stopping: None,
        seed: 7,
        max_trials: Some(40),
        parallel: 3,
        expense: None,
    }
}

/// A bowl in the unit cube with its bottom at 0.3; inactive parameters cost nothing.
pub(crate) fn bowl(encoder: &Encoder, suggestion: &Suggestion) -> f64 {
    let active = suggestion.assignment.0.iter().map(Option::is_some);
    let x = encoder.encode(&suggestion.assignment);
    x.iter().zip(active).filter(|(_, active)| *active).map(|(x, _)| (x - 0.3) * (x - 0.3)).sum()
}

/// How one trial of a simulated search ends.
fn outcome(encoder: &Encoder, suggestion: &Suggestion, chance: f64) -> Outcome {
    let costs = vec![bowl(encoder, suggestion)];
    match chance {
        c if c < 0.1 => Outcome::Failed,
        c if c < 0.15 => Outcome::EarlyStopped { costs: vec![] },
        c if c < 0.25 => Outcome::EarlyStopped { costs },
        _ => Outcome::Succeeded { costs },
    }
}

/// First slot, how many were asked for, events told by then, running, answer.
pub(crate) type Asked = (TrialIdx, u64, usize, Vec<Trial>, Vec<Suggestion>);

/// A simulated search: what was asked and answered, and what was told.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Told events; a trial is told whole when it ends.
    pub(crate) events: Vec<HistoryEvent>,
    /// Questions with their answers.
    pub(crate) asks: Vec<Asked>,
}

/// Searches with `parallel` trials at once that end in an order drawn from `order`.
pub(crate) fn search(make: Make<'_>, study: &Study, n: u64, parallel: usize, order: u64) -> Search {
    let encoder = Encoder::new(&study.space);
    let streams = Streams::new(study.seed);
    let mut sampler = make(study).unwrap();
    let (mut done, mut running, mut next) = (Search::default(), Vec::<Trial>::new(), 0);
    let mut chance = Streams::new(order).stream("order", TrialIdx(0));
    let mut exhausted = false;
    loop {
        let free = (parallel - running.len()) as u64;
        let wanted = free.min(n - next);
        if wanted > 0 && !exhausted {
            let slots = TrialIdx(next)..TrialIdx(next + wanted);
            let answer = sampler.ask(slots.clone(), &running, &streams);
            exhausted = (answer.len() as u64) < wanted;
            done.asks.push((slots.start, wanted, done.events.len(), running.clone(), answer.clone()));
            for suggestion in answer {
                running.push(Trial { idx: TrialIdx(next), suggestion });
                next += 1;
            }
        }
        if running.is_empty() {
            return done;
        }
        let trial = running.remove(chance.random_range(0..running.len()));
        let outcome = outcome(&encoder, &trial.suggestion, chance.random());
        let mut told = vec![HistoryEvent::Started(trial.clone())];
        if let Some(cost) = outcome.cost() {
            told.extend((0..3).map(|step| HistoryEvent::Reported {
                trial: trial.idx,
                step,
                costs: vec![cost + 1.0 / (step + 1) as f64],
            }));
        }
        told.push(HistoryEvent::Ended { trial: trial.idx, outcome });
        sampler.tell(&told);
        done.events.extend(told);
    }
}

/// The contract on some spaces.
pub(crate) fn contract(make: Make<'_>, spaces: &[Space]) {
    for space in spaces {
        let study = study("test", space.clone());
        let searched = search(make, &study, 40, 3, 1);
        points_lie_in_the_space(&study, &searched);
        the_same_seed_gives_the_same_points(make, &study, &searched);
        the_split_of_history_does_not_matter(make, &study, &searched);
        a_batch_is_as_good_as_one_by_one(make, &study, &searched);
        direction_and_names_change_nothing(make, &study, &searched);
        failures_alone_do_no_harm(make, &study);
        equal_costs_do_no_harm(make, &study);
        a_late_end_does_no_harm(make, &study);
        a_stopped_trial_counts_with_what_it_had_reached(make, &study);
        a_second_end_is_passed_over(make, &study);
    }
}

fn points_lie_in_the_space(study: &Study, searched: &Search) {
    for suggestion in searched.asks.iter().flat_map(|(.., answer)| answer) {
        assert!(
            study.space.contains(&suggestion.assignment),
            "{suggestion:?} lies outside of {:?}",
            study.space
        );
        assert!(suggestion.notes.contains_key("by"), "who proposed it is said");
    }
}

fn the_same_seed_gives_the_same_points(make: Make<'_>, study: &Study, searched: &Search) {
    assert_eq!(search(make, study, 40, 3, 1).asks, searched.asks);
}

/// Laws (a) and (b): asked again with the same history, however told, the answer is the same; and asking changes nothing.
fn the_split_of_history_does_not_matter(make: Make<'_>, study: &Study, searched: &Search) {
    let streams = Streams::new(study.seed);
    for (first, n, told, running, answer) in searched.asks.iter().step_by(5) {
        let slots = *first..TrialIdx(first.0 + n);
        let mut whole = make(study).unwrap();
        whole.tell(&searched.events[..*told]);
        assert_eq!(&whole.ask(slots.clone(), running, &streams), answer, "told at once");
        assert_eq!(&whole.ask(slots.clone(), running, &streams), answer, "asked again");
        let mut parts = make(study).unwrap();
        for event in &searched.events[..*told] {
            parts.tell(std::slice::from_ref(event));
        }
        assert_eq!(&parts.ask(slots, running, &streams), answer, "told one by one");
    }
}

/// Law (d).
fn a_batch_is_as_good_as_one_by_one(make: Make<'_>, study: &Study, searched: &Search) {
    let streams = Streams::new(study.seed);
    for told in [0, searched.events.len() / 2] {
        let told = (0..=told)
            .rev()
            .find(|n| *n == 0 || matches!(searched.events[n - 1], HistoryEvent::Ended { .. }));
        let told = told.unwrap_or(0);
        let mut sampler = make(study).unwrap();
        sampler.tell(&searched.events[..told]);
        let batch = sampler.ask(TrialIdx(40)..TrialIdx(44), &[], &streams);
        let mut running = Vec::new();
        for idx in (40..44).map(TrialIdx) {
            let Some(suggestion) = sampler.ask(idx..TrialIdx(idx.0 + 1), &running, &streams).pop() else {
                break;
            };
            running.push(Trial { idx, suggestion });
        }
        assert_eq!(batch, running.into_iter().map(|trial| trial.suggestion).collect::<Vec<_>>());
    }
}

/// Costs are flipped once, in `study`: to an algorithm neither the direction nor the names mean anything.
fn direction_and_names_change_nothing(make: Make<'_>, study: &Study, searched: &Search) {
    let mut flipped = study.clone();
    flipped.name = "another".into();
    flipped.objectives[0].direction = Direction::Maximize;
    flipped.objectives[0].metric = "accuracy".into();
    assert_eq!(search(make, &flipped, 40, 3, 1).asks, searched.asks);
}

fn told(study: &Study, make: Make<'_>, outcome: impl Fn(u64) -> Outcome) -> (Box<dyn Sampler>, Vec<Trial>) {
    let streams = Streams::new(study.seed);
    let mut sampler = make(study).unwrap();
    let mut trials = Vec::new();
    for idx in 0..30 {
        let Some(suggestion) = sampler.ask(TrialIdx(idx)..TrialIdx(idx + 1), &[], &streams).pop() else {
            break;
        };
        assert!(study.space.contains(&suggestion.assignment));
        let trial = Trial { idx: TrialIdx(idx), suggestion };
        sampler.tell(&[
            HistoryEvent::Started(trial.clone()),
            HistoryEvent::Ended { trial: TrialIdx(idx), outcome: outcome(idx) },
        ]);
        trials.push(trial);
    }
    (sampler, trials)
}

fn failures_alone_do_no_harm(make: Make<'_>, study: &Study) {
    let (_, trials) = told(study, make, |_| Outcome::Failed);
    assert!(!trials.is_empty());
}

fn equal_costs_do_no_harm(make: Make<'_>, study: &Study) {
    for cost in [0.0, 1e300, -1e300] {
        let (_, trials) = told(study, make, |_| Outcome::Succeeded { costs: vec![cost] });
        assert!(!trials.is_empty());
    }
    let extreme = |idx| Outcome::Succeeded { costs: vec![if idx % 2 == 0 { 1e300 } else { -1e300 }] };
    let (_, trials) = told(study, make, extreme);
    assert!(!trials.is_empty());
}

/// The next two suggestions of a sampler.
fn next_two(sampler: &dyn Sampler, study: &Study) -> Vec<Suggestion> {
    sampler.ask(TrialIdx(1001)..TrialIdx(1003), &[], &Streams::new(study.seed))
}

fn a_stopped_trial_counts_with_what_it_had_reached(make: Make<'_>, study: &Study) {
    let costs = |idx: u64| vec![(idx * 7 % 11) as f64];
    let (whole, _) = told(study, make, |idx| Outcome::Succeeded { costs: costs(idx) });
    let (stopped, _) = told(study, make, |idx| match idx % 3 {
        0 => Outcome::EarlyStopped { costs: costs(idx) },
        _ => Outcome::Succeeded { costs: costs(idx) },
    });
    assert_eq!(next_two(&*whole, study), next_two(&*stopped, study));
}

fn a_second_end_is_passed_over(make: Make<'_>, study: &Study) {
    let outcome = |idx: u64| Outcome::Succeeded { costs: vec![(idx * 7 % 11) as f64] };
    let (once, _) = told(study, make, outcome);
    let (mut twice, trials) = told(study, make, outcome);
    for trial in trials {
        let outcome = Outcome::Succeeded { costs: vec![-100.0] };
        twice.tell(&[HistoryEvent::Ended { trial: trial.idx, outcome }]);
    }
    assert_eq!(next_two(&*once, study), next_two(&*twice, study));
}

/// What failed and running trials mean to a sampler, told of 30 that ended: whether a few failures change what
/// follows, and whether a running trial does.
pub(crate) fn uses(make: Make<'_>, space: Space) -> (bool, bool) {
    let study = study("test", space);
    let outcome = |idx: u64| Outcome::Succeeded { costs: vec![(idx * 7 % 11) as f64] };
    let known = || told(&study, make, outcome).0;
    let before = next_two(&*known(), &study);
    let trial = Trial { idx: TrialIdx(1000), suggestion: before[0].clone() };
    let mut failed = known();
    let few = failed.ask(TrialIdx(500)..TrialIdx(512), &[], &Streams::new(study.seed));
    for (trial, suggestion) in (500..).map(TrialIdx).zip(few) {
        let ended = HistoryEvent::Ended { trial, outcome: Outcome::Failed };
        failed.tell(&[HistoryEvent::Started(Trial { idx: trial, suggestion }), ended]);
    }
    let mut running = known();
    running.tell(&[HistoryEvent::Started(trial)]);
    let assignments = |sampler: &dyn Sampler| -> Vec<_> {
        next_two(sampler, &study).into_iter().map(|suggestion| suggestion.assignment).collect()
    };
    let before: Vec<_> = before.into_iter().map(|suggestion| suggestion.assignment).collect();
    (assignments(&*failed) != before, assignments(&*running) != before)
}

/// A trial that ends long after others, and the end of one that nobody knows.
fn a_late_end_does_no_harm(make: Make<'_>, study: &Study) {
    let (mut sampler, trials) = told(study, make, |idx| Outcome::Succeeded { costs: vec![idx as f64] });
    let Some(first) = trials.first() else { return };
    let late = Trial { idx: TrialIdx(1000), suggestion: first.suggestion.clone() };
    let ended =
        |idx| HistoryEvent::Ended { trial: TrialIdx(idx), outcome: Outcome::Succeeded { costs: vec![-1.0] } };
    sampler.tell(&[HistoryEvent::Started(late), ended(77_777), ended(1000)]);
    for suggestion in sampler.ask(TrialIdx(1001)..TrialIdx(1003), &[], &Streams::new(study.seed)) {
        assert!(study.space.contains(&suggestion.assignment));
    }
}

/// In a space of nine points, asked in batches of two while one trial runs: all nine come before any comes again, and
/// asking for more does no harm.
pub(crate) fn no_point_twice_while_others_are_untried(make: Make<'_>) {
    let int = Domain::Int { min: 1, max: 3, step: 1, distribution: Distribution::Uniform };
    let space = Space::new(vec![with("n", int.clone()), with("m", int)], vec![]).unwrap();
    let searched = search(make, &study("test", space), 20, 2, 1);
    let asked = searched.asks.iter().flat_map(|(.., answer)| answer);
    let points: Vec<String> = asked.map(|suggestion| format!("{:?}", suggestion.assignment)).collect();
    let distinct = points.iter().take(9).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((points.len() >= 9, distinct.len()), (true, 9), "{points:?}");
}

/// For samplers that need no history: whatever the order of ends, each trial gets the same point.
pub(crate) fn in_any_order(make: Make<'_>) {
    for space in spaces() {
        let study = study("test", space);
        let points = |order| {
            let searched = search(make, &study, 30, 4, order);
            let mut points = BTreeMap::new();
            for (first, _, _, _, answer) in searched.asks {
                points.extend(answer.into_iter().enumerate().map(|(i, s)| (first.0 + i as u64, s)));
            }
            points
        };
        assert_eq!(points(1), points(2));
    }
}

/// The best cost of a search on a function over the unit cube of `dims` floats, one trial at a time.
pub(crate) fn best_of(make: Make<'_>, dims: usize, seed: u64, n: u64, f: &dyn Fn(&[f64]) -> f64) -> f64 {
    best_of_failing(make, dims, seed, n, &|x| Some(f(x))).0
}

/// The same where trials may fail, and how many did.
pub(crate) fn best_of_failing(
    make: Make<'_>,
    dims: usize,
    seed: u64,
    n: u64,
    f: &dyn Fn(&[f64]) -> Option<f64>,
) -> (f64, usize) {
    let unit = |i: usize| {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        with(&format!("x{i}"), domain)
    };
    let space = Space::new((0..dims).map(unit).collect(), vec![]).unwrap();
    let study = Study { seed, max_trials: Some(n), parallel: 1, ..study("test", space) };
    let streams = Streams::new(seed);
    let mut sampler = make(&study).unwrap();
    let (mut best, mut failures) = (f64::INFINITY, 0);
    for idx in 0..n {
        let suggestion = sampler.ask(TrialIdx(idx)..TrialIdx(idx + 1), &[], &streams).remove(0);
        let x = suggestion.assignment.0.iter().map(|value| match value {
            Some(Value::Float(x)) => *x,
            _ => 0.0,
        });
        let cost = f(&x.collect::<Vec<f64>>());
        failures += usize::from(cost.is_none());
        best = cost.map_or(best, |cost| best.min(cost));
        let idx = TrialIdx(idx);
        let outcome = cost.map_or(Outcome::Failed, |cost| Outcome::Succeeded { costs: vec![cost] });
        sampler.tell(&[
            HistoryEvent::Started(Trial { idx, suggestion }),
            HistoryEvent::Ended { trial: idx, outcome },
        ]);
    }
    (best, failures)
}

/// What any sampler is to beat.
pub(crate) fn random(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
    Ok(Box::new(Random::new(study)?))
}

/// Branin's function on the unit square; its minimum is 0.397887 (Dixon and Szegö 1978).
pub(crate) fn branin(x: &[f64]) -> f64 {
    use std::f64::consts::PI;
    let (x, y) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

/// In how many of `n` paired seeds the first sampler ends lower than the second.
pub(crate) fn wins(
    first: Make<'_>,
    second: Make<'_>,
    seeds: u64,
    dims: usize,
    n: u64,
    f: &dyn Fn(&[f64]) -> f64,
) -> usize {
    (0..seeds).filter(|seed| best_of(first, dims, *seed, n, f) < best_of(second, dims, *seed, n, f)).count()
}
