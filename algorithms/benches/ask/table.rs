//! By algorithm and number of ended trials: milliseconds of one suggestion while 4 trials run, and what it takes to tell
//! the history and to keep it.

use std::process::Command;
use std::time::Instant;

use algorithms::Sampler;
use algorithms::encode::Encoder;
use algorithms::rng::Streams;
use algorithms::settings::SettingsError;
use study::{Distribution, Domain, HistoryEvent, Outcome, Parameter, Study, Suggestion, Trial, TrialIdx};

use super::{ALL, Make, float, parameter, quantile, study};

const SIZES: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];
const RUNNING: u64 = 4;
/// Trials of a history that are asked for at once.
const PART: u64 = 100;
/// Least time that a figure is taken over, in seconds.
const LEAST: f64 = 0.2;
/// Times that a first question is asked; the fastest counts.
const FRESH: usize = 3;

/// Sixteen floats, two ints, a list of numbers and one of names.
fn parameters() -> Vec<Parameter> {
    let of = |i: usize| if i.is_multiple_of(2) { Distribution::Uniform } else { Distribution::LogUniform };
    let int = |name: &str| {
        let domain = Domain::Int { min: 1, max: 100, step: 1, distribution: Distribution::Uniform };
        parameter(name.into(), domain)
    };
    let mut parameters: Vec<Parameter> = (0..16).map(|i| float(format!("x{i}"), 1e-4, of(i))).collect();
    parameters.extend([int("epochs"), int("n")]);
    let texts = ["1", "2", "8"].map(String::from).to_vec();
    parameters.push(parameter("d".into(), Domain::Discrete { texts, values: vec![1.0, 2.0, 8.0] }));
    let choices = ["a", "b", "c"].map(String::from).to_vec();
    parameters.push(parameter("c".into(), Domain::Categorical { choices, ordered: false }));
    parameters
}

/// Ended trials as the algorithm itself would have started them with nothing known: points differ, costs are a bowl.
/// Asked for in parts, so that no memory is left over that a sampler would then find free.
fn history(study: &Study, make: Make, n: u64) -> Result<Vec<HistoryEvent>, SettingsError> {
    let encoder = Encoder::new(&study.space);
    let sampler = make(study)?;
    let mut events = Vec::new();
    for first in (0..n).step_by(PART as usize) {
        let slots = TrialIdx(first)..TrialIdx((first + PART).min(n));
        let suggestions = sampler.ask(slots, &[], &Streams::new(2));
        events.extend((first..).map(TrialIdx).zip(suggestions).flat_map(|(idx, mut suggestion)| {
            let x = encoder.encode(&suggestion.assignment);
            let cost = x.iter().map(|x| (x - 0.3).powi(2)).sum();
            suggestion.notes.clear();
            [
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![cost] } },
            ]
        }));
    }
    Ok(events)
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
    quantile(&calls, 0.5)
}

/// MiB of this process in memory; none where the system does not say so.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// Lines, each from a process of its own, which has no memory to spare.
pub(super) fn table(wanted: &[(&str, Make)], sizes: &[u64]) -> Result<(), Box<dyn std::error::Error>> {
    if let ([(name, make)], [n]) = (wanted, sizes) {
        return Ok(line(name, *make, *n)?);
    }
    let columns = ["trials", "tell, ms", "first ask, ms", "ask, ms", "memory, MiB"];
    let heads: String = columns.iter().map(|column| format!("{column:>14}")).collect();
    println!("{:<22}{heads}", "algorithm");
    for (name, _) in wanted {
        for n in if sizes.is_empty() { &SIZES } else { sizes } {
            Command::new(std::env::current_exe()?).args(["table", name, &n.to_string()]).status()?;
        }
    }
    Ok(())
}

fn line(name: &str, make: Make, n: u64) -> Result<(), SettingsError> {
    let study = study(name, parameters());
    // What the fit costs shows in the first question after a trial has ended; and nobody asks these for so many at once.
    let dear = matches!(name, "bayesianoptimization" | "auto");
    let source: Make = if dear { ALL[0].1 } else { make };
    let streams = Streams::new(1);
    let events = history(&study, source, n)?;
    let asked = |sampler: &dyn Sampler, from: u64, n: u64, running: &[Trial]| {
        sampler.ask(TrialIdx(from)..TrialIdx(from + n), running, &streams)
    };
    let mut sampler = make(&study)?;
    let start = Instant::now();
    sampler.tell(&events);
    let told = 1000.0 * start.elapsed().as_secs_f64();
    let running: Vec<Trial> = (n..)
        .map(TrialIdx)
        .zip(asked(&*sampler, n, RUNNING, &[]))
        .map(|(idx, suggestion)| Trial { idx, suggestion })
        .collect();
    // What was free has gone into the first; the second has its own.
    let (before, mut second) = (resident(), make(&study)?);
    second.tell(&events);
    asked(&*second, n + RUNNING, 1, &running);
    let memory = resident() - before;
    drop(second);
    let mut firsts = Vec::new();
    for _ in 0..FRESH {
        let mut fresh = make(&study)?;
        fresh.tell(&events);
        let start = Instant::now();
        std::hint::black_box(asked(&*fresh, n + RUNNING, 1, &running));
        firsts.push(1000.0 * start.elapsed().as_secs_f64());
    }
    let first = quantile(&firsts, 0.0);
    let ask = time(|i| asked(&*sampler, n + RUNNING + i, 1, &running));
    println!("{name:<22}{n:>14}{told:>14.2}{first:>14.3}{ask:>14.3}{memory:>14.2}");
    Ok(())
}
