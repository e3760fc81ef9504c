//! What Katib's services refuse, in their words.
//!
//! Where several services of Katib bear one name (`tpe`, `cmaes`), what any of them takes is taken. What they overlook
//! and no search can live with (an empty list, min above max) is refused in ours.

use std::collections::{BTreeMap, BTreeSet};

use proto::katib as wire;

use super::{nas, python};

/// What a setting must be.
enum Must {
    /// A whole number that passes.
    Int(fn(i128) -> bool),
    /// A number that passes.
    Float(fn(f64) -> bool),
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// A setting: its name, what it must be, and what is said if it is not, with `{}` for the value.
type Setting = (&'static str, Must, &'static str);

/// What an algorithm of Katib may be told.
struct Rules {
    settings: &'static [Setting],
    /// Whether a setting that is not listed is passed over.
    lenient: bool,
    /// What precedes the reason why a number cannot be read; `None`: the name and value of the setting.
    unreadable: Option<&'static str>,
}

const RANDOM_STATE: Setting =
    ("random_state", Must::Int(|x| x >= 0), "random_state should be great or equal than zero");
const RANDOM_STATE_OF_OPTUNA: Setting =
    ("random_state", Must::Int(|x| x >= 0), "random_state should be greate or equal than zero");
const N_STARTUP_TRIALS: Setting =
    ("n_startup_trials", Must::Int(|x| x >= 0), "n_startup_trials should be greate or equal than zero");
const N_EI_CANDIDATES: Setting =
    ("n_ei_candidates", Must::Int(|x| x >= 0), "n_ei_candidates should be greate or equal than zero");

const RANDOM: &[Setting] = &[RANDOM_STATE];
const TPE: &[Setting] = &[
    ("gamma", Must::Float(|x| x > 0.0 && x < 1.0), "gamma should be in the range of (0, 1)"),
    ("prior_weight", Must::Float(|x| x > 0.0), "prior_weight should be great than zero"),
    ("n_EI_candidates", Must::Int(|x| x > 0), "n_EI_candidates should be great than zero"),
    RANDOM_STATE,
    N_STARTUP_TRIALS,
    N_EI_CANDIDATES,
];
const MULTIVARIATE_TPE: &[Setting] = &[N_STARTUP_TRIALS, N_EI_CANDIDATES, RANDOM_STATE_OF_OPTUNA];
const GRID: &[Setting] = &[RANDOM_STATE_OF_OPTUNA];
const BAYESIAN: &[Setting] = &[
    (
        "base_estimator",
        Must::OneOf(&["GP", "RF", "ET", "GBRT"]),
        "base_estimator {} is not supported in Bayesian optimization",
    ),
    ("n_initial_points", Must::Int(|x| x >= 0), "n_initial_points should be great or equal than zero"),
    (
        "acq_func",
        Must::OneOf(&["gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"]),
        "acq_func {} is not supported in Bayesian optimization",
    ),
    (
        "acq_optimizer",
        Must::OneOf(&["auto", "sampling", "lbfgs"]),
        "acq_optimizer {} is not supported in Bayesian optimization",
    ),
    RANDOM_STATE,
];
const CMAES: &[Setting] = &[
    ("random_state", Must::Int(|_| true), ""),
    ("sigma", Must::Float(|x| x >= 0.0), "sigma should be greate or equal than zero"),
    (
        "restart_strategy",
        Must::OneOf(&["ipop", "bipop", "none", "None", ""]),
        "restart_strategy {} is not supported in CMAES optimization",
    ),
];
const HYPERBAND: &[Setting] = &[
    ("r_l", Must::Float(|x| x >= 0.0), "r_l must be a positive float number."),
    ("eta", Must::Float(|_| true), ""),
    ("resource_name", Must::OneOf(&[]), ""),
];
/// What precedes the reason why Katib's Go service cannot begin.
const GOPTUNA: &str = "Failed to create goptuna study and search space";

/// The rules of an algorithm of Katib's; `None` for those that are Cairn's own.
fn rules(algorithm: &str) -> Option<Rules> {
    let strict = |settings| Some(Rules { settings, lenient: false, unreadable: None });
    let goptuna = |settings| Some(Rules { settings, lenient: true, unreadable: Some(GOPTUNA) });
    match algorithm {
        "random" => strict(RANDOM),
        "tpe" => strict(TPE),
        "multivariate-tpe" => strict(MULTIVARIATE_TPE),
        "grid" => strict(GRID),
        "bayesianoptimization" => strict(BAYESIAN),
        "cmaes" => goptuna(CMAES),
        "sobol" => goptuna(&[]),
        "hyperband" => Some(Rules { settings: HYPERBAND, lenient: true, unreadable: None }),
        _ => None,
    }
}

/// Rules of early stopping: its settings.
const MEDIANSTOP: &[Setting] = &[
    ("min_trials_required", Must::Int(|x| x > 0), "min_trials_required must be greater than zero (>0)"),
    ("start_step", Must::Int(|x| x >= 1), "start_step must be greater or equal than one (>=1)"),
];

/// Checks the experiment as the service of its algorithm does.
///
/// # Errors
/// The first thing that it refuses.
pub(super) fn experiment(experiment: &wire::Experiment) -> Result<(), String> {
    let empty = wire::ExperimentSpec::default();
    let spec = experiment.spec.as_ref().unwrap_or(&empty);
    let algorithm = spec.algorithm.clone().unwrap_or_default();
    let name = algorithm.algorithm_name.as_str();
    is_built(experiment)?;
    match name {
        "hyperband" => return hyperband(spec, &algorithm),
        "enas" | "darts" => return nas::check(spec, &algorithm),
        _ => {}
    }
    if let Some(rules) = rules(name) {
        for setting in &algorithm.algorithm_settings {
            rules.check(name, &setting.name, &setting.value)?;
        }
    }
    match name {
        "cmaes" => cmaes(spec).and_then(|()| distinct(spec)),
        "sobol" => distinct(spec),
        "grid" => grid(spec),
        _ => Ok(()),
    }
}

/// Whether there is such an algorithm here.
///
/// # Errors
/// If there is none, or not yet.
pub(super) fn is_built(experiment: &wire::Experiment) -> Result<(), String> {
    let spec = experiment.spec.as_ref();
    let name =
        spec.and_then(|spec| Some(spec.algorithm.as_ref()?.algorithm_name.as_str())).unwrap_or_default();
    let known = crate::registry::list();
    // This wire hands no checkpoint from trial to trial, without which `pbt` is nothing.
    if name == "pbt" {
        return Err(format!("algorithm `{name}` is not built into this suggestion service yet"));
    }
    if name.is_empty() || !known.iter().any(|info| info.name == name && !info.early_stopping) {
        return Err(format!("unknown algorithm name {name}"));
    }
    Ok(())
}

/// Checks the settings of early stopping.
///
/// # Errors
/// The first thing that is refused.
pub(super) fn early_stopping(spec: &wire::EarlyStoppingSpec) -> Result<(), String> {
    let name = spec.algorithm_name.as_str();
    if name != "medianstop" {
        return Err(format!("unknown algorithm name {name}"));
    }
    let rules = Rules { settings: MEDIANSTOP, lenient: false, unreadable: None };
    let mut settings = spec.algorithm_settings.iter();
    settings.try_for_each(|setting| rules.check(name, &setting.name, &setting.value))
}

/// The settings that the registry's algorithm of this name is told, as it reads them. What only Katib's has is left
/// out, and so is the seed.
pub(super) fn usable(algorithm: &wire::AlgorithmSpec) -> BTreeMap<String, String> {
    let name = algorithm.algorithm_name.as_str();
    let written = algorithm.algorithm_settings.iter().filter(|setting| setting.name != "random_state");
    let Some(rules) = rules(name) else {
        return written.map(|setting| (setting.name.clone(), setting.value.clone())).collect();
    };
    let mut settings = BTreeMap::new();
    for wire::AlgorithmSetting { name: setting, value } in written {
        match rules.find(setting) {
            None => tracing::warn!(algorithm = name, setting, "the setting means nothing here"),
            Some((_, must, _)) => {
                settings.insert(setting.clone(), plain(setting, must, value));
            }
        }
    }
    settings
}

/// A value as Rust reads it. No candidates at all is taken for one.
fn plain(name: &str, must: &Must, value: &str) -> String {
    match must {
        Must::Int(_) => {
            python::int(value).map(|x| if name == "n_ei_candidates" { x.max(1) } else { x }.to_string())
        }
        Must::Float(_) => python::float(value).map(|x| x.to_string()),
        Must::OneOf(_) => Ok(value.to_owned()),
    }
    .unwrap_or_else(|_| value.to_owned())
}

impl Rules {
    fn find(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|(known, ..)| *known == name)
    }

