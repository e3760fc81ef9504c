use std::collections::BTreeSet;
use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::{SettingsError, algorithm};
use study::{Assignment, Direction, HistoryEvent, Objective, Outcome, Study, Trial, TrialIdx};

use super::*;
use crate::architectures::Architectures;
use crate::cells::CellSpace;
use crate::landscape;

type Make = fn(&Study, Arc<dyn Architectures>) -> Result<Box<dyn Sampler>, SettingsError>;

const ALL: [(&str, Make); 4] = [
    ("random", |study, set| Ok(Box::new(RandomSearch::new(study, set)?))),
    ("evolution", |study, set| Ok(Box::new(RegularizedEvolution::new(study, set)?))),
    ("local-search", |study, set| Ok(Box::new(LocalSearch::new(study, set)?))),
    ("bananas", |study, set| Ok(Box::new(Bananas::new(study, set)?))),
];

fn study(cells: &CellSpace, seed: u64, settings: &[(&str, &str)]) -> Study {
    Study {
        name: "s".into(),
        space: cells.space().clone(),
        objectives: vec![Objective { metric: "error".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm("nas", settings),
        early_stopping: None,
        seed,
        max_trials: None,
        parallel: 4,
        expense: None,
    }
}

/// What was told, and each question with what had been told and what ran.
struct Search {
    events: Vec<HistoryEvent>,
    asks: Vec<(TrialIdx, usize, Vec<Trial>, Vec<study::Suggestion>)>,
    best: Vec<f64>,
}

/// `n` trials, four at once, which end in turn; every ninth fails.
fn search(make: Make, cells: &CellSpace, seed: u64, n: u64, failing: bool) -> Search {
    let study = study(cells, seed, &[]);
    let mut sampler = make(&study, Arc::new(cells.clone())).unwrap();
    let streams = Streams::new(seed);
    let (mut done, mut running) =
        (Search { events: vec![], asks: vec![], best: vec![] }, Vec::<Trial>::new());
    let (mut next, mut best) = (0, f64::INFINITY);
    while done.best.len() < n as usize {
        while running.len() < 4 {
            let slots = TrialIdx(next)..TrialIdx(next + 1);
            let answer = sampler.ask(slots.clone(), &running, &streams);
            done.asks.push((slots.start, done.events.len(), running.clone(), answer.clone()));
            let Some(suggestion) = answer.into_iter().next() else { break };
            running.push(Trial { idx: slots.start, suggestion });
            next += 1;
        }
        if running.is_empty() {
            break;
        }
        let trial = running.remove((next as usize * 7) % running.len());
        let cost = landscape::cost(&cells.cell(&trial.suggestion.assignment));
        let fails = failing && trial.idx.0 % 9 == 8;
        let outcome = if fails { Outcome::Failed } else { Outcome::Succeeded { costs: vec![cost] } };
        best = if fails { best } else { best.min(cost) };
        let idx = trial.idx;
        let told = [HistoryEvent::Started(trial), HistoryEvent::Ended { trial: idx, outcome }];
        sampler.tell(&told);
        done.events.extend(told);
        done.best.push(best);
    }
    done
}

#[test]
fn a_suggestion_is_a_function_of_what_was_told() {
    let cells = CellSpace::nas_bench_201();
    for (name, make) in ALL {
        let searched = search(make, &cells, 3, 70, true);
        let study = study(&cells, 3, &[]);
        let streams = Streams::new(3);
        for (first, told, running, answer) in searched.asks.iter().step_by(11) {
            let slots = *first..TrialIdx(first.0 + 1);
            let mut whole = make(&study, Arc::new(cells.clone())).unwrap();
            whole.tell(&searched.events[..*told]);
            assert_eq!(&whole.ask(slots.clone(), running, &streams), answer, "{name}: told at once");
            assert_eq!(&whole.ask(slots, running, &streams), answer, "{name}: asked again");
        }
        // Four at once are four one after the other, each with those before running.
        let mut sampler = make(&study, Arc::new(cells.clone())).unwrap();
        sampler.tell(&searched.events);
        let batch = sampler.ask(TrialIdx(90)..TrialIdx(94), &[], &streams);
        let mut running: Vec<Trial> = Vec::new();
        for idx in (90..94).map(TrialIdx) {
            let suggestion = sampler.ask(idx..TrialIdx(idx.0 + 1), &running, &streams).remove(0);
            running.push(Trial { idx, suggestion });
        }
        assert!(batch.iter().eq(running.iter().map(|trial| &trial.suggestion)), "{name}");
    }
}

#[test]
fn no_architecture_is_tried_twice_and_a_small_set_is_tried_wholly() {
    let cells = CellSpace::nas_bench_201();
    let two = crate::operation::Operation::NAS_BENCH_201[1..3].to_vec();
    let small = CellSpace::new(1, 2, crate::cells::Wiring::Complete, two);
    let classes: BTreeSet<String> = small.all().map(|point| small.key(&point)).collect();
    for (name, make) in ALL {
        let keys = |searched: &Search, set: &CellSpace| {
            let answers = searched.asks.iter().flat_map(|(.., answer)| answer);
            answers.map(|suggestion| set.key(&suggestion.assignment)).collect::<Vec<_>>()
        };
        let tried = keys(&search(make, &cells, 5, 120, true), &cells);
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), tried.len(), "{name}");
        let tried: BTreeSet<String> = keys(&search(make, &small, 5, 50, false), &small).into_iter().collect();
        assert_eq!(tried, classes, "{name} tries them all and ends");
    }
}

