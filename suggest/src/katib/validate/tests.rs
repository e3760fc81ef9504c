use super::*;

fn setting(name: &str, value: &str) -> wire::AlgorithmSetting {
    wire::AlgorithmSetting { name: name.into(), value: value.into() }
}

fn double(name: &str, min: &str, max: &str, step: &str) -> wire::ParameterSpec {
    let space =
        wire::FeasibleSpace { min: min.into(), max: max.into(), step: step.into(), ..Default::default() };
    wire::ParameterSpec {
        name: name.into(),
        parameter_type: wire::ParameterType::Double.into(),
        feasible_space: Some(space),
    }
}

fn int(name: &str, min: &str, max: &str, step: &str) -> wire::ParameterSpec {
    wire::ParameterSpec { parameter_type: wire::ParameterType::Int.into(), ..double(name, min, max, step) }
}

fn named(name: &str, list: &[&str]) -> wire::ParameterSpec {
    let list = list.iter().map(|text| (*text).to_owned()).collect();
    wire::ParameterSpec {
        name: name.into(),
        parameter_type: wire::ParameterType::Categorical.into(),
        feasible_space: Some(wire::FeasibleSpace { list, ..Default::default() }),
    }
}

/// An experiment with two doubles, a step, five places and these settings.
fn spec(algorithm: &str, settings: &[(&str, &str)]) -> wire::ExperimentSpec {
    let parameters = vec![double("lr", "0.1", "0.5", "0.1"), double("momentum", "0", "1", "0.5")];
    wire::ExperimentSpec {
        parameter_specs: Some(wire::experiment_spec::ParameterSpecs { parameters }),
        algorithm: Some(wire::AlgorithmSpec {
            algorithm_name: algorithm.into(),
            algorithm_settings: settings.iter().map(|(name, value)| setting(name, value)).collect(),
        }),
        parallel_trial_count: 9,
        max_trial_count: 12,
        ..Default::default()
    }
}

fn check(spec: wire::ExperimentSpec) -> Result<(), String> {
    experiment(&wire::Experiment { name: "e".into(), spec: Some(spec) })
}

fn with(parameters: Vec<wire::ParameterSpec>, spec: wire::ExperimentSpec) -> wire::ExperimentSpec {
    wire::ExperimentSpec {
        parameter_specs: Some(wire::experiment_spec::ParameterSpecs { parameters }),
        ..spec
    }
}