    fn check(&self, algorithm: &str, name: &str, value: &str) -> Result<(), String> {
        let Some((_, must, refusal)) = self.find(name) else {
            return if self.lenient {
                Ok(())
            } else {
                Err(format!("unknown setting {name} for algorithm {algorithm}"))
            };
        };
        let passes = match must {
            Must::Int(passes) => python::int(value).map(passes),
            Must::Float(passes) => python::float(value).map(passes),
            Must::OneOf(known) => Ok(known.contains(&value)),
        };
        match passes {
            Ok(true) => Ok(()),
            Ok(false) => Err(refusal.replace("{}", value)),
            Err(exception) => match self.unreadable {
                Some(what) => Err(format!("{what}: {exception}")),
                None => Err(format!("failed to validate {name}({value}): {exception}")),
            },
        }
    }
}

fn parameters(spec: &wire::ExperimentSpec) -> &[wire::ParameterSpec] {
    spec.parameter_specs.as_ref().map_or(&[], |specs| &specs.parameters)
}

fn cmaes(spec: &wire::ExperimentSpec) -> Result<(), String> {
    use wire::ParameterType::{Double, Int};
    let numbers = parameters(spec).iter().filter(|p| matches!(p.parameter_type(), Double | Int)).count();
    if numbers >= 2 {
        return Ok(());
    }
    Err("CMA-ES only supports two or more dimensional continuous search space.".into())
}

