//! What a suggestion costs after 1,000 evaluated architectures: `cargo bench -p nas --bench ask`.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::sync::Arc;
use std::time::Instant;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::algorithm;
use nas::enas::Enas;
use nas::search::{Bananas, LocalSearch, RandomSearch, RegularizedEvolution};
use nas::{Architectures as _, CellSpace, landscape};
use study::{
    Constant, Direction, HistoryEvent, LayerOperation, Network, Objective, Outcome, Space, Study, Suggestion,
    Trial, TrialIdx,
};

fn study(space: Space) -> Study {
    Study {
        name: "bench".into(),
        space,
        objectives: vec![Objective { metric: "error".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm("nas", &[]),
        early_stopping: None,
        seed: 1,
        max_trials: None,
        parallel: 1,
        expense: None,
    }
}

/// Asks and tells `n` times, and prints what the last hundred of each took and what all telling took.
fn measure(name: &str, mut sampler: Box<dyn Sampler>, n: u64, cost: impl Fn(&Suggestion) -> f64) {
    let streams = Streams::new(1);
    let (mut asking, mut telling, mut all) = (Vec::new(), Vec::new(), 0.0);
    for idx in (0..n).map(TrialIdx) {
        let begun = Instant::now();
        let Some(suggestion) = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop() else { break };
        asking.push(begun.elapsed().as_secs_f64() * 1e3);
        let outcome = Outcome::Succeeded { costs: vec![cost(&suggestion)] };
        let told =
            [HistoryEvent::Started(Trial { idx, suggestion }), HistoryEvent::Ended { trial: idx, outcome }];
        let begun = Instant::now();
        sampler.tell(&told);
        telling.push(begun.elapsed().as_secs_f64() * 1e3);
        all += begun.elapsed().as_secs_f64();
    }
    let last = |times: &[f64]| times[times.len() - 100..].iter().sum::<f64>() / 100.0;
    let slowest = telling.iter().copied().fold(0.0, f64::max);
    println!(
        "{name:>14}: ask {:7.3} ms, tell {:7.3} ms (slowest {slowest:.0}), whole history told in {all:.2} s",
        last(&asking),
        last(&telling)
    );
}

fn main() {
    let n = 1000;
    let cells = CellSpace::nas_bench_201();
    let set: Arc<CellSpace> = Arc::new(cells.clone());
    let cell_cost = |suggestion: &Suggestion| landscape::cost(&cells.cell(&suggestion.assignment));
    let study_of_cells = study(cells.space().clone());
    let samplers: [(&str, Box<dyn Sampler>); 4] = [
        ("random", Box::new(RandomSearch::new(&study_of_cells, set.clone()).expect("no settings"))),
        (
            "evolution",
            Box::new(RegularizedEvolution::new(&study_of_cells, set.clone()).expect("no settings")),
        ),
        ("local-search", Box::new(LocalSearch::new(&study_of_cells, set.clone()).expect("no settings"))),
        ("bananas", Box::new(Bananas::new(&study_of_cells, set).expect("no settings"))),
    ];
    for (name, sampler) in samplers {
        measure(name, sampler, n, cell_cost);
    }
    // Katib's example: 8 layers of 36 operations or so.
    let operation = |i: i64| LayerOperation {
        kind: "convolution".into(),
        parameters: vec![("num_filter".into(), Constant::Int(i))],
    };
    let network = Network::new(8, vec![32, 32, 3], vec![10], (0..36).map(operation).collect());
    let network = network.expect("a few operations");
    let study_of_chains = study(Space::chain(network.clone()).expect("a network"));
    let sampler = Enas::new(&study_of_chains).expect("no settings");
    measure("enas", Box::new(sampler), n, |suggestion| {
        let layers = network.layers(&suggestion.assignment).unwrap_or_default();
        layers.iter().map(|layer| layer[0] as f64).sum::<f64>() / 280.0
    });
}