/// The best after 150 of 6,466 classes, mean over 8 seeds, as the number of classes that are better.
#[test]
fn searches_that_learn_find_better_cells_than_chance() {
    let cells = CellSpace::nas_bench_201();
    let mut seen = BTreeSet::new();
    let mut all: Vec<f64> = cells
        .all()
        .filter(|point| seen.insert(cells.key(point)))
        .map(|point| landscape::cost(&cells.cell(&point)))
        .collect();
    all.sort_by(f64::total_cmp);
    let mut ranks = Vec::new();
    for (name, make) in ALL {
        let rank = |seed| {
            let best = search(make, &cells, seed, 150, false).best[149];
            all.partition_point(|cost| *cost < best) as f64
        };
        let mean = (1..=8).map(rank).sum::<f64>() / 8.0;
        println!("{name}: {mean:.1} classes are better than what 150 trials find");
        ranks.push(mean);
    }
    let [random, evolution, local, bananas] = ranks[..] else { unreachable!() };
    // Were classes drawn and not cells, 43 would be expected; good ones have fewer cells than others. Measured over 12
    // seeds: 98 by chance, 3 by evolution, 5 by local search, 9 by the model. Room: a factor of 3 and more.
    assert!((30.0..250.0).contains(&random), "{ranks:?}");
    assert!(evolution.max(local).max(bananas) < 0.3 * random, "{ranks:?}");
}

#[test]
fn what_is_believed_of_cells_orders_them() {
    let cells = CellSpace::nas_bench_201();
    let searched = search(ALL[0].1, &cells, 1, 200, false);
    let mut bananas = Bananas::new(&study(&cells, 1, &[]), Arc::new(cells.clone())).unwrap();
    let points: Vec<Assignment> = cells.all().step_by(61).collect();
    assert_eq!(bananas.predict(&points), None, "before anything is known");
    bananas.tell(&searched.events);
    let predicted = bananas.predict(&points).unwrap();
    let costs: Vec<f64> = points.iter().map(|point| landscape::cost(&cells.cell(point))).collect();
    let (mut right, mut wrong) = (0, 0);
    for i in 0..points.len() {
        for j in 0..i {
            let agree = (predicted[i].mean < predicted[j].mean) == (costs[i] < costs[j]);
            if agree { right += 1 } else { wrong += 1 }
        }
    }
    let share = f64::from(right) / f64::from(right + wrong);
    println!("{share:.3} of the pairs of cells are ordered rightly");
    // Measured: 0.70; a guess is right in half of the cases.
    assert!(share > 0.62, "{share}");
}

#[test]
fn settings_are_checked() {
    let cells = CellSpace::nas_bench_201();
    for (make, setting) in [
        (ALL[0].1, "population"),
        (ALL[1].1, "tournament"),
        (ALL[2].1, "n_startup_trials"),
        (ALL[3].1, "n_startup_trials"),
    ] {
        let refused = make(&study(&cells, 1, &[(setting, "0")]), Arc::new(cells.clone())).err().unwrap();
        assert!(refused.to_string().contains(&format!("`{setting}`")), "{refused}");
    }
}
