//! Architecture search on Katib's wire: its networks, and what its services of that kind refuse, in their words.

use proto::katib as wire;
use study::{Distribution, Domain, NetworkSpec, OperationSpec, SKIP_CONNECTION, Space};

use super::python;

/// The network of an experiment, if it searches one. One that says nothing beside parameters is none.
pub(super) fn config(spec: &wire::ExperimentSpec) -> Option<&wire::NasConfig> {
    let has_parameters = spec.parameter_specs.as_ref().is_some_and(|specs| !specs.parameters.is_empty());
    spec.nas_config.as_ref().filter(|config| !has_parameters || **config != wire::NasConfig::default())
}

/// The space of a network: one point for DARTS, chains of layers for all others.
///
/// # Errors
/// Everything that keeps an architecture from being drawn.
pub(super) fn space(config: &wire::NasConfig, algorithm: &wire::AlgorithmSpec) -> Result<Space, Vec<String>> {
    let network = network(config)?;
    for kind in network.empty_operations() {
        tracing::warn!(operation = kind, "min is above max, so the operation is passed over");
    }
    let space = if algorithm.algorithm_name == "darts" {
        let settings = algorithm.algorithm_settings.iter();
        let settings: Vec<_> =
            settings.map(|setting| (setting.name.clone(), setting.value.clone())).collect();
        Space::one_shot(&network, &settings)
    } else {
        network.chain().map_err(|error| vec![error]).and_then(Space::chain)
    };
    space.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn network(config: &wire::NasConfig) -> Result<NetworkSpec, Vec<String>> {
    let graph = config.graph_config.clone().unwrap_or_default();
    let (mut operations, mut problems) = (Vec::new(), Vec::new());
    for operation in config.operations.iter().flat_map(|operations| &operations.operation) {
        let mut parameters = Vec::new();
        for spec in self::parameters(operation) {
            match domain(spec) {
                Ok(domain) => parameters.push((spec.name.clone(), domain)),
                Err(problem) => {
                    problems.push(format!("`{}` of `{}`: {problem}", spec.name, operation.operation_type));
                }
            }
        }
        operations.push(OperationSpec { kind: operation.operation_type.clone(), parameters });
    }
    let sizes = |sizes: &[i32]| sizes.iter().copied().map(i64::from).collect();
    let network = NetworkSpec {
        n_layers: usize::try_from(graph.num_layers).unwrap_or(0),
        input_sizes: sizes(&graph.input_sizes),
        output_sizes: sizes(&graph.output_sizes),
        operations,
    };
    if problems.is_empty() { Ok(network) } else { Err(problems) }
}

fn parameters(operation: &wire::Operation) -> &[wire::ParameterSpec] {
    operation.parameter_specs.as_ref().map_or(&[], |specs| &specs.parameters)
}

/// The values that a parameter of an operation may have, in the order written. One step is 1 where none is said.
fn domain(spec: &wire::ParameterSpec) -> Result<Domain, String> {
    let empty = wire::FeasibleSpace::default();
    let space = spec.feasible_space.as_ref().unwrap_or(&empty);
    let distribution = Distribution::Uniform;
    match spec.parameter_type() {
        wire::ParameterType::Int => {
            let whole =
                |text: &str| python::int(text).and_then(|n| i64::try_from(n).map_err(|e| e.to_string()));
            let step = if space.step.is_empty() { 1 } else { whole(&space.step)? };
            if step <= 0 {
                return Err(format!("step {step} must be above 0"));
            }
            Ok(Domain::Int { min: whole(&space.min)?, max: whole(&space.max)?, step, distribution })
        }
        wire::ParameterType::Double => {
            let number = |text: &str| match python::float(text)? {
                x if x.is_finite() => Ok(x),
                x => Err(format!("{x} is not finite")),
            };
            let step = number(&space.step)?;
            if step <= 0.0 {
                return Err(format!("step {step} must be above 0"));
            }
            Ok(Domain::Float {
                min: number(&space.min)?,
                max: number(&space.max)?,
                step: Some(step),
                distribution,
            })
        }
        _ => Ok(Domain::Categorical { choices: space.list.clone(), ordered: false }),
    }
}

/// Checks an experiment as Katib's service of its name does.
///
/// # Errors
/// The first thing that it refuses.
pub(super) fn check(spec: &wire::ExperimentSpec, algorithm: &wire::AlgorithmSpec) -> Result<(), String> {
    let config = spec.nas_config.clone().unwrap_or_default();
    let is_darts = algorithm.algorithm_name == "darts";
    let graph = config.graph_config.clone().unwrap_or_default();
    if !is_darts {
        let missing = [
            (graph.input_sizes.is_empty(), "InputSizes"),
            (graph.output_sizes.is_empty(), "OutputSizes"),
            (graph.num_layers == 0, "NumLayers"),
        ];
        if let Some((_, what)) = missing.iter().find(|(is_missing, _)| *is_missing) {
            return Err(format!("Missing {what} in GraphConfig:\n{}", graph_text(&graph)));
        }
    }
    for operation in config.operations.iter().flat_map(|operations| &operations.operation) {
        check_operation(operation, is_darts)?;
    }
    let settings = algorithm.algorithm_settings.iter();
    let mut settings = settings.map(|setting| (setting.name.as_str(), setting.value.as_str()));
    settings.try_for_each(
        |(name, value)| {
            if is_darts { darts_setting(name, value) } else { enas_setting(name, value) }
        },
    )
}

/// What both services want of an operation. An operation that skips needs no parameters in DARTS: the code that reads them
/// says so, and Katib's own examples rely on it.
fn check_operation(operation: &wire::Operation, is_darts: bool) -> Result<(), String> {
    if operation.operation_type.is_empty() {
        return Err(format!("Missing operationType in Operation:\n{}", operation_text(operation)));
    }
    let parameters = parameters(operation);
    if parameters.is_empty() && !(is_darts && operation.operation_type == SKIP_CONNECTION) {
        return Err(format!("Missing ParameterConfigs in Operation:\n{}", operation_text(operation)));
    }
    for parameter in parameters {
        let whole = || parameter_text(parameter, 0);
        if parameter.name.is_empty() {
            return Err(format!("Missing Name in ParameterConfig:\n{}", whole()));
        }
        let space = parameter.feasible_space.clone().unwrap_or_default();
        let refuse =
            |what: &str| Err(format!("{what} in ParameterConfig.feasibleSpace:\n{}", space_text(&space, 0)));
        let kind = parameter.parameter_type();
        match kind {
            wire::ParameterType::UnknownType => {
                return Err(format!("Missing ParameterType in ParameterConfig:\n{}", whole()));
            }
            wire::ParameterType::Categorical | wire::ParameterType::Discrete => {
                if space.list.is_empty() {
                    return refuse("Missing List");
                }
            }
            wire::ParameterType::Int | wire::ParameterType::Double => {
                if space.min.is_empty() && space.max.is_empty() {
                    return refuse("Missing Max and Min");
                }
                let is_step = !space.step.is_empty() && python::float(&space.step)? > 0.0;
                if kind == wire::ParameterType::Double && !is_step {
                    return refuse("Step parameter should be > 0");
                }
            }
        }
    }
    Ok(())
}

/// Name, whether a whole number, the bound above and whether `None` is taken.
const ENAS: &[(&str, bool, Option<f64>, bool)] = &[
    ("controller_hidden_size", true, None, false),
    ("controller_temperature", false, None, true),
    ("controller_tanh_const", false, None, true),
    ("controller_entropy_weight", false, None, true),
    ("controller_baseline_decay", false, Some(1.0), false),
    ("controller_learning_rate", false, Some(1.0), false),
    ("controller_skip_target", false, Some(1.0), false),
    ("controller_skip_weight", false, None, true),
    ("controller_train_steps", true, None, false),
    ("controller_log_every_steps", true, None, false),
];

fn enas_setting(name: &str, value: &str) -> Result<(), String> {
    if name == "random_state" {
        // Katib's has none; it is the seed of ours.
        return python::int(value)
            .map(|_| ())
            .map_err(|e| format!("failed to validate {name}({value}): {e}"));
    }
    let Some((_, is_whole, high, takes_none)) = ENAS.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("Unknown Algorithm Setting name: {name}"));
    };
    if *takes_none && value == "None" {
        return Ok(());
    }
    let wrong = |kind: &str, exception: String| {
        format!("Algorithm Setting {name} must be {kind} type: exception {exception}")
    };
    if *is_whole {
        let number = python::int(value).map_err(|exception| wrong("int", exception))?;
        let refused = format!("Algorithm Setting {name}: {number} with int type must be in range [1, inf)");
        return if number >= 1 { Ok(()) } else { Err(refused) };
    }
    let number = python::float(value).map_err(|exception| wrong("float", exception))?;
    let (text, bound) = (study::float_text(number), high.map_or("inf".to_owned(), |high| format!("{high}")));
    let refused = format!("Algorithm Setting {name}: {text} with float type must be in range (0, {bound})");
    if number > 0.0 && high.is_none_or(|high| number <= high) { Ok(()) } else { Err(refused) }
}

