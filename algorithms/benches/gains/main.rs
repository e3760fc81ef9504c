//! What parts of the search are worth, each against the same search without it; see README.md beside this.
//!
//! `cargo bench -p algorithms --bench gains -- (pbt | cost) [PROBLEM..] [SEEDS]`
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod cost;
mod paired;
mod pbt;
mod problems;
#[path = "../curves/table.rs"]
mod table;
mod training;

use std::error::Error;

/// Runs of a method, unless they are said.
const SEEDS: u64 = 20;

/// What was asked for.
struct Wanted {
    words: Vec<String>,
    seeds: u64,
}

impl Wanted {
    /// Those of these that are named, or all if none is.
    fn of<'a, T>(&self, all: &'a [T], name: impl Fn(&T) -> &str) -> Vec<&'a T> {
        let named: Vec<&T> =
            all.iter().filter(|one| self.words.iter().any(|word| word == name(one))).collect();
        if named.is_empty() { all.iter().collect() } else { named }
    }
}

/// A command: its name, what it compares on, and how.
type Command = (&'static str, Vec<&'static str>, fn(&Wanted) -> Result<(), Box<dyn Error>>);

fn main() -> Result<(), Box<dyn Error>> {
    let commands: [Command; 2] = [
        ("pbt", training::TRAININGS.iter().map(|training| training.name).collect(), pbt::run),
        ("cost", problems::names(), cost::run),
    ];
    let words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let (numbers, words): (Vec<String>, Vec<String>) = words.partition(|word| word.parse::<u64>().is_ok());
    let seeds = numbers.iter().find_map(|number| number.parse().ok()).unwrap_or(SEEDS);
    let wanted = Wanted { words, seeds };
    let known =
        |word: &&String| commands.iter().any(|(name, of, _)| word == name || of.contains(&word.as_str()));
    if let Some(word) = wanted.words.iter().find(|word| !known(word)) {
        let known: Vec<&str> =
            commands.iter().flat_map(|(name, of, _)| std::iter::once(name).chain(of)).copied().collect();
        return Err(format!("there is no `{word}`; there are {}", known.join(", ")).into());
    }
    let is_said = |name: &str| wanted.words.iter().any(|word| word == name);
    let any = commands.iter().any(|(name, ..)| is_said(name));
    for (_, _, run) in commands.iter().filter(|(name, ..)| !any || is_said(name)) {
        run(&wanted)?;
    }
    Ok(())
}
