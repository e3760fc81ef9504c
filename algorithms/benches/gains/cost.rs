//! What the Gaussian process gains by learning what trials take: it against itself without, at equal cost.

use algorithms::Sampler as _;
use algorithms::encode::Encoder;
use algorithms::gp::Gp;
use algorithms::rng::Streams;
use algorithms::settings::{SettingsError, algorithm};
use study::{Direction, Expense, HistoryEvent, Objective, Outcome, Study, Trial, TrialIdx, Unit};

use super::Wanted;
use super::paired::{Difference, mean};
use super::problems::{Problem, problems};

/// Trials that the budget pays for, if they take what points take on average.
const TRIALS: f64 = 20.0;
/// Points that the average is taken over.
const DRAWS: u64 = 10_000;
/// Shares of the budget at which regret is told.
const SHARES: [f64; 3] = [0.25, 0.5, 1.0];

/// Lines for each problem.
pub(super) fn run(wanted: &Wanted) -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "regret after shares of a budget of {TRIALS} average trials, mean of {} seeds: its logarithm to the base of 10, of \
         the table itself; differences of pairs with the mean's 95 % interval; trials that fit into the budget",
        wanted.seeds
    );
    for problem in wanted.of(&problems()?, |problem| problem.name) {
        let budget = TRIALS * average(problem);
        let heads: String = SHARES.iter().map(|share| format!("{share:>10}")).collect();
        println!("\n{:<42}{heads}{:>10}", problem.name, "trials");
        let (with, without) =
            (searches(problem, budget, true, wanted)?, searches(problem, budget, false, wanted)?);
        for (name, searches) in [("cost is learnt", &with), ("cost is not learnt", &without)] {
            let figures: String =
                (0..SHARES.len()).map(|share| format!("{:>10.4}", mean(&at(searches, share)))).collect();
            let trials: Vec<f64> = searches.iter().map(|search| search.trials as f64).collect();
            println!("{name:<42}{figures}{:>10.1}", mean(&trials));
        }
        for (i, share) in SHARES.iter().enumerate() {
            let of = format!("learnt less not, at {share}");
            println!("{of:<42}  {}", Difference::of(&at(&with, i), &at(&without, i)));
        }
    }
    Ok(())
}

/// What a search came to.
struct Search {
    /// At each share of the budget.
    regrets: Vec<f64>,
    trials: u64,
}

/// Regrets of all at a share.
fn at(searches: &[Search], share: usize) -> Vec<f64> {
    searches.iter().map(|search| search.regrets[share]).collect()
}

/// What points take on average.
fn average(problem: &Problem) -> f64 {
    let (encoder, streams) = (Encoder::new(&problem.space), Streams::new(1));
    let draws = (0..DRAWS).map(|i| encoder.draw(&mut streams.stream("bench/average", TrialIdx(i))));
    draws.map(|drawn| (problem.expense)(&drawn)).sum::<f64>() / DRAWS as f64
}

fn searches(
    problem: &Problem,
    budget: f64,
    learns: bool,
    wanted: &Wanted,
) -> Result<Vec<Search>, SettingsError> {
    (0..wanted.seeds).map(|seed| search(problem, budget, learns, seed)).collect()
}

/// One trial at a time, until one takes more than is left: that one does not end.
fn search(problem: &Problem, budget: f64, learns: bool, seed: u64) -> Result<Search, SettingsError> {
    let study = Study {
        name: problem.name.into(),
        space: problem.space.clone(),
        objectives: vec![Objective { metric: "cost".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm("bayesianoptimization", &[]),
        early_stopping: None,
        seed,
        max_trials: None,
        parallel: 1,
        expense: learns.then_some(Expense { unit: Unit::Seconds, most: budget }),
    };
    let (mut gp, streams) = (Gp::new(&study)?, Streams::new(seed));
    let (mut spent, mut trials) = (0.0, 0);
    // Best costs, each with what had been spent when it was found.
    let mut best: Vec<(f64, f64)> = Vec::new();
    loop {
        let idx = TrialIdx(trials);
        let Some(suggestion) = gp.ask(idx..TrialIdx(trials + 1), &[], &streams).pop() else { break };
        let assignment = &suggestion.assignment;
        let (cost, amount) = ((problem.cost)(assignment), (problem.expense)(assignment));
        spent += amount;
        if spent > budget {
            break;
        }
        trials += 1;
        if best.last().is_none_or(|(lowest, _)| cost < *lowest) {
            best.push((cost, spent));
        }
        let mut told = vec![HistoryEvent::Started(Trial { idx, suggestion })];
        told.extend(learns.then_some(HistoryEvent::Spent { trial: idx, amount }));
        told.push(HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![cost] } });
        gp.tell(&told);
    }
    // Before anything has ended there is the first that will.
    let by = |share: &f64| {
        let found = best.iter().rev().find(|(_, spent)| *spent <= share * budget).or(best.first());
        found.map_or(f64::NAN, |(cost, _)| (problem.regret)(*cost))
    };
    Ok(Search { regrets: SHARES.iter().map(by).collect(), trials })
}