fn distinct(spec: &wire::ExperimentSpec) -> Result<(), String> {
    let mut names = BTreeSet::new();
    match parameters(spec).iter().find(|parameter| !names.insert(&parameter.name)) {
        None => Ok(()),
        Some(twice) => Err(format!("Detect duplicated parameter name: {}", twice.name)),
    }
}

fn grid(spec: &wire::ExperimentSpec) -> Result<(), String> {
    let mut combinations: u128 = 1;
    for parameter in parameters(spec) {
        let values = grid_values(parameter).map_err(|problem| {
            let names: Vec<&str> = parameters(spec).iter().map(|p| p.name.as_str()).collect();
            format!("failed to validate parameters({}): {problem}", names.join(", "))
        })?;
        combinations = combinations.saturating_mul(values);
    }
    match spec.max_trial_count {
        n if n > 0 && n as u128 > combinations => {
            Err(format!("Max Trial Count: {n} > all possible search combinations: {combinations}"))
        }
        _ => Ok(()),
    }
}

/// How many values of a parameter a grid has.
fn grid_values(parameter: &wire::ParameterSpec) -> Result<u128, String> {
    let empty = wire::FeasibleSpace::default();
    let space = parameter.feasible_space.as_ref().unwrap_or(&empty);
    match parameter.parameter_type() {
        wire::ParameterType::Int => {
            let step = if space.step.is_empty() { 1 } else { python::int(&space.step)? };
            let (min, max) = (python::int(&space.min)?, python::int(&space.max)?);
            if step == 0 {
                return Err("range() arg 3 must not be zero".into());
            }
            Ok(max.saturating_sub(min).div_euclid(step).saturating_add(1).max(0) as u128)
        }
        wire::ParameterType::Double if space.step.is_empty() => Err(format!(
            "Param {} step is nil; For discrete search space, all parameters must include step",
            parameter.name
        )),
        wire::ParameterType::Double => {
            let (min, max) = (python::float(&space.min)?, python::float(&space.max)?);
            let step = python::float(&space.step)?;
            if step == 0.0 {
                return Err("division by zero".into());
            }
            // But for rounding, the last value counts if it is max.
            Ok((((max - min) / step + 1e-9).floor() + 1.0).max(0.0) as u128)
        }
        _ => Ok(space.list.len() as u128),
    }
}

/// Katib's wants its two settings, a place for each trial of its first rung, and a parameter to scale.
fn hyperband(spec: &wire::ExperimentSpec, algorithm: &wire::AlgorithmSpec) -> Result<(), String> {
    let written = algorithm.algorithm_settings.iter().map(|s| (s.name.as_str(), s.value.as_str()));
    let settings: BTreeMap<&str, &str> = written.collect();
    let (Some(r_l), Some(resource)) = (settings.get("r_l"), settings.get("resource_name")) else {
        return Err("r_l and resource_name must be set.".into());
    };
    let r_l = python::float(r_l).ok().filter(|r_l| *r_l >= 0.0);
    let r_l = r_l.ok_or("r_l must be a positive float number.")?;
    let eta = settings.get("eta").map_or(Ok(3.0), |text| {
        python::float(text).map_err(|exception| format!("failed to validate eta({text}): {exception}"))
    })?;
    let eta = if eta.trunc() <= 0.0 { 3.0 } else { eta.trunc() };
    let s_max = (r_l.ln() / eta.ln()).trunc();
    if !s_max.is_finite() {
        return Err(format!("failed to validate r_l({r_l}) with eta({eta}): they make no brackets"));
    }
    let places = eta.powf(s_max).ceil();
    if f64::from(spec.parallel_trial_count) < places {
        return Err(format!("parallelTrialCount must be not less than {places}."));
    }
    if !parameters(spec).iter().any(|parameter| parameter.name == *resource) {
        return Err("value of resource_name setting must be in parameters.".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
