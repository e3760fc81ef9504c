//! What stopping trials early saves, over tables of learning curves; see README.md beside this.
//!
//! `cargo bench -p algorithms --bench curves -- [TASK..] [METHOD..] [SEEDS]`
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod methods;
mod simulation;
mod table;

use algorithms::settings::SettingsError;

use methods::{METHODS, Method, study};
use simulation::{Run, search};
use table::Table;

/// Runs of a method, unless they are said.
const SEEDS: u64 = 20;
/// Whole trials that the budget of a search pays for.
const WHOLE_TRIALS: usize = 60;
const WORKERS: [u32; 2] = [1, 8];
/// Shares of the budget at which regret is told.
const SHARES: [(usize, &str); 4] = [(27, "1/27"), (9, "1/9"), (3, "1/3"), (1, "1/1")];

/// What was asked for.
struct Wanted {
    words: Vec<String>,
    seeds: u64,
}

impl Wanted {
    fn read(tables: &[Table]) -> Result<Self, String> {
        let words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
        let (numbers, words): (Vec<String>, Vec<String>) =
            words.partition(|word| word.parse::<u64>().is_ok());
        let tasks = tables.iter().map(|table| table.name.as_str());
        let known: Vec<&str> = tasks.chain(METHODS.iter().map(|method| method.name)).collect();
        if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
            return Err(format!("there is no task or method `{word}`; there are {}", known.join(", ")));
        }
        let seeds = numbers.iter().find_map(|number| number.parse().ok()).unwrap_or(SEEDS);
        Ok(Self { words, seeds })
    }

    /// Those of these that are named, or all if none is.
    fn of<'a, T>(&self, all: &'a [T], name: impl Fn(&T) -> &str) -> Vec<&'a T> {
        let is_named = |one: &&T| self.words.iter().any(|word| word == name(one));
        let named: Vec<&T> = all.iter().filter(is_named).collect();
        if named.is_empty() { all.iter().collect() } else { named }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tables = Table::all()?;
    let wanted = Wanted::read(&tables)?;
    println!(
        "normalised regret after shares of the budget of {WHOLE_TRIALS} whole trials, mean of {} seeds; the share of it \
         by which random search's mean end is reached; trials begun, not beyond the best value; mean regret over the first \
         third of the budget, with its standard error over seeds",
        wanted.seeds
    );
    for table in wanted.of(&tables, |table| &table.name) {
        for workers in WORKERS {
            let heads: String = SHARES.iter().map(|(_, share)| format!("{share:>8}")).collect();
            println!(
                "\n{:<34}{heads}{:>10}{:>8}{:>17}",
                format!("{}, {workers} at once", table.name),
                "reached",
                "trials",
                "first third"
            );
            let random = runs(table, &METHODS[0], workers, wanted.seeds)?;
            let goal = random.curve.last().copied().unwrap_or(f64::NAN);
            println!("{}", line(METHODS[0].name, &random, goal));
            for method in wanted.of(&METHODS[1..], |method| method.name) {
                println!("{}", line(method.name, &runs(table, method, workers, wanted.seeds)?, goal));
            }
        }
    }
    Ok(())
}

/// A method's runs together.
struct Mean {
    /// Mean regret after each epoch.
    curve: Vec<f64>,
    /// Mean number of trials begun.
    trials: f64,
    /// Of each seed the mean regret over the first third of the budget.
    early: Vec<f64>,
}

fn runs(table: &Table, method: &Method, workers: u32, seeds: u64) -> Result<Mean, SettingsError> {
    let epochs = WHOLE_TRIALS * table.steps;
    let mut mean = Mean { curve: vec![0.0; epochs], trials: 0.0, early: Vec::new() };
    for seed in 0..seeds {
        let study = study(table, method, workers, seed);
        let Run { best, trials } = search(table, &study, method, epochs)?;
        let regrets: Vec<f64> = best.into_iter().map(|value| table.regret(value)).collect();
        let third = &regrets[..epochs / 3];
        mean.early.push(third.iter().sum::<f64>() / third.len() as f64);
        for (sum, regret) in mean.curve.iter_mut().zip(regrets) {
            *sum += regret / seeds as f64;
        }
        mean.trials += trials as f64 / seeds as f64;
    }
    Ok(mean)
}

fn line(name: &str, mean: &Mean, goal: f64) -> String {
    let epochs = mean.curve.len();
    let regrets: String =
        SHARES.iter().map(|(part, _)| format!("{:>8.3}", mean.curve[epochs / part - 1])).collect();
    // Room for rounding in sums over seeds.
    let reached = mean.curve.iter().position(|regret| *regret <= goal + 1e-12);
    let reached = reached.map_or("never".into(), |at| format!("{:.3}", (at + 1) as f64 / epochs as f64));
    let n = mean.early.len() as f64;
    let early = mean.early.iter().sum::<f64>() / n;
    let squares: f64 = mean.early.iter().map(|its| (its - early).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    format!("{name:<34}{regrets}{reached:>10}{:>8.0}{early:>9.4} ±{error:.4}", mean.trials)
}
