//! Which algorithms there are, what each can do, and how to make one for a study.
//!
//! One table serves the list of `cairn algorithms`, the refusals of the validator and the construction of samplers.

mod feature;
mod rows;
mod stoppers;
mod warnings;

use algorithms::settings::SettingsError;
use algorithms::{Sampler, Scheduler, Watch};
use study::Study;

pub use algorithms::schedule::{Forecast, forecast};
pub use feature::{Can, Feature};
pub use rows::Setting;
use rows::{Row, SAMPLERS};
use stoppers::{STOPPERS, Stopper};

/// What people should know of an algorithm.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name in Experiments.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Name, default and meaning of each setting.
    pub settings: &'static [Setting],
    /// What it can do; empty for early stopping.
    pub features: Vec<(Feature, Can)>,
    /// Where it was published.
    pub source: &'static str,
    /// Whether it stops trials instead of proposing points.
    pub early_stopping: bool,
}

/// What answers for a study.
pub struct Engine {
    /// Proposes points.
    pub sampler: Box<dyn Sampler>,
    /// Stops trials, if the study wants that.
    pub scheduler: Option<Box<dyn Scheduler>>,
}

/// Everything in the registry, in its order.
pub fn list() -> Vec<Info> {
    let samplers = SAMPLERS.iter().map(|row| Info {
        name: row.name,
        summary: row.summary,
        settings: row.settings,
        features: Feature::ALL.into_iter().map(|feature| (feature, row.can(feature))).collect(),
        source: row.source,
        early_stopping: false,
    });
    let stoppers = STOPPERS.iter().map(|row| Info {
        name: row.name,
        summary: row.summary,
        settings: row.settings,
        features: Vec::new(),
        source: row.source,
        early_stopping: true,
    });
    samplers.chain(stoppers).collect()
}

/// Makes what answers for a study, if its algorithms exist, accept their settings and can search its space.
///
/// # Errors
/// Every reason why not.
pub fn build(study: &Study) -> Result<Engine, Vec<SettingsError>> {
    let mut errors = Vec::new();
    let sampler = sampler(study).map_err(|found| errors.extend(found)).ok();
    let scheduler = scheduler(study).map_err(|found| errors.push(found)).ok();
    match (sampler, scheduler) {
        (Some(sampler), Some(scheduler)) => Ok(Engine { sampler, scheduler }),
        _ => Err(errors),
    }
}

/// Which of these samplers and stoppers there are not, with those that may be meant.
pub fn unknown<'a>(
    samplers: impl Iterator<Item = &'a str>,
    stoppers: impl Iterator<Item = &'a str>,
) -> Vec<SettingsError> {
    let samplers = samplers.filter(|name| Row::find(name).is_none()).map(no_sampler);
    let stoppers = stoppers.filter(|name| STOPPERS.iter().all(|row| row.name != *name)).map(no_stopper);
    samplers.chain(stoppers).collect()
}

/// What should be said of a study that is accepted: settings passed over, limits met, parts not offered.
pub fn warnings(study: &Study) -> Vec<String> {
    let row = Row::find(&study.algorithm.name);
    let of_row = row.map(|row| warnings::of(row, study)).unwrap_or_default();
    of_row.into_iter().chain(warnings::brackets(study)).collect()
}

/// Whether taking in a history costs so much that what came of it is worth holding.
pub(crate) fn learns_slowly(study: &Study) -> bool {
    Row::find(&study.algorithm.name).is_some_and(|row| row.slow)
}

/// What the scheduler of a study wants to hear of trials while they run; `None` if it judges none of those.
pub fn watch(study: &Study) -> Option<Watch> {
    scheduler(study).ok().flatten()?.watch()
}

/// Whether trials of a study may begin from checkpoints: of others, or of their own from before they waited.
pub fn keeps_checkpoints(study: &Study) -> bool {
    copies(study) || watch(study).is_some_and(|watch| watch.pauses)
}

/// Whether trials of a study may begin from checkpoints of others that have ended: of a member of a population its newest turn.
pub fn copies(study: &Study) -> bool {
    Row::find(&study.algorithm.name).is_some_and(|row| row.copies)
}