/// Each line: algorithm, setting, value, what is said; empty: nothing.
const TEXTS: &[(&str, &str, &str, &str)] = &[
    ("random", "random_state", "7", ""),
    ("random", "random_state", "-1", "random_state should be great or equal than zero"),
    ("random", "gamma", "0.5", "unknown setting gamma for algorithm random"),
    (
        "random",
        "random_state",
        "x",
        "failed to validate random_state(x): invalid literal for int() with base 10: 'x'",
    ),
    ("tpe", "gamma", "0.25", ""),
    ("tpe", "gamma", "1", "gamma should be in the range of (0, 1)"),
    ("tpe", "gamma", "0", "gamma should be in the range of (0, 1)"),
    ("tpe", "gamma", "nan", "gamma should be in the range of (0, 1)"),
    ("tpe", "gamma", "a", "failed to validate gamma(a): could not convert string to float: 'a'"),
    ("tpe", "prior_weight", "0", "prior_weight should be great than zero"),
    ("tpe", "n_EI_candidates", "0", "n_EI_candidates should be great than zero"),
    (
        "tpe",
        "n_EI_candidates",
        "2.0",
        "failed to validate n_EI_candidates(2.0): invalid literal for int() with base 10: '2.0'",
    ),
    ("tpe", "random_state", "-1", "random_state should be great or equal than zero"),
    ("tpe", "sigma", "1", "unknown setting sigma for algorithm tpe"),
    ("multivariate-tpe", "n_startup_trials", "-1", "n_startup_trials should be greate or equal than zero"),
    ("multivariate-tpe", "n_ei_candidates", "-1", "n_ei_candidates should be greate or equal than zero"),
    ("multivariate-tpe", "n_ei_candidates", "0", ""),
    ("multivariate-tpe", "random_state", "-1", "random_state should be greate or equal than zero"),
    ("multivariate-tpe", "gamma", "0.5", "unknown setting gamma for algorithm multivariate-tpe"),
    ("grid", "random_state", "-1", "random_state should be greate or equal than zero"),
    ("grid", "step", "1", "unknown setting step for algorithm grid"),
    (
        "bayesianoptimization",
        "base_estimator",
        "GPR",
        "base_estimator GPR is not supported in Bayesian optimization",
    ),
    ("bayesianoptimization", "base_estimator", "RF", ""),
    ("bayesianoptimization", "n_initial_points", "-1", "n_initial_points should be great or equal than zero"),
    ("bayesianoptimization", "acq_func", "UCB", "acq_func UCB is not supported in Bayesian optimization"),
    ("bayesianoptimization", "acq_func", "gp_hedge", ""),
    (
        "bayesianoptimization",
        "acq_optimizer",
        "adam",
        "acq_optimizer adam is not supported in Bayesian optimization",
    ),
    ("bayesianoptimization", "random_state", "-1", "random_state should be great or equal than zero"),
    ("bayesianoptimization", "xi", "1", "unknown setting xi for algorithm bayesianoptimization"),
    ("sobol", "anything", "goes", ""),
    ("cmaes", "anything", "goes", ""),
    ("cmaes", "restart_strategy", "bipop", ""),
    ("cmaes", "restart_strategy", "spop", "restart_strategy spop is not supported in CMAES optimization"),
    ("cmaes", "sigma", "-0.1", "sigma should be greate or equal than zero"),
    (
        "cmaes",
        "sigma",
        "wide",
        "Failed to create goptuna study and search space: could not convert string to float: 'wide'",
    ),
    (
        "cmaes",
        "random_state",
        "x",
        "Failed to create goptuna study and search space: invalid literal for int() with base 10: 'x'",
    ),
    ("hyperband", "r_l", "9", "r_l and resource_name must be set."),
    ("", "", "", "unknown algorithm name "),
    ("annealing", "", "", "unknown algorithm name annealing"),
    ("pbt", "", "", "algorithm `pbt` is not built into this suggestion service yet"),
    ("enas", "", "", "Missing InputSizes in GraphConfig:\n"),
];

#[test]
fn settings_are_refused_in_the_words_of_katib() {
    for (algorithm, name, value, text) in TEXTS {
        let settings: &[(&str, &str)] = if name.is_empty() { &[] } else { &[(*name, *value)] };
        let said = check(spec(algorithm, settings)).err().unwrap_or_default();
        assert_eq!(said, *text, "{algorithm} {name}={value}");
    }
}

#[test]
fn a_grid_needs_steps_and_no_more_trials_than_points() {
    let parameters = || {
        vec![
            int("units", "1", "10", "3"),
            int("layers", "1", "2", ""),
            double("lr", "0.1", "0.3", "0.1"),
            named("opt", &["sgd", "adam"]),
        ]
    };
    let trials = |n| wire::ExperimentSpec { max_trial_count: n, ..with(parameters(), spec("grid", &[])) };
    assert_eq!(check(trials(48)), Ok(()));
    assert_eq!(check(trials(49)).unwrap_err(), "Max Trial Count: 49 > all possible search combinations: 48");
    let stepless = with(vec![double("lr", "0", "1", ""), named("opt", &["a"])], spec("grid", &[]));
    assert_eq!(
        check(stepless).unwrap_err(),
        "failed to validate parameters(lr, opt): Param lr step is nil; For discrete search space, all parameters \
         must include step"
    );
}

