//! The space of `spec.nasConfig`.

use std::ops::RangeInclusive;

use study::{NetworkSpec, OperationSpec, SKIP_CONNECTION, Space};

use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, NasConfig};

const PATH: &str = "spec.nasConfig";
/// Layers that a supernet may have; chains are bounded by what can be drawn.
const ONE_SHOT_LAYERS: RangeInclusive<i32> = 1..=1000;

/// The architectures of a network: one point for DARTS, whose trial searches by itself, chains of layers for all others.
///
/// # Errors
/// Everything that keeps an architecture from being drawn, with its path.
pub(super) fn space(
    spec: &ExperimentSpec,
    config: &NasConfig,
    report: &mut Report,
) -> Result<Space, Vec<Problem>> {
    let algorithm = spec.algorithm.clone().unwrap_or_default();
    let is_darts = algorithm.algorithm_name == "darts";
    let network = network(config, is_darts, report);
    if !report.is_valid() {
        return Err(std::mem::take(&mut report.errors));
    }
    for kind in network.empty_operations() {
        let message = format!("`{kind}`: min is above max, so no layer can be this operation");
        report.warn(Problem::new(format!("{PATH}.operations"), message));
    }
    let space = if is_darts {
        let settings = algorithm.algorithm_settings.into_iter();
        let settings: Vec<_> = settings.map(|setting| (setting.name, setting.value)).collect();
        Space::one_shot(&network, &settings)
    } else {
        network.chain().map_err(|error| vec![error]).and_then(Space::chain)
    };
    space.map_err(|errors| errors.iter().map(|error| Problem::new(PATH, error.to_string())).collect())
}

fn network(config: &NasConfig, is_darts: bool, report: &mut Report) -> NetworkSpec {
    let graph = &config.graph_config;
    let mut missing = |is_missing: bool, path: &str| {
        if is_missing {
            report.error(Problem::new(format!("{PATH}.{path}"), "it is missing"));
        }
    };
    missing(graph.num_layers.is_none(), "graphConfig.numLayers");
    missing(config.operations.is_empty(), "operations");
    missing(graph.input_sizes.is_empty() && !is_darts, "graphConfig.inputSizes");
    missing(graph.output_sizes.is_empty() && !is_darts, "graphConfig.outputSizes");
    if let Some(n) = graph.num_layers.filter(|n| is_darts && !ONE_SHOT_LAYERS.contains(n)) {
        let (least, most) = (ONE_SHOT_LAYERS.start(), ONE_SHOT_LAYERS.end());
        let message = format!("it is {n}; from {least} to {most} are possible");
        report.error(Problem::new(format!("{PATH}.graphConfig.numLayers"), message));
    }
    let mut operations = Vec::new();
    for (i, operation) in config.operations.iter().enumerate() {
        let path = format!("{PATH}.operations[{i}]");
        if operation.operation_type.is_empty() {
            report.error(Problem::new(format!("{path}.operationType"), "it is missing"));
        }
        if operation.parameters.is_empty() && operation.operation_type != SKIP_CONNECTION {
            let message = format!("`{}` has no parameters", operation.operation_type);
            let problem = Problem::new(format!("{path}.parameters"), message);
            report.error(problem.hint("give it one whose list has a single value"));
        }
        let mut parameters = Vec::new();
        for (j, parameter) in operation.parameters.iter().enumerate() {
            let path = format!("{path}.parameters[{j}]");
            if let Some(read) = super::parameter(parameter, &path, report) {
                parameters.push((read.name, read.domain));
            }
        }
        operations.push(OperationSpec { kind: operation.operation_type.clone(), parameters });
    }
    let sizes = |sizes: &[i32]| sizes.iter().copied().map(i64::from).collect();
    NetworkSpec {
        n_layers: graph.num_layers.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        input_sizes: sizes(&graph.input_sizes),
        output_sizes: sizes(&graph.output_sizes),
        operations,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::report::Report;
    use crate::study::of_spec;

    #[expect(clippy::needless_pass_by_value, reason = "made on the spot everywhere")]
    fn study(algorithm: &str, nas: serde_json::Value) -> (Result<study::Study, Vec<String>>, Report) {
        let spec = serde_json::from_value(json!({
            "objective": {"type": "maximize", "objectiveMetricName": "accuracy"},
            "algorithm": {"algorithmName": algorithm, "algorithmSettings": [{"name": "num_epochs", "value": "2"}]},
            "nasConfig": nas,
        }));
        let (study, report) = of_spec(&spec.unwrap(), "s", 1);
        let problem = |problem: crate::report::Problem| format!("{}: {}", problem.path, problem.message);
        (study.map_err(|problems| problems.into_iter().map(problem).collect()), report)
    }

    fn nas() -> serde_json::Value {
        let list = |name: &str, list: &[&str]| json!({"name": name, "parameterType": "categorical", "feasibleSpace": {"list": list}});
        json!({
            "graphConfig": {"numLayers": 2, "inputSizes": [32, 32, 3], "outputSizes": [10]},
            "operations": [
                {"operationType": "convolution", "parameters": [list("filter_size", &["3", "5"]), list("stride", &["1"])]},
                {"operationType": "reduction", "parameters": [
                    {"name": "pool_size", "parameterType": "int", "feasibleSpace": {"min": "3", "max": "2"}},
                ]},
            ],
        })
    }

    #[test]
    fn a_network_is_a_space_of_chains_and_what_is_empty_is_said() {
        let (study, report) = study("enas", nas());
        let space = study.unwrap().space;
        assert_eq!(space.network().unwrap().operations().len(), 2);
        assert_eq!(report.warnings.len(), 1);
        assert!(report.warnings[0].message.starts_with("`reduction`: min is above max"));
        let texts = space.texts(&space.project([("architecture", "[[1], [0, 1]]")]).unwrap());
        assert_eq!(texts[0].1, "[[1], [0, 1]]");
    }

    #[test]
    fn darts_has_one_point() {
        let (study, _) = study("darts", nas());
        let names: Vec<String> = study.unwrap().space.parameters().iter().map(|p| p.name.clone()).collect();
        assert_eq!(names, study::ONE_SHOT_TEXTS);
    }

    #[test]
    fn layers_out_of_range_are_refused_by_name() {
        for (algorithm, n, said) in [
            ("darts", 1_000_000_000, "graphConfig.numLayers: it is 1000000000; from 1 to 1000 are possible"),
            ("darts", -1, "graphConfig.numLayers: it is -1; from 1 to 1000"),
            ("enas", 1_000_000_000, "it has 1000000000 layers; from 1 to 100 are possible"),
            ("enas", 0, "it has 0 layers; from 1 to 100"),
        ] {
            let mut nas = nas();
            nas["graphConfig"]["numLayers"] = n.into();
            let problems = study(algorithm, nas).0.unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_at_once() {
        let (study, _) = study("enas", json!({"operations": [{"operationType": "a"}, {"parameters": []}]}));
        let problems = study.unwrap_err();
        for wanted in [
            "spec.nasConfig.graphConfig.numLayers: it is missing",
            "spec.nasConfig.graphConfig.inputSizes: it is missing",
            "spec.nasConfig.operations[0].parameters: `a` has no parameters",
            "spec.nasConfig.operations[1].operationType: it is missing",
        ] {
            assert!(problems.iter().any(|problem| problem == wanted), "{wanted}: {problems:?}");
        }
    }
}