/// Settings that DARTS does not know are handed to its trials, which may.
fn darts_setting(name: &str, value: &str) -> Result<(), String> {
    let unreadable = |exception| format!("failed to validate {name}({value}): {exception}");
    let least = match name {
        "num_epochs" => {
            let n = python::int(value).map_err(unreadable)?;
            return if n > 0 { Ok(()) } else { Err(format!("{name} should be greater than zero")) };
        }
        "batch_size" if value == "None" => return Ok(()),
        "w_lr" | "w_lr_min" | "alpha_lr" | "w_weight_decay" | "alpha_weight_decay" | "w_momentum"
        | "w_grad_clip" => {
            let x = python::float(value).map_err(unreadable)?;
            return if x >= 0.0 {
                Ok(())
            } else {
                Err(format!("{name} should be greater than or equal to zero"))
            };
        }
        "num_workers" => (0, "zero"),
        "batch_size" | "init_channels" | "print_step" | "num_nodes" | "stem_multiplier" => (1, "one"),
        _ => return Ok(()),
    };
    if python::int(value).map_err(unreadable)? >= least.0 {
        return Ok(());
    }
    Err(format!("{name} should be greater than or equal to {}", least.1))
}

/// A message as Python prints it: only what is set, a line each.
fn lines<'a>(indent: usize, fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let set = fields.into_iter().filter(|(_, text)| !text.is_empty());
    set.map(|(name, text)| format!("{:indent$}{name}: {text}\n", "")).collect()
}