#[test]
fn a_grid_has_the_points_of_a_range() {
    let values = |spec| grid_values(&spec).unwrap();
    assert_eq!(values(int("i", "1", "10", "4")), 3);
    assert_eq!(values(int("i", "5", "1", "")), 0);
    assert_eq!(values(double("x", "0", "1", "0.3")), 4);
    assert_eq!(values(double("x", "1", "0", "0.25")), 0);
    assert!(grid_values(&int("i", "1", "2", "0")).is_err());
    assert!(grid_values(&double("x", "0", "1", "0")).is_err());
}

#[test]
fn goptunas_algorithms_look_at_the_space() {
    assert_eq!(
        check(with(vec![double("a", "0", "1", ""), double("a", "0", "1", "")], spec("sobol", &[])))
            .unwrap_err(),
        "Detect duplicated parameter name: a"
    );
    let twice = || with(vec![double("a", "0", "1", ""), int("a", "0", "1", "")], spec("cmaes", &[]));
    assert_eq!(check(twice()).unwrap_err(), "Detect duplicated parameter name: a");
    let one = with(vec![double("a", "0", "1", ""), named("b", &["x"])], spec("cmaes", &[]));
    assert_eq!(
        check(one).unwrap_err(),
        "CMA-ES only supports two or more dimensional continuous search space."
    );
}

#[test]
fn hyperband_wants_its_settings_its_places_and_its_parameter() {
    let told = |r_l: &str, eta: &str, resource: &str| {
        check(spec("hyperband", &[("r_l", r_l), ("eta", eta), ("resource_name", resource)]))
            .err()
            .unwrap_or_default()
    };
    assert_eq!(told("9", "3", "lr"), "");
    assert_eq!(told("9", "-1", "lr"), "");
    assert_eq!(told("x", "3", "lr"), "r_l must be a positive float number.");
    assert_eq!(told("-1", "3", "lr"), "r_l must be a positive float number.");
    assert_eq!(told("81", "3", "lr"), "parallelTrialCount must be not less than 81.");
    assert_eq!(told("9", "3", "epochs"), "value of resource_name setting must be in parameters.");
    assert!(told("9", "1", "lr").contains("they make no brackets"));
    assert!(told("0", "3", "lr").contains("they make no brackets"));
}

#[test]
fn median_stop_speaks_as_katibs() {
    let check = |algorithm: &str, name: &str, value: &str| {
        let setting = wire::EarlyStoppingSetting { name: name.into(), value: value.into() };
        let spec =
            wire::EarlyStoppingSpec { algorithm_name: algorithm.into(), algorithm_settings: vec![setting] };
        early_stopping(&spec).err().unwrap_or_default()
    };
    assert_eq!(check("medianstop", "start_step", "1"), "");
    assert_eq!(
        check("medianstop", "min_trials_required", "0"),
        "min_trials_required must be greater than zero (>0)"
    );
    assert_eq!(check("medianstop", "start_step", "0"), "start_step must be greater or equal than one (>=1)");
    assert_eq!(check("medianstop", "eta", "3"), "unknown setting eta for algorithm medianstop");
    assert_eq!(
        check("medianstop", "start_step", "x"),
        "failed to validate start_step(x): invalid literal for int() with base 10: 'x'"
    );
    assert_eq!(check("meanstop", "start_step", "1"), "unknown algorithm name meanstop");
}

#[test]
fn settings_reach_the_registry_as_it_reads_them() {
    let algorithm = |name: &str, settings: &[(&str, &str)]| wire::AlgorithmSpec {
        algorithm_name: name.into(),
        algorithm_settings: settings.iter().map(|(name, value)| setting(name, value)).collect(),
    };
    let tpe = algorithm("tpe", &[("gamma", " 2_5e-2"), ("n_ei_candidates", "0"), ("random_state", "3")]);
    let usable: Vec<(String, String)> = usable(&tpe).into_iter().collect();
    let wanted = [("gamma", "0.25"), ("n_ei_candidates", "1")];
    assert_eq!(usable, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(super::usable(&algorithm("sobol", &[("anything", "goes")])).is_empty());
}