fn sampler(study: &Study) -> Result<Box<dyn Sampler>, Vec<SettingsError>> {
    let row = Row::find(&study.algorithm.name).ok_or_else(|| vec![no_sampler(&study.algorithm.name)])?;
    let mut errors: Vec<SettingsError> = refusals(row, study).collect();
    match row.sampler(study) {
        Ok(sampler) if errors.is_empty() => return Ok(sampler),
        Ok(_) => {}
        Err(error) => errors.push(error),
    }
    Err(errors)
}

fn scheduler(study: &Study) -> Result<Option<Box<dyn Scheduler>>, SettingsError> {
    let Some(wanted) = &study.early_stopping else { return Ok(None) };
    match Stopper::find(&wanted.name) {
        Some(Stopper { make, .. }) => make(study).map(Some),
        None => Err(no_stopper(&wanted.name)),
    }
}

/// What a study asks of an algorithm that cannot do it.
fn refusals<'a>(row: &'a Row, study: &Study) -> impl Iterator<Item = SettingsError> + 'a {
    let lacking = Feature::needs(study).into_iter().filter(|need| row.can(*need) == Can::No);
    lacking.map(|need| SettingsError::Unsuited {
        algorithm: row.name.into(),
        problem: format!("it cannot do {}; use {}", need.plural(), able(need)),
    })
}

/// Samplers that can do something, as a list for people.
fn able(need: Feature) -> String {
    let able = SAMPLERS.iter().filter(|row| row.can(need) != Can::No);
    able.map(|row| format!("`{}`", row.name)).collect::<Vec<_>>().join(", ")
}

fn no_sampler(name: &str) -> SettingsError {
    nothing_of(name, SAMPLERS.iter().map(|row| row.name))
}

fn no_stopper(name: &str) -> SettingsError {
    nothing_of(name, STOPPERS.iter().map(|row| row.name))
}

fn nothing_of<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> SettingsError {
    let known: Vec<&str> = known.collect();
    let nearest = known.iter().map(|other| (distance(name, other), *other)).min().filter(|(d, _)| *d <= 3);
    let hint = match nearest {
        Some((_, nearest)) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", known.join(", ")),
    };
    SettingsError::UnknownAlgorithm { name: name.into(), hint }
}

