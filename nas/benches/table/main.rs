//! The table of all cells, and searches on it; see README.md beside this.
//!
//! `cargo bench -p nas --bench table -- classes | pack TRIALS OBSERVATIONS | check | compare | controller | lookup FILE`
#![expect(clippy::print_stdout, reason = "it prints what it finds")]

mod searches;
mod statistics;
mod table;

use std::fs;

use nas::{CellSpace, Likeness};

use searches::SEARCHES;
use statistics::{mean, rank_correlation, wilcoxon};
use table::{Table, classes, pack};

/// Runs of each search.
const RUNS: u64 = 200;
/// Evaluations of each search.
const EVALUATIONS: u64 = 150;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let read = |file: &str| fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    match words[..] {
        ["classes"] => {
            let cells = CellSpace::nas_bench_201();
            classes(&cells).iter().for_each(|point| println!("{}", CellSpace::text(&cells.cell(point))));
        }
        ["pack", trials, observations] => print!("{}", pack(&read(trials), &read(observations))),
        ["check"] => check(&Table::read()),
        ["compare"] => compare(&Table::read()),
        ["controller"] => controller(&Table::read()),
        ["lookup", file] => lookup(&Table::read(), &read(file)),
        _ => {
            println!(
                "say what: classes, pack TRIALS OBSERVATIONS, check, compare, controller or lookup FILE"
            );
        }
    }
}

/// How many classes there are, how accurate, and how well two trainings agree.
fn check(table: &Table) {
    let number = |likeness: Likeness| {
        let expressions = table.cells.all().map(|point| table.cells.cell(&point).expression(likeness));
        expressions.collect::<std::collections::BTreeSet<_>>().len()
    };
    println!(
        "classes as published {}, without zero terms {}, by function {}; in the table {}",
        number(Likeness::Published),
        number(Likeness::WithoutZeros),
        number(Likeness::Function),
        table.len()
    );
    for (what, name) in ["validation", "test"].into_iter().enumerate() {
        let (first, second) = (table.ends(what, 0), table.ends(what, 1));
        let classes = rank_correlation(&table.ends_of_classes(what, 0), &table.ends_of_classes(what, 1));
        let mut sorted = first.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64) as usize];
        println!(
            "{name}: rank correlation of the seeds over {} cells {:.3}, over their classes {classes:.3}; accuracy least \
             {:.3}, quartiles {:.3} {:.3} {:.3}, most {:.3}",
            first.len(),
            rank_correlation(&first, &second),
            at(0.0),
            at(0.25),
            at(0.5),
            at(0.75),
            at(1.0)
        );
    }
    let correlation = rank_correlation(&table.ends(0, 0), &table.ends(1, 0));
    println!("validation and test of one training: rank correlation {correlation:.3}");
}

/// Test regret of the searches, and which reaches early what random search has at the end.
fn compare(table: &Table) {
    let ranking = table.ranking();
    let all: Vec<Vec<Vec<f64>>> = SEARCHES
        .iter()
        .map(|search| {
            (0..RUNS).map(|seed| searches::regrets(table, *search, seed, EVALUATIONS, ranking[0])).collect()
        })
        .collect();
    let at = |search: usize, n: usize| -> Vec<f64> { all[search].iter().map(|run| run[n - 1]).collect() };
    println!("mean test regret in points of {RUNS} runs after so many evaluations");
    let numbers = [25, 50, 75, 100, 125, 150];
    println!("{:>14} {}", "", numbers.map(|n| format!("{n:>6}")).join(" "));
    for (i, (name, _)) in SEARCHES.iter().enumerate() {
        println!("{name:>14} {}", numbers.map(|n| format!("{:6.3}", 100.0 * mean(&at(i, n)))).join(" "));
    }
    let random = at(0, EVALUATIONS as usize);
    for (search, n) in [(1, 100), (2, 75), (3, 75), (1, 150), (2, 150), (3, 150)] {
        let its = at(search, n);
        let (less, more) = (wilcoxon(&its, &random), wilcoxon(&random, &its));
        println!(
            "{} at {n} against random at {EVALUATIONS}: {:.3} and {:.3}; Wilcoxon, one-sided: less p = {less:.2e}, more p = {more:.2e}",
            SEARCHES[search].0,
            100.0 * mean(&its),
            100.0 * mean(&random),
        );
    }
}

/// What learning brings to the controller of ENAS.
fn controller(table: &Table) {
    const SEEDS: u64 = 20;
    let of = |settings: &[(&str, &str)]| -> Vec<f64> {
        (0..SEEDS).map(|seed| searches::controller(table, settings, seed, 300)).collect()
    };
    // So small a step changes nothing, and one is as good as fifty.
    let off = of(&[("controller_learning_rate", "1e-12"), ("controller_train_steps", "1")]);
    println!(
        "mean validation error of the last 50 of 300 cells, {SEEDS} seeds; learning off {:.4}",
        mean(&off)
    );
    for rate in ["0.002", "0.00005"] {
        let on = of(&[("controller_learning_rate", rate)]);
        let better = on.iter().zip(&off).filter(|(on, off)| on < off).count();
        println!(
            "controller_learning_rate {rate}: {:.4}, better in {better}; Wilcoxon p = {:.2e}",
            mean(&on),
            wilcoxon(&on, &off)
        );
    }
}

/// Where cells stand among all: one a line, a line `Best-Cell=` of a search too.
fn lookup(table: &Table, text: &str) {
    let ranking = table.ranking();
    let mut all = Vec::new();
    for line in text.lines() {
        let cell = line.strip_prefix("Best-Cell=").unwrap_or(line);
        let point = table.cells.parse(cell).unwrap_or_else(|error| panic!("{error}"));
        let percentile = table.percentile(&ranking, &point);
        println!("{percentile:5.1} test accuracy {:.4} {cell}", 1.0 - table.test_error(&point));
        all.push(percentile);
    }
    let worst = all.iter().copied().fold(100.0, f64::min);
    println!("mean percentile of {}: {:.1}, worst {worst:.1}", all.len(), mean(&all));
}
