//! What a decision costs while 1,000 trials run or wait: `cargo bench -p algorithms --bench decide`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::time::Instant;

use algorithms::Scheduler;
use algorithms::rng::Streams;
use algorithms::schedule::{Asha, Hyperband, Learning, Patience, QuantileStop};
use algorithms::settings::{SettingsError, algorithm};
use study::{
    Algorithm, Direction, Distribution, Domain, HistoryEvent, Objective, Outcome, Parameter, Space, Study,
    Suggestion, Trial, TrialIdx,
};

/// Trials that run or wait, of twice as many.
const TRIALS: u64 = 1_000;
/// Steps that each has reported.
const STEPS: u64 = 30;
/// Times that a decision is asked for, each after one more report.
const TIMES: usize = 200;

type Make = fn(&Study) -> Result<Box<dyn Scheduler>, SettingsError>;

/// Name, settings, and how it is made.
type Rule = (&'static str, &'static [(&'static str, &'static str)], Make);

const ALL: [Rule; 7] = [
    ("medianstop", &[], |study| Ok(Box::new(QuantileStop::median(study)?))),
    ("patience", &[("patience", "5")], |study| Ok(Box::new(Patience::new(study)?))),
    ("learning-curve", &[("r_l", "81")], |study| Ok(Box::new(Learning::new(study)?))),
    ("asha", &[("r_l", "81")], |study| Ok(Box::new(Asha::new(study)?))),
    ("asha", &[("r_l", "81"), ("form", "promote")], |study| Ok(Box::new(Asha::new(study)?))),
    ("hyperband", &[("r_l", "81")], |study| Ok(Box::new(Hyperband::new(study)?))),
    ("successive-halving", &[("r_l", "81")], |study| Ok(Box::new(Hyperband::successive_halving(study)?))),
];

fn study(rule: Algorithm) -> Study {
    let domain = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
    let parameter = Parameter { name: "x".into(), domain, when: vec![], default: None, prior: None };
    Study {
        name: "bench".into(),
        space: Space::new(vec![parameter], vec![]).unwrap_or_else(|errors| panic!("{errors:?}")),
        objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm("random", &[]),
        early_stopping: Some(rule),
        seed: 1,
        max_trials: None,
        parallel: TRIALS as u32,
        expense: None,
    }
}

fn report(trial: u64, step: u64) -> HistoryEvent {
    let cost = (trial * 7919 % 1009) as f64 / 1009.0 + 1.0 / step as f64;
    HistoryEvent::Reported { trial: TrialIdx(trial), step, costs: vec![cost] }
}

/// The first half ended, the others on their way, all in turns.
fn history() -> Vec<HistoryEvent> {
    let begun = (0..2 * TRIALS).map(TrialIdx);
    let begun = begun.map(|idx| HistoryEvent::Started(Trial { idx, suggestion: Suggestion::default() }));
    let mut events: Vec<HistoryEvent> = begun.collect();
    for step in 1..=STEPS {
        events.extend((0..2 * TRIALS).map(|trial| report(trial, step)));
    }
    let ended = |trial| {
        let outcome = Outcome::Succeeded { costs: vec![trial as f64] };
        HistoryEvent::Ended { trial: TrialIdx(trial), outcome }
    };
    events.extend((0..TRIALS).map(ended));
    events
}

/// Milliseconds since.
fn ms(start: Instant) -> f64 {
    1000.0 * start.elapsed().as_secs_f64()
}

fn main() -> Result<(), SettingsError> {
    let columns = ["tell all, ms", "decide, ms", "slowest, ms", "decided"];
    let heads: String = columns.iter().map(|column| format!("{column:>14}")).collect();
    println!("{:<32}{heads}   {TRIALS} trials run or wait, as many have ended", "rule");
    let (events, streams) = (history(), Streams::new(1));
    for (name, settings, make) in ALL {
        let mut scheduler = make(&study(algorithm(name, settings)))?;
        let start = Instant::now();
        scheduler.tell(&events);
        let told = ms(start);
        let mut times = Vec::new();
        let mut n = 0;
        for i in 0..TIMES as u64 {
            let start = Instant::now();
            scheduler.tell(&[report(TRIALS + i, STEPS + 1)]);
            n = std::hint::black_box(scheduler.decide(&streams)).len();
            times.push(ms(start));
        }
        times.sort_by(f64::total_cmp);
        let (median, slowest) = (times[TIMES / 2], times[TIMES - 1]);
        let written: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let label = format!("{name} {}", written.join(" "));
        println!("{label:<32}{told:>14.2}{median:>14.3}{slowest:>14.3}{n:>14}");
    }
    Ok(())
}
