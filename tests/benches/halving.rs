//! A shipped example with and without asynchronous successive halving, run for real one after the other:
//! `cargo bench -p e2e --bench halving`, and `-- 3` for 3 seeds. Its epochs take a tenth of a second each, and two trials run
//! at once.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::time::{Duration, Instant};

use e2e::Cairn;

/// Searches of each kind, unless the first argument says otherwise.
const SEEDS: u64 = 5;
/// For one search.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a search came to.
struct Search {
    seconds: f64,
    epochs: usize,
    /// The lowest loss of its best trial.
    best: f64,
}

fn search(seed: u64, halves: bool) -> Search {
    let cairn = Cairn::new();
    let file = cairn.example("halving");
    let text = cairn.read(&file).expect("the example is there");
    let text = text.replace("  seed: 1\n", &format!("  seed: {seed}\n"));
    let (head, rest) = text.split_once("  earlyStopping:\n").expect("it stops early");
    let (_, rest) = rest.split_once("  parameters:\n").expect("parameters stand behind");
    let whole = format!("{head}  parameters:\n{rest}");
    cairn.write(&file, if halves { &text } else { &whole });
    let begun = Instant::now();
    cairn.start(["run", file.as_str()]).end_within(PATIENCE).ok();
    let seconds = begun.elapsed().as_secs_f64();
    let rows = cairn.run(["export", "halving", "--observations"]).ok().stdout;
    let is_loss = |row: &&str| row.split(',').any(|word| word == "loss");
    let best = cairn.get("halving")["cairn"]["bestValue"].as_f64().expect("a best value");
    Search { seconds, epochs: rows.lines().filter(is_loss).count(), best }
}

fn line(name: &str, search: &Search) {
    let Search { seconds, epochs, best } = search;
    println!("{name:<28}{seconds:>9.1} s{epochs:>8}{best:>12.4}");
}

/// The mean of searches.
fn mean(searches: &[Search]) -> Search {
    let n = searches.len().max(1);
    let of = |figure: fn(&Search) -> f64| searches.iter().map(figure).sum::<f64>() / n as f64;
    let epochs = searches.iter().map(|search| search.epochs).sum::<usize>() / n;
    Search { seconds: of(|search| search.seconds), epochs, best: of(|search| search.best) }
}

fn main() {
    let seeds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(SEEDS);
    e2e::cairn::binary();
    println!("{:<28}{:>11}{:>8}{:>12}", "", "wall time", "epochs", "best loss");
    let (mut halving, mut whole) = (Vec::new(), Vec::new());
    for seed in 1..=seeds {
        halving.push(search(seed, true));
        whole.push(search(seed, false));
        line(&format!("seed {seed}, with ASHA"), &halving[halving.len() - 1]);
        line(&format!("seed {seed}, without"), &whole[whole.len() - 1]);
    }
    let (halving, whole) = (mean(&halving), mean(&whole));
    line("mean with ASHA", &halving);
    line("mean without", &whole);
    println!(
        "{:.2} of the time, {:.2} of the epochs",
        halving.seconds / whole.seconds,
        halving.epochs as f64 / whole.epochs as f64
    );
}