fn block(indent: usize, name: &str, inner: &str) -> String {
    format!("{:indent$}{name} {{\n{inner}{:indent$}}}\n", "", "")
}

fn text(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text:?}") }
}

fn graph_text(graph: &wire::GraphConfig) -> String {
    let layers = if graph.num_layers == 0 { String::new() } else { graph.num_layers.to_string() };
    let inputs = graph.input_sizes.iter().map(|size| ("input_sizes", size.to_string()));
    let outputs = graph.output_sizes.iter().map(|size| ("output_sizes", size.to_string()));
    lines(0, std::iter::once(("num_layers", layers)).chain(inputs).chain(outputs))
}

fn operation_text(operation: &wire::Operation) -> String {
    let head = lines(0, [("operation_type", text(&operation.operation_type))]);
    let Some(specs) = &operation.parameter_specs else { return head };
    let inner = specs.parameters.iter().map(|spec| block(2, "parameters", &parameter_text(spec, 4)));
    head + &block(0, "parameter_specs", &inner.collect::<String>())
}

fn parameter_text(spec: &wire::ParameterSpec, indent: usize) -> String {
    let kind = match spec.parameter_type() {
        wire::ParameterType::UnknownType => String::new(),
        kind => kind.as_str_name().to_owned(),
    };
    let head = lines(indent, [("name", text(&spec.name)), ("parameter_type", kind)]);
    let space = spec.feasible_space.as_ref();
    head + &space.map_or(String::new(), |s| block(indent, "feasible_space", &space_text(s, indent + 2)))
}

fn space_text(space: &wire::FeasibleSpace, indent: usize) -> String {
    let distribution = match space.distribution() {
        wire::Distribution::Unspecified => String::new(),
        distribution => distribution.as_str_name().to_owned(),
    };
    let list = space.list.iter().map(|item| ("list", format!("{item:?}")));
    let bounds = [("max", text(&space.max)), ("min", text(&space.min))];
    let rest = [("step", text(&space.step)), ("distribution", distribution)];
    lines(indent, bounds.into_iter().chain(list).chain(rest))
}

#[cfg(test)]
mod tests;
