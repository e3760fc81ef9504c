//! Searches over the table: every evaluation is a look-up.

use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::algorithm;
use nas::Architectures as _;
use nas::enas::Enas;
use nas::search::{Bananas, LocalSearch, RandomSearch, RegularizedEvolution};
use study::{
    Assignment, Constant, Direction, HistoryEvent, LayerOperation, Network, Objective, Outcome, Space, Study,
    Trial, TrialIdx, Value,
};

use crate::table::{SEEDS, Table};

/// A search, and its settings.
pub(crate) type Search = (&'static str, &'static [(&'static str, &'static str)]);

/// Searches that are compared, the first with the others.
pub(crate) const SEARCHES: [Search; 4] = [
    ("random", &[]),
    ("evolution", &[("population", "15"), ("tournament", "10")]),
    ("local-search", &[]),
    ("bananas", &[]),
];

fn study(space: Space, settings: &[(&str, &str)], seed: u64) -> Study {
    Study {
        name: "table".into(),
        space,
        objectives: vec![Objective { metric: "error".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm("nas", settings),
        early_stopping: None,
        seed,
        max_trials: None,
        parallel: 1,
        expense: None,
    }
}

/// One after the other, `n` architectures with the costs that are told of them.
fn run(
    sampler: &mut dyn Sampler,
    seed: u64,
    n: u64,
    cost: impl Fn(&Assignment) -> f64,
) -> Vec<(Assignment, f64)> {
    let streams = Streams::new(seed);
    let mut all = Vec::new();
    for idx in (0..n).map(TrialIdx) {
        let Some(suggestion) = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop() else { break };
        let (point, its) = (suggestion.assignment.clone(), cost(&suggestion.assignment));
        let outcome = Outcome::Succeeded { costs: vec![its] };
        sampler.tell(&[
            HistoryEvent::Started(Trial { idx, suggestion }),
            HistoryEvent::Ended { trial: idx, outcome },
        ]);
        all.push((point, its));
    }
    all
}

/// For each number of evaluations the test error of the cell that was the best on validation, above the least there is.
pub(crate) fn regrets(table: &Table, search: Search, seed: u64, n: u64, least: f64) -> Vec<f64> {
    let (name, settings) = search;
    let set = Arc::new(table.cells.clone());
    let its = study(table.cells.space().clone(), settings, seed);
    let wrong = "settings that it knows";
    let mut sampler: Box<dyn Sampler> = match name {
        "random" => Box::new(RandomSearch::new(&its, set).expect(wrong)),
        "evolution" => Box::new(RegularizedEvolution::new(&its, set).expect(wrong)),
        "local-search" => Box::new(LocalSearch::new(&its, set).expect(wrong)),
        _ => Box::new(Bananas::new(&its, set).expect(wrong)),
    };
    let trained = seed as usize % SEEDS;
    let all = run(&mut *sampler, seed, n, |point| table.validation_error(point, trained));
    let mut best: Option<(f64, f64)> = None;
    let after = all.into_iter().map(|(point, cost)| {
        if best.is_none_or(|(known, _)| cost < known) {
            best = Some((cost, table.test_error(&point)));
        }
        best.map_or(1.0, |(_, test)| test) - least
    });
    after.collect()
}

/// The mean validation error of the last 50 of `n` cells that a controller of these settings has written, as chains of six
/// layers for six edges; the skips that it writes too mean nothing.
pub(crate) fn controller(table: &Table, settings: &[(&str, &str)], seed: u64, n: u64) -> f64 {
    let operation = |i: i64| LayerOperation {
        kind: "operation".into(),
        parameters: vec![("number".into(), Constant::Int(i))],
    };
    let network = Network::new(
        6,
        vec![8, 8, 1],
        vec![10],
        (0..table.cells.operations().len() as i64).map(operation).collect(),
    );
    let network = network.expect("six layers");
    let space = Space::chain(network.clone()).expect("a network");
    let mut sampler = Enas::new(&study(space, settings, seed)).expect("settings that it knows");
    let trained = seed as usize % SEEDS;
    let all = run(&mut sampler, seed, n, |point| {
        let layers = network.layers(point).expect("a point of its space");
        let cell = Assignment(layers.iter().map(|layer| Some(Value::Choice(layer[0]))).collect());
        table.validation_error(&cell, trained)
    });
    let last = &all[all.len() - 50..];
    last.iter().map(|(_, cost)| cost).sum::<f64>() / last.len() as f64
}