/// Edit distance after Levenshtein.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use study::{Algorithm, Direction, Distribution, Domain, Objective, Parameter, Space};

    use super::*;

    fn parameter(name: &str, domain: Domain) -> Parameter {
        Parameter { name: name.into(), domain, when: vec![], default: None, prior: None }
    }

    fn float(name: &str) -> Parameter {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        parameter(name, domain)
    }

    fn categorical(name: &str) -> Parameter {
        parameter(name, Domain::Categorical { choices: vec!["a".into(), "b".into()], ordered: false })
    }

    fn study(algorithm: &str, settings: &[(&str, &str)]) -> Study {
        let epochs = Domain::Int { min: 1, max: 9, step: 1, distribution: Distribution::Uniform };
        let parameters = vec![float("x"), float("y"), parameter("epochs", epochs)];
        let operation = study::OperationSpec { kind: "skip_connection".into(), parameters: vec![] };
        let network = study::NetworkSpec { n_layers: 2, operations: vec![operation], ..Default::default() };
        let space = match algorithm {
            "enas" | "bananas" | "nas-evolution" | "nas-local-search" => {
                Space::chain(network.chain().unwrap())
            }
            "darts" => Space::one_shot(&network, &[]),
            _ => Space::new(parameters, vec![]),
        };
        Study {
            name: "s".into(),
            space: space.unwrap(),
            objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize, goal: None }],
            algorithm: algorithms::settings::algorithm(algorithm, settings),
            early_stopping: None,
            seed: 1,
            max_trials: Some(10),
            parallel: 9,
            expense: None,
        }
    }

    fn errors(study: &Study) -> Vec<String> {
        build(study).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    /// What a sampler needs to be made at all.
    fn needed(name: &str) -> Vec<(&'static str, &'static str)> {
        let halving = matches!(name, "hyperband" | "asha");
        if halving { vec![("r_l", "9"), ("resource_name", "epochs")] } else { vec![] }
    }

    #[test]
    fn the_table_of_settings_is_what_each_algorithm_reads() {
        for row in SAMPLERS {
            let mut study = study(row.name, &needed(row.name));
            assert_eq!(errors(&study), [""; 0], "{}", row.name);
            study.algorithm.settings.insert("no_such_setting".into(), "1".into());
            let mut expected: Vec<&str> = row.settings.iter().map(|(name, ..)| *name).collect();
            expected.sort_unstable();
            if row.lenient {
                assert_eq!(errors(&study), [""; 0]);
                assert!(warnings(&study).iter().any(|warning| warning.contains("`no_such_setting`")));
            }
            let refused = (row.make)(&study).err().unwrap().to_string();
            let mut known: Vec<&str> = refused.split("it knows ").nth(1).unwrap().split(", ").collect();
            known.sort_unstable();
            assert_eq!(known, expected, "{}", row.name);
        }
    }

    #[test]
    fn cells_that_are_too_large_are_refused_by_the_name_of_their_parameter() {
        let space = Space::new(vec![categorical("edge_0_2000000000")], vec![]).unwrap();
        for name in ["bananas", "nas-evolution", "nas-local-search"] {
            let refused = errors(&Study { space: space.clone(), ..study(name, &[]) });
            assert_eq!(refused.len(), 1, "{refused:?}");
            assert!(
                refused[0].contains("parameter `edge_0_2000000000` is of node 2000000000"),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn what_searches_architectures_takes_no_continuum() {
        let wanted = Study { space: study("random", &[]).space, ..study("bananas", &[]) };
        let refused = errors(&wanted);
        assert!(refused[0].contains("it cannot do float parameters; use"), "{refused:?}");
    }

    #[test]
    fn edges_that_make_no_cells_are_said() {
        let of = |names: &[&str]| {
            let space = Space::new(names.iter().map(|name| categorical(name)).collect(), vec![]).unwrap();
            warnings(&Study { space, ..study("bananas", &[]) })
        };
        assert_eq!(of(&["block", "head"]), [""; 0]);
        assert!(of(&["edge_0_1", "edge_0_2"])[0].contains("as choices, not as cells"));
    }

    #[test]
    fn the_table_of_rules_is_what_each_reads() {
        for row in STOPPERS {
            let mut study = study("random", &[]);
            let needed = [("r_l", "27"), ("value", "0.5")];
            let needed =
                needed.into_iter().filter(|(name, _)| row.settings.iter().any(|(known, ..)| known == name));
            let mut rule = algorithms::settings::algorithm(row.name, &needed.collect::<Vec<_>>());
            for (name, default, _) in row.settings.iter().filter(|(_, default, _)| !default.contains('/')) {
                rule.settings.entry((*name).into()).or_insert_with(|| (*default).into());
            }
            study.early_stopping = Some(rule.clone());
            assert_eq!(errors(&study), [""; 0], "{}", row.name);
            rule.settings.insert("no_such_setting".into(), "1".into());
            study.early_stopping = Some(rule);
            let refused = errors(&study).pop().unwrap();
            let mut known: Vec<&str> = refused.split("it knows ").nth(1).unwrap().split(", ").collect();
            let mut expected: Vec<&str> = row.settings.iter().map(|(name, ..)| *name).collect();
            known.sort_unstable();
            expected.sort_unstable();
            assert_eq!(known, expected, "{}", row.name);
        }
    }

    #[test]
    fn who_judges_trials_that_run_says_where_and_who_needs_checkpoints_is_known() {
        let mut wanted = study("tpe", &[]);
        let mut under = |name: &str, settings: &[(&str, &str)]| {
            wanted.early_stopping = Some(algorithms::settings::algorithm(name, settings));
            (watch(&wanted).map(|watch| watch.steps), keeps_checkpoints(&wanted))
        };
        let rungs = Some(vec![1, 3, 9, 28]);
        assert_eq!(under("asha", &[("r_l", "27")]), (rungs.clone(), false));
        assert_eq!(under("asha", &[("r_l", "27"), ("form", "promote")]), (rungs.clone(), true));
        assert_eq!(under("hyperband", &[("r_l", "27")]), (rungs, true));
        assert_eq!(under("patience", &[]), (Some(vec![]), false));
        assert_eq!(under("percentile", &[]), (None, false), "whoever watches a trial applies its rules");
        assert!(keeps_checkpoints(&study("pbt", &[])) && !keeps_checkpoints(&study("tpe", &[])));
        assert!(
            copies(&study("pbt", &[])) && !copies(&wanted),
            "a scheduler lets trials go on, and copies none"
        );
    }

    #[test]
    fn defaults_in_the_table_are_accepted() {
        for row in SAMPLERS {
            for (name, default, _) in row.settings {
                let mut settings = needed(row.name);
                settings.push((name, default));
                if !default.is_empty() && !["spec.seed", "n_EI_candidates"].contains(default) {
                    assert_eq!(errors(&study(row.name, &settings)), [""; 0], "{} {name}", row.name);
                }
            }
        }
    }

    #[test]
    fn a_study_without_an_algorithm_and_one_by_another_name_are_served() {
        assert!(build(&study("", &[])).is_ok());
        assert!(build(&study("gp", &[])).is_ok());
        assert_eq!(errors(&study("ramdom", &[])), ["unknown algorithm `ramdom`; did you mean `random`?"]);
    }

    #[test]
    fn early_stopping_comes_from_the_registry() {
        let mut wanted = study("random", &[]);
        wanted.early_stopping = Some(Algorithm { name: "medianstop".into(), ..Default::default() });
        assert!(build(&wanted).unwrap().scheduler.is_some());
        wanted.early_stopping = Some(Algorithm { name: "medianstopp".into(), ..Default::default() });
        wanted.algorithm.name = "simulated-annealing".into();
        let errors = errors(&wanted);
        assert_eq!(errors.len(), 2, "both are named: {errors:?}");
        assert!(errors[1].contains("did you mean `medianstop`?"));
    }

    #[test]
    fn what_is_accepted_with_a_limit_is_said() {
        let grid = warnings(&study("grid", &[]));
        assert_eq!(grid, ["algorithm `grid`: float parameters: 10 points each"]);
        let mut mixed = study("cmaes", &[("sigma", "5")]);
        mixed.space = Space::new(vec![float("x"), float("y"), categorical("c")], vec![]).unwrap();
        let said = warnings(&mixed);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("1 is used instead of 5"), "{said:?}");
        let forest = [("base_estimator", "RF"), ("acq_func", "gp_hedge"), ("acq_optimizer", "lbfgs")];
        let said = warnings(&study("bayesianoptimization", &forest));
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(errors(&study("bayesianoptimization", &forest)), [""; 0]);
        assert_eq!(warnings(&study("bayesianoptimization", &[("acq_func", "EI")])), [""; 0]);
    }

    #[test]
    fn a_resource_beyond_its_parameter_and_few_trials_at_once_are_said() {
        let mut short = study("hyperband", &[("r_l", "27"), ("resource_name", "epochs"), ("s_max", "3")]);
        short.parallel = 3;
        let said = warnings(&short);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("`s_max`"), "{said:?}");
        assert!(said[1].contains("27 of `epochs`") && said[2].contains("at least 27"), "{said:?}");
        assert!(build(&short).is_ok());
        short.algorithm.name = "asha".into();
        short.algorithm.settings.remove("s_max");
        let said = warnings(&short);
        assert!(said.iter().any(|text| text.contains("27 of `epochs`")), "{said:?}");
        assert!(
            !said.iter().any(|text| text.contains("parallelTrialCount")),
            "asha waits for none: {said:?}"
        );
    }

    #[test]
    fn the_nearest_name_is_offered() {
        let error = nothing_of("ramdom", ["random", "grid"].into_iter());
        assert_eq!(error.to_string(), "unknown algorithm `ramdom`; did you mean `random`?");
        let error = nothing_of("simulated-annealing", ["random", "grid"].into_iter());
        assert_eq!(error.to_string(), "unknown algorithm `simulated-annealing`; there are random, grid");
    }
}
