//! What a population gains by exploiting: it against itself without, and against random search, over the same trainings.

use std::collections::BTreeMap;

use algorithms::Sampler;
use algorithms::pbt::Pbt;
use algorithms::random::Random;
use algorithms::rng::Streams;
use algorithms::settings::{SettingsError, algorithm};
use rand::RngExt as _;
use study::{
    Assignment, Direction, HistoryEvent, Objective, Outcome, Study, Suggestion, Trial, TrialIdx, Value,
};

use super::Wanted;
use super::paired::{Difference, mean};
use super::training::{TRAININGS, Training};

/// Members, all of which train at once.
const MEMBERS: u64 = 20;
/// Parts of a training after which the values along a line are shown.
const PARTS: usize = 4;

struct Method {
    name: &'static str,
    algorithm: &'static str,
    settings: &'static [(&'static str, &'static str)],
    make: fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>,
    /// Whether a trial is one turn; if not, it is all of a member's.
    takes_turns: bool,
}

const POPULATION: Method = Method {
    name: "population",
    algorithm: "pbt",
    settings: &[("n_population", "20")],
    make: |study| Ok(Box::new(Pbt::new(study)?)),
    takes_turns: true,
};

/// None counts as best or worst: every member goes on as it is.
const ALONE: Method = Method {
    name: "without exploitation",
    settings: &[("n_population", "20"), ("truncation_threshold", "0")],
    ..POPULATION
};

const RANDOM: Method = Method {
    name: "random search",
    algorithm: "random",
    settings: &[],
    make: |study| Ok(Box::new(Random::new(study)?)),
    takes_turns: false,
};

/// A trial that has trained, in simulated time not yet to its end.
struct Running {
    trial: Trial,
    due: f64,
    cost: f64,
}

/// What a search came to.
struct Search {
    /// The lowest cost after any turn, and the trial whose it was.
    best: (f64, TrialIdx),
    begun: BTreeMap<TrialIdx, Suggestion>,
}

/// Lines for each training.
pub(super) fn run(wanted: &Wanted) -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "lowest cost after any turn of {MEMBERS} members, mean of {} seeds; differences of pairs with the mean's 95 % interval",
        wanted.seeds
    );
    for training in wanted.of(&TRAININGS, |training| training.name) {
        println!("\n{}, {} turns each", training.name, training.turns);
        let [population, alone, random] = [POPULATION, ALONE, RANDOM].map(|method| {
            let searches: Result<Vec<Search>, SettingsError> =
                (0..wanted.seeds).map(|seed| search(training, &method, seed)).collect();
            searches.map(|searches| {
                let costs: Vec<f64> = searches.iter().map(|search| search.best.0).collect();
                println!("{:<42}{:>10.4}", method.name, mean(&costs));
                (searches, costs)
            })
        });
        let (population, alone, random) = (population?, alone?, random?);
        for (name, others) in [(ALONE.name, &alone.1), (RANDOM.name, &random.1)] {
            let against = format!("population less {name}");
            println!("{against:<42}  {}", Difference::of(&population.1, others));
        }
        if let Some(first) = population.0.first() {
            println!("{:<42}  {}", "values that led to the best, first seed", line(first).join(", "));
        }
    }
    Ok(())
}

fn search(training: &Training, method: &Method, seed: u64) -> Result<Search, SettingsError> {
    let study = Study {
        name: training.name.into(),
        space: training.space(),
        objectives: vec![Objective { metric: "cost".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm(method.algorithm, method.settings),
        early_stopping: None,
        seed,
        max_trials: None,
        parallel: MEMBERS as u32,
        expense: None,
    };
    let (turns, trials) =
        if method.takes_turns { (1, MEMBERS * training.turns) } else { (training.turns, MEMBERS) };
    let (mut sampler, streams) = ((method.make)(&study)?, Streams::new(seed));
    let mut states = BTreeMap::<TrialIdx, Vec<f64>>::new();
    let mut running = Vec::<Running>::new();
    let mut search = Search { best: (f64::INFINITY, TrialIdx(0)), begun: BTreeMap::new() };
    let (mut now, mut next) = (0.0, TrialIdx(0));
    loop {
        while next.0 < trials && running.len() < MEMBERS as usize {
            let others: Vec<Trial> = running.iter().map(|running| running.trial.clone()).collect();
            let Some(suggestion) = sampler.ask(next..TrialIdx(next.0 + 1), &others, &streams).pop() else {
                break;
            };
            let parent = suggestion.checkpoint_of().and_then(|parent| states.get(&parent)).cloned();
            // Members begin alike under each method: their first trials have the same numbers.
            let mut state =
                parent.unwrap_or_else(|| (training.begin)(&mut streams.stream("bench/begin", next)));
            let mut rng = streams.stream("bench/turn", next);
            let mut cost = f64::INFINITY;
            for _ in 0..turns {
                cost = (training.turn)(&mut state, &suggestion.assignment, &mut rng);
                if cost < search.best.0 {
                    search.best = (cost, next);
                }
            }
            states.insert(next, state);
            search.begun.insert(next, suggestion.clone());
            let trial = Trial { idx: next, suggestion };
            sampler.tell(&[HistoryEvent::Started(trial.clone())]);
            let pace = streams.stream("bench/pace", next).random_range(0.5..2.0);
            running.push(Running { trial, due: now + pace, cost });
            next = TrialIdx(next.0 + 1);
        }
        let first = (0..running.len()).min_by(|a, b| running[*a].due.total_cmp(&running[*b].due));
        let Some(first) = first else { return Ok(search) };
        let Running { trial, due, cost } = running.swap_remove(first);
        now = due;
        let outcome = Outcome::Succeeded { costs: vec![cost] };
        sampler.tell(&[HistoryEvent::Ended { trial: trial.idx, outcome }]);
    }
}

/// Values of the first parameter, from the line of trials whose checkpoints led to the best one, in equal parts of it.
fn line(search: &Search) -> Vec<String> {
    let mut values = Vec::new();
    let mut at = Some(search.best.1);
    while let Some(suggestion) = at.and_then(|at| search.begun.get(&at)) {
        values.push(first(&suggestion.assignment));
        at = suggestion.checkpoint_of();
    }
    values.reverse();
    let last = values.len().saturating_sub(1);
    (0..=PARTS).filter_map(|part| values.get(part * last / PARTS).cloned()).collect()
}

fn first(assignment: &Assignment) -> String {
    match assignment.get(0) {
        Some(Value::Float(x)) => format!("{x:.3}"),
        Some(Value::Int(n)) => n.to_string(),
        Some(Value::Choice(choice)) => choice.to_string(),
        None => "-".into(),
    }
}
