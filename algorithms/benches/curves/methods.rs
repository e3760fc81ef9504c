//! Who searches: a sampler and a scheduler, with their settings.

use algorithms::gp::Gp;
use algorithms::random::Random;
use algorithms::schedule::{Asha, Hyperband, Learning, Patience, QuantileStop};
use algorithms::settings::{SettingsError, algorithm};
use algorithms::tpe::Tpe;
use algorithms::{Sampler, Scheduler};
use study::{Direction, Objective, Study};

use super::table::Table;

type MakeSampler = fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;
type MakeScheduler = fn(&Study) -> Result<Box<dyn Scheduler>, SettingsError>;

/// A rule with its settings; `r_l`, the whole budget, is added where it is asked for.
pub(super) struct Rule {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    has_rungs: bool,
    pub(super) make: MakeScheduler,
}

/// Who searches.
pub(super) struct Method {
    pub(super) name: &'static str,
    algorithm: &'static str,
    pub(super) sampler: MakeSampler,
    /// None: every trial runs to its end.
    pub(super) rule: Option<Rule>,
}

const RANDOM: MakeSampler = |study| Ok(Box::new(Random::new(study)?));
const GP: MakeSampler = |study| Ok(Box::new(Gp::new(study)?));
const TPE: MakeSampler = |study| Ok(Box::new(Tpe::new(study)?));
const ASHA: MakeScheduler = |study| Ok(Box::new(Asha::new(study)?));

const fn on_rungs(
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    make: MakeScheduler,
) -> Rule {
    Rule { name, settings, has_rungs: true, make }
}

const fn rule(
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    make: MakeScheduler,
) -> Rule {
    Rule { name, settings, has_rungs: false, make }
}

const fn random(name: &'static str, rule: Rule) -> Method {
    Method { name, algorithm: "random", sampler: RANDOM, rule: Some(rule) }
}

const STOP: Rule = on_rungs("asha", &[], ASHA);
const PROMOTE: Rule = on_rungs("asha", &[("form", "promote")], ASHA);
const HYPERBAND: Rule = on_rungs("hyperband", &[], |study| Ok(Box::new(Hyperband::new(study)?)));
const HALVING: Rule =
    on_rungs("successive-halving", &[], |study| Ok(Box::new(Hyperband::successive_halving(study)?)));

/// All, random search with whole trials first.
pub(super) const METHODS: [Method; 13] = [
    Method { name: "random", algorithm: "random", sampler: RANDOM, rule: None },
    random("medianstop", rule("medianstop", &[], |study| Ok(Box::new(QuantileStop::median(study)?)))),
    random("percentile", rule("percentile", &[], |study| Ok(Box::new(QuantileStop::percentile(study)?)))),
    random("patience-5", rule("patience", &[("patience", "5")], |study| Ok(Box::new(Patience::new(study)?)))),
    random("learning-curve", on_rungs("learning-curve", &[], |study| Ok(Box::new(Learning::new(study)?)))),
    random("successive-halving", HALVING),
    random("hyperband", HYPERBAND),
    random("asha-stop", STOP),
    random("asha-promote", PROMOTE),
    Method { name: "tpe+asha-promote", algorithm: "tpe", sampler: TPE, rule: Some(PROMOTE) },
    Method { name: "gp", algorithm: "bayesianoptimization", sampler: GP, rule: None },
    Method { name: "gp+asha-stop", algorithm: "bayesianoptimization", sampler: GP, rule: Some(STOP) },
    Method { name: "gp+asha-promote", algorithm: "bayesianoptimization", sampler: GP, rule: Some(PROMOTE) },
];

/// What a method is asked to search.
pub(super) fn study(table: &Table, method: &Method, workers: u32, seed: u64) -> Study {
    let whole = table.steps.to_string();
    let early_stopping = method.rule.as_ref().map(|rule| {
        let whole = rule.has_rungs.then_some(("r_l", whole.as_str()));
        let settings: Vec<(&str, &str)> = rule.settings.iter().copied().chain(whole).collect();
        algorithm(rule.name, &settings)
    });
    Study {
        name: table.name.clone(),
        space: table.space.clone(),
        objectives: vec![Objective { metric: "cost".into(), direction: Direction::Minimize, goal: None }],
        algorithm: algorithm(method.algorithm, &[]),
        early_stopping,
        seed,
        max_trials: None,
        parallel: workers,
        expense: None,
    }
}
