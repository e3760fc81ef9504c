//! Milliseconds of one suggestion by algorithm and number of ended trials: 20 parameters, 4 trials running. Beside it what
//! it takes to tell the history. Run with `cargo bench -p algorithms --bench ask -- [NAME..]`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::time::Instant;

use algorithms::Sampler;
use algorithms::auto::Auto;
use algorithms::cmaes::Cmaes;
use algorithms::encode::Encoder;
use algorithms::evolution::Evolution;
use algorithms::gp::Gp;
use algorithms::grid::Grid;
use algorithms::halving::Halving;
use algorithms::local_search::LocalSearch;
use algorithms::random::Random;
use algorithms::rng::Streams;
use algorithms::settings::{SettingsError, algorithm};
use algorithms::sobol::Sobol;
use algorithms::tpe::Tpe;
use study::{
    Direction, Distribution, Domain, HistoryEvent, Objective, Outcome, Parameter, Space, Study, Suggestion,
    Trial, TrialIdx,
};

const SIZES: [u64; 4] = [100, 1_000, 10_000, 100_000];
const RUNNING: u64 = 4;
/// Least time that a figure is taken over, in seconds.
const LEAST: f64 = 0.2;
/// Times that a first question is asked; the fastest counts.
const FRESH: usize = 3;

type Make = fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;

const ALL: [(&str, Make); 12] = [
    ("random", |study| Ok(Box::new(Random::new(study)?))),
    ("grid", |study| Ok(Box::new(Grid::new(study)?))),
    ("sobol", |study| Ok(Box::new(Sobol::new(study)?))),
    ("tpe", |study| Ok(Box::new(Tpe::new(study)?))),
    ("multivariate-tpe", |study| Ok(Box::new(Tpe::new(study)?))),
    ("bayesianoptimization", |study| Ok(Box::new(Gp::new(study)?))),
    ("cmaes", |study| Ok(Box::new(Cmaes::new(study)?))),
    ("evolution", |study| Ok(Box::new(Evolution::new(study)?))),
    ("local-search", |study| Ok(Box::new(LocalSearch::new(study)?))),
    ("hyperband", |study| Ok(Box::new(Halving::hyperband(study)?))),
    ("asha", |study| Ok(Box::new(Halving::asha(study)?))),
    ("auto", |study| Ok(Box::new(Auto::new(study)?))),
];

/// Sixteen floats, two ints, a list of numbers and one of names.
fn space() -> Space {
    let parameter =
        |name: String, domain| Parameter { name, domain, when: vec![], default: None, prior: None };
    let float = |i: usize| {
        let distribution = if i.is_multiple_of(2) { Distribution::Uniform } else { Distribution::LogUniform };
        parameter(format!("x{i}"), Domain::Float { min: 1e-4, max: 1.0, step: None, distribution })
    };
    let int = |name: &str| {
        let domain = Domain::Int { min: 1, max: 100, step: 1, distribution: Distribution::Uniform };
        parameter(name.into(), domain)
    };
    let mut parameters: Vec<Parameter> = (0..16).map(float).collect();
    parameters.extend([int("epochs"), int("n")]);
    let texts = ["1", "2", "8"].map(String::from).to_vec();
    parameters.push(parameter("d".into(), Domain::Discrete { texts, values: vec![1.0, 2.0, 8.0] }));
    let choices = ["a", "b", "c"].map(String::from).to_vec();
    parameters.push(parameter("c".into(), Domain::Categorical { choices, ordered: false }));
    Space::new(parameters, vec![]).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn study(name: &str) -> Study {
    let halving: &[(&str, &str)] = &[("r_l", "27"), ("resource_name", "epochs")];
    let settings = if matches!(name, "hyperband" | "asha") { halving } else { &[] };
    Study {
        name: "bench".into(),
        space: space(),
        objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm(name, settings),
        early_stopping: None,
        seed: 1,
        max_trials: None,
        parallel: 4,
    }
}

/// Ended trials as the algorithm itself would have started them with nothing known: points differ, costs are a bowl.
fn history(study: &Study, make: Make, n: u64) -> Result<Vec<HistoryEvent>, SettingsError> {
    let encoder = Encoder::new(&study.space);
    let suggestions = make(study)?.ask(TrialIdx(0)..TrialIdx(n), &[], &Streams::new(2));
    let events = (0..).map(TrialIdx).zip(suggestions).flat_map(|(idx, mut suggestion)| {
        let x = encoder.encode(&suggestion.assignment);
        let cost = x.iter().map(|x| (x - 0.3).powi(2)).sum();
        suggestion.notes.clear();
        [
            HistoryEvent::Started(Trial { idx, suggestion }),
            HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![cost] } },
        ]
    });
    Ok(events.collect())
}

/// Median milliseconds of a call: what else the machine does meanwhile does not count.
fn time(mut call: impl FnMut(u64) -> Vec<Suggestion>) -> f64 {
    let start = Instant::now();
    let mut calls = Vec::new();
    while start.elapsed().as_secs_f64() < LEAST {
        let call_start = Instant::now();
        std::hint::black_box(call(calls.len() as u64));
        calls.push(1000.0 * call_start.elapsed().as_secs_f64());
    }
    calls.sort_by(f64::total_cmp);
    calls[calls.len() / 2]
}

fn main() -> Result<(), SettingsError> {
    println!("{:<22}{:>9}{:>12}{:>14}{:>12}", "algorithm", "trials", "tell, ms", "first ask, ms", "ask, ms");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    for (name, make) in ALL {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let study = study(name);
        // What the fit costs shows in the first question after a trial has ended; and nobody asks these for so many at once.
        let dear = matches!(name, "bayesianoptimization" | "auto" | "evolution" | "local-search");
        let source: Make = if dear { ALL[0].1 } else { make };
        let streams = Streams::new(1);
        for n in SIZES {
            let events = history(&study, source, n)?;
            let mut sampler = make(&study)?;
            let start = Instant::now();
            sampler.tell(&events);
            let told = 1000.0 * start.elapsed().as_secs_f64();
            let running: Vec<Trial> = sampler
                .ask(TrialIdx(n)..TrialIdx(n + RUNNING), &[], &streams)
                .into_iter()
                .zip((n..).map(TrialIdx))
                .map(|(suggestion, idx)| Trial { idx, suggestion })
                .collect();
            let fresh = || -> Result<_, SettingsError> {
                let mut fresh = make(&study)?;
                fresh.tell(&events);
                Ok(fresh)
            };
            let slot = |i: u64| TrialIdx(n + RUNNING + i)..TrialIdx(n + RUNNING + i + 1);
            let mut firsts = Vec::new();
            for _ in 0..FRESH {
                let fresh = fresh()?;
                let start = Instant::now();
                std::hint::black_box(fresh.ask(slot(0), &running, &streams));
                firsts.push(1000.0 * start.elapsed().as_secs_f64());
            }
            let first = firsts.into_iter().fold(f64::INFINITY, f64::min);
            let ask = time(|i| sampler.ask(slot(i), &running, &streams));
            println!("{name:<22}{n:>9}{told:>12.2}{first:>14.3}{ask:>12.3}");
        }
    }
    Ok(())
}
