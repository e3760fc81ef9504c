//! Whole searches: every question of 1,000, with the trial before it told, fits and all.

use std::time::Instant;

use algorithms::rng::Streams;
use algorithms::settings::SettingsError;
use study::{Distribution, HistoryEvent, Outcome, Study, Trial, TrialIdx, Value};

use super::{Make, float, quantile, study};

const DIMS: usize = 20;
const TRIALS: u64 = 1_000;
/// Times that the first question after a restart is asked; the fastest counts.
const RESTARTS: usize = 3;

/// Rosenbrock's valley, its floor bent so that a search does not end in its first fit.
fn cost(trial: &Trial) -> f64 {
    let at = |value: &Option<Value>| match value {
        Some(Value::Float(x)) => 4.0 * x - 2.0,
        _ => 0.0,
    };
    let x: Vec<f64> = trial.suggestion.assignment.0.iter().map(at).collect();
    x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}

/// One line for each algorithm.
pub(super) fn run(wanted: &[(&str, Make)]) -> Result<(), SettingsError> {
    println!("a question with the trial before it told, ms; 20 continuous parameters, one trial at a time");
    let columns = ["1-100", "91-100", "991-1000", "slowest", "at", "after a restart"];
    let heads: String = columns.iter().map(|column| format!("{column:>12}")).collect();
    println!("{:<22}{heads}   median, but for the slowest", "algorithm");
    for (name, make) in wanted {
        let parameters = (0..DIMS).map(|i| float(format!("x{i}"), 0.0, Distribution::Uniform)).collect();
        let study = Study { parallel: 1, ..study(name, parameters) };
        let streams = Streams::new(1);
        let mut sampler = make(&study)?;
        let (mut events, mut waits) = (Vec::<HistoryEvent>::new(), Vec::new());
        for idx in (0..TRIALS).map(TrialIdx) {
            let start = Instant::now();
            sampler.tell(&events[events.len().saturating_sub(2)..]);
            let asked = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).pop();
            waits.push(1000.0 * start.elapsed().as_secs_f64());
            let Some(suggestion) = asked else { break };
            let trial = Trial { idx, suggestion };
            let outcome = Outcome::Succeeded { costs: vec![cost(&trial)] };
            events.extend([HistoryEvent::Started(trial), HistoryEvent::Ended { trial: idx, outcome }]);
        }
        let mut colds = Vec::new();
        for _ in 0..RESTARTS {
            let mut fresh = make(&study)?;
            let start = Instant::now();
            fresh.tell(&events);
            std::hint::black_box(fresh.ask(TrialIdx(TRIALS)..TrialIdx(TRIALS + 1), &[], &streams));
            colds.push(1000.0 * start.elapsed().as_secs_f64());
        }
        let slowest = quantile(&waits, 1.0);
        let at = waits.iter().position(|wait| *wait >= slowest).map_or(0, |at| at + 1);
        let median =
            |from: usize, to: usize| quantile(&waits[from.min(waits.len()) - 1..to.min(waits.len())], 0.5);
        let (early, hundred, thousand) = (median(1, 100), median(91, 100), median(991, 1_000));
        let cold = quantile(&colds, 0.0);
        println!("{name:<22}{early:>12.3}{hundred:>12.3}{thousand:>12.3}{slowest:>12.3}{at:>12}{cold:>12.2}");
    }
    Ok(())
}
