//! What a suggestion costs: `cargo bench -p algorithms --bench ask -- [table | run] [NAME..] [TRIALS..]`.
//!
//! `table`: by algorithm and number of ended trials, 20 parameters of all kinds, with what its memory of them takes.
//! `run`: over whole searches of 1,000 trials in 20 continuous parameters, as they happen.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod run;
mod table;

use algorithms::Sampler;
use algorithms::auto::Auto;
use algorithms::cmaes::Cmaes;
use algorithms::evolution::Evolution;
use algorithms::gp::Gp;
use algorithms::grid::Grid;
use algorithms::halving::Halving;
use algorithms::local_search::LocalSearch;
use algorithms::random::Random;
use algorithms::settings::{SettingsError, algorithm};
use algorithms::sobol::Sobol;
use algorithms::tpe::Tpe;
use study::{Direction, Distribution, Domain, Objective, Parameter, Space, Study};

type Make = fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;

const ALL: [(&str, Make); 12] = [
    ("random", |study| Ok(Box::new(Random::new(study)?))),
    ("grid", |study| Ok(Box::new(Grid::new(study)?))),
    ("sobol", |study| Ok(Box::new(Sobol::new(study)?))),
    ("tpe", |study| Ok(Box::new(Tpe::new(study)?))),
    ("multivariate-tpe", |study| Ok(Box::new(Tpe::new(study)?))),
    ("bayesianoptimization", |study| Ok(Box::new(Gp::new(study)?))),
    ("cmaes", |study| Ok(Box::new(Cmaes::new(study)?))),
    ("evolution", |study| Ok(Box::new(Evolution::new(study)?))),
    ("local-search", |study| Ok(Box::new(LocalSearch::new(study)?))),
    ("hyperband", |study| Ok(Box::new(Halving::hyperband(study)?))),
    ("asha", |study| Ok(Box::new(Halving::asha(study)?))),
    ("auto", |study| Ok(Box::new(Auto::new(study)?))),
];

fn parameter(name: String, domain: Domain) -> Parameter {
    Parameter { name, domain, when: vec![], default: None, prior: None }
}

fn float(name: String, min: f64, distribution: Distribution) -> Parameter {
    parameter(name, Domain::Float { min, max: 1.0, step: None, distribution })
}

fn study(name: &str, parameters: Vec<Parameter>) -> Study {
    let halving: &[(&str, &str)] = &[("r_l", "27"), ("resource_name", "epochs")];
    let settings = if matches!(name, "hyperband" | "asha") { halving } else { &[] };
    Study {
        name: "bench".into(),
        space: Space::new(parameters, vec![]).unwrap_or_else(|errors| panic!("{errors:?}")),
        objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm(name, settings),
        early_stopping: None,
        seed: 1,
        max_trials: None,
        parallel: 4,
        expense: None,
    }
}

/// The `q`-quantile of some figures, `q` in [0, 1]; of at least one.
fn quantile(figures: &[f64], q: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let modes = ["table", "run"];
    let sizes: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let names: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| ALL.iter().any(|(name, _)| name == word)).collect();
    if let Some(word) = words.iter().find(|word| {
        word.parse::<u64>().is_err() && !names.contains(&word.as_str()) && !modes.contains(&word.as_str())
    }) {
        return Err(format!("there is no algorithm `{word}`").into());
    }
    let wanted: Vec<(&str, Make)> =
        ALL.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect();
    if words.iter().any(|word| word == "run") {
        run::run(&wanted)?;
    } else {
        table::table(&wanted, &sizes)?;
    }
    Ok(())
}
