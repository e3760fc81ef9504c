use proto::katib::ParameterType as Kind;

use super::*;
use crate::katib::testing::{experiment, parameter, told};

fn operation(kind: &str, parameters: Vec<wire::ParameterSpec>) -> wire::Operation {
    let parameter_specs = Some(wire::operation::ParameterSpecs { parameters });
    wire::Operation { operation_type: kind.into(), parameter_specs }
}

/// What Katib's example of that name asks for, cut down.
fn network(algorithm: &str, operations: Vec<wire::Operation>) -> wire::Experiment {
    let mut experiment = experiment(algorithm, vec![]);
    let graph_config =
        wire::GraphConfig { num_layers: 3, input_sizes: vec![32, 32, 3], output_sizes: vec![10] };
    let operations = Some(wire::nas_config::Operations { operation: operations });
    if let Some(spec) = &mut experiment.spec {
        spec.nas_config = Some(wire::NasConfig { graph_config: Some(graph_config), operations });
    }
    experiment
}

fn convolution() -> wire::Operation {
    operation(
        "convolution",
        vec![
            parameter("filter_size", Kind::Categorical, "3,5"),
            parameter("num_filter", Kind::Int, "32,64,32"),
        ],
    )
}

fn refused(experiment: &wire::Experiment) -> String {
    crate::katib::validate::experiment(experiment).err().unwrap_or_default()
}

#[test]
fn what_katib_accepts_is_accepted() {
    let mut no_step = parameter("pool_size", Kind::Int, "2,3");
    assert_eq!(refused(&network("enas", vec![operation("reduction", vec![no_step.clone()])])), "");
    // Max below min, as somebody's file has it: the operation is passed over.
    no_step.feasible_space =
        Some(wire::FeasibleSpace { min: "3".into(), max: "2".into(), ..Default::default() });
    let operations = vec![convolution(), operation("reduction", vec![no_step])];
    let experiment = network("enas", operations);
    assert_eq!(refused(&experiment), "");
    let spec = experiment.spec.as_ref().unwrap();
    let space = space(config(spec).unwrap(), spec.algorithm.as_ref().unwrap()).unwrap();
    assert_eq!(space.network().unwrap().operations().len(), 4);
    // DARTS: settings that it does not know, and an operation without parameters.
    let operations = vec![
        operation("separable_convolution", vec![parameter("filter_size", Kind::Categorical, "3,5")]),
        operation("skip_connection", vec![]),
    ];
    let darts = told(told(network("darts", operations), "num_epoch", "x"), "batch_size", "None");
    assert_eq!(refused(&darts), "");
}

#[test]
fn networks_are_refused_in_the_words_of_katib() {
    let with = |change: fn(&mut wire::GraphConfig)| {
        let mut experiment = network("enas", vec![convolution()]);
        let config = experiment.spec.as_mut().and_then(|spec| spec.nas_config.as_mut());
        config.and_then(|config| config.graph_config.as_mut()).map(change).unwrap();
        refused(&experiment)
    };
    assert_eq!(
        with(|graph| graph.input_sizes.clear()),
        "Missing InputSizes in GraphConfig:\nnum_layers: 3\noutput_sizes: 10\n"
    );
    assert!(with(|graph| graph.output_sizes.clear()).starts_with("Missing OutputSizes in GraphConfig:\n"));
    assert!(with(|graph| graph.num_layers = 0).starts_with("Missing NumLayers in GraphConfig:\n"));
    let one = |operation| refused(&network("enas", vec![operation]));
    assert_eq!(
        one(operation("", vec![parameter("size", Kind::Int, "1,2,1")])),
        "Missing operationType in Operation:\nparameter_specs {\n  parameters {\n    name: \"size\"\n    \
         parameter_type: INT\n    feasible_space {\n      max: \"2\"\n      min: \"1\"\n      step: \"1\"\n    }\n  }\n}\n"
    );
    assert!(
        one(operation("a", vec![]))
            .starts_with("Missing ParameterConfigs in Operation:\noperation_type: \"a\"")
    );
    assert!(one(operation("skip_connection", vec![])).starts_with("Missing ParameterConfigs"));
    for (parameter, said) in [
        (parameter("", Kind::Int, "1,2"), "Missing Name in ParameterConfig:\nparameter_type: INT\n"),
        (
            parameter("a", Kind::UnknownType, "1,2"),
            "Missing ParameterType in ParameterConfig:\nname: \"a\"\n",
        ),
        (parameter("a", Kind::Int, ""), "Missing Max and Min in ParameterConfig.feasibleSpace:\n"),
        (
            parameter("a", Kind::Double, "1,2"),
            "Step parameter should be > 0 in ParameterConfig.feasibleSpace:\nmax: \"2\"\nmin: \"1\"\n",
        ),
        (parameter("a", Kind::Double, "1,2,-1"), "Step parameter should be > 0"),
    ] {
        let refused = one(operation("convolution", vec![parameter]));
        assert!(refused.starts_with(said), "{refused}");
    }
    let mut empty = parameter("a", Kind::Categorical, "x");
    empty.feasible_space = None;
    assert!(one(operation("a", vec![empty])).starts_with("Missing List in ParameterConfig.feasibleSpace:\n"));
}

#[test]
fn settings_are_refused_in_the_words_of_katib() {
    let darts = vec![operation("skip_connection", vec![])];
    for (algorithm, name, value, said) in [
        (
            "enas",
            "controller_hidden_size",
            "x",
            "Algorithm Setting controller_hidden_size must be int type: exception invalid literal for int() with base 10: 'x'",
        ),
        (
            "enas",
            "controller_hidden_size",
            "0",
            "Algorithm Setting controller_hidden_size: 0 with int type must be in range [1, inf)",
        ),
        (
            "enas",
            "controller_temperature",
            "-1",
            "Algorithm Setting controller_temperature: -1.0 with float type must be in range (0, inf)",
        ),
        ("enas", "controller_temperature", "None", ""),
        (
            "enas",
            "controller_skip_target",
            "1.5",
            "Algorithm Setting controller_skip_target: 1.5 with float type must be in range (0, 1)",
        ),
        (
            "enas",
            "controller_skip_target",
            "None",
            "Algorithm Setting controller_skip_target must be float type: exception could not convert string to float: 'None'",
        ),
        ("enas", "controller", "1", "Unknown Algorithm Setting name: controller"),
        ("enas", "random_state", "7", ""),
        ("darts", "num_epochs", "0", "num_epochs should be greater than zero"),
        ("darts", "w_momentum", "-0.1", "w_momentum should be greater than or equal to zero"),
        ("darts", "batch_size", "0", "batch_size should be greater than or equal to one"),
        ("darts", "num_workers", "-1", "num_workers should be greater than or equal to zero"),
        ("darts", "num_nodes", "0", "num_nodes should be greater than or equal to one"),
        (
            "darts",
            "print_step",
            "x",
            "failed to validate print_step(x): invalid literal for int() with base 10: 'x'",
        ),
        ("darts", "anything", "goes", ""),
    ] {
        let operations = if algorithm == "darts" { darts.clone() } else { vec![convolution()] };
        assert_eq!(refused(&told(network(algorithm, operations), name, value)), said, "{name}={value}");
    }
}

#[test]
fn an_empty_network_beside_parameters_is_none() {
    let mut plain = experiment("random", vec![parameter("x", Kind::Double, "0,1")]);
    plain.spec.as_mut().unwrap().nas_config = Some(wire::NasConfig::default());
    assert!(config(plain.spec.as_ref().unwrap()).is_none());
    assert_eq!(refused(&plain), "");
}

/// Whole questions, as a Katib controller asks them.
mod questions {
    use proto::katib::suggestion_server::Suggestion as _;
    use proto::katib::trial_status::TrialConditionType as Condition;
    use tonic::Request;

    use super::*;
    use crate::SuggestionService;
    use crate::katib::testing::trial;

    type Point = Vec<(String, String)>;

    async fn ask(experiment: &wire::Experiment, trials: &[wire::Trial], n: i32) -> Vec<Point> {
        let request = wire::GetSuggestionsRequest {
            experiment: Some(experiment.clone()),
            trials: trials.to_vec(),
            current_request_number: n,
            total_request_number: trials.len() as i32 + n,
        };
        let service = SuggestionService::default();
        let reply = service.get_suggestions(Request::new(request)).await.unwrap().into_inner();
        let point = |point: wire::get_suggestions_reply::ParameterAssignments| {
            point.assignments.into_iter().map(|a| (a.name, a.value)).collect()
        };
        reply.parameter_assignments.into_iter().map(point).collect()
    }

    fn ended(number: u32, point: &Point, accuracy: &str) -> wire::Trial {
        let point: Vec<(&str, &str)> = point.iter().map(|(name, value)| (&**name, &**value)).collect();
        trial(&format!("t{number}"), &point, Condition::Succeeded, Some(accuracy), (number + 1, number + 1))
    }

    #[tokio::test]
    async fn enas_answers_with_architectures_and_goes_on_from_history_alone() {
        let quick =
            |experiment| told(told(experiment, "controller_hidden_size", "8"), "controller_train_steps", "5");
        let experiment = quick(network("enas", vec![convolution()]));
        let mut trials = Vec::new();
        for _ in 0..4 {
            let points = ask(&experiment, &trials, 2).await;
            assert_eq!(points.len(), 2);
            assert_eq!(points, ask(&experiment, &trials, 2).await, "the same question, the same answer");
            for point in points {
                let names: Vec<&str> = point.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(names, ["architecture", "nn_config"]);
                let layers: Vec<Vec<u32>> = read(&point[0].1);
                assert_eq!(layers.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 3]);
                assert!(
                    point[1]
                        .1
                        .starts_with("{'num_layers': 3, 'input_sizes': [32, 32, 3], 'output_sizes': [10], ")
                );
                assert!(point[1].1.contains("'opt_type': 'convolution', 'opt_params': {'filter_size': '"));
                let number = trials.len() as u32;
                trials.push(ended(number, &point, &format!("0.{number}")));
            }
        }
        // What became of them is what is learnt from: other results, other questions.
        let mut others = trials.clone();
        others.iter_mut().zip(0..).for_each(|(trial, number)| {
            let metrics = trial.status.as_mut().and_then(|status| status.observation.as_mut());
            metrics.unwrap().metrics[0].value = format!("0.{}", 7 - number);
        });
        let strong = told(experiment, "controller_learning_rate", "0.5");
        assert_ne!(ask(&strong, &trials, 2).await, ask(&strong, &others, 2).await);
    }

    /// The numbers of a text of lists.
    fn read(architecture: &str) -> Vec<Vec<u32>> {
        let lists = architecture.trim_start_matches("[[").trim_end_matches("]]").split("], [");
        lists.map(|list| list.split(", ").map(|number| number.parse().unwrap()).collect()).collect()
    }

    #[tokio::test]
    async fn darts_answers_every_question_with_its_one_point() {
        let operations = vec![
            operation("separable_convolution", vec![parameter("filter_size", Kind::Categorical, "3,5")]),
            operation("skip_connection", vec![]),
        ];
        let experiment = told(network("darts", operations), "num_epochs", "1");
        let first = ask(&experiment, &[], 1).await.remove(0);
        assert!(first[0].1.starts_with("{'num_epochs': '1', 'w_lr': 0.025, 'w_lr_min': 0.001, "));
        assert_eq!(
            first[1].1,
            "['separable_convolution_3x3', 'separable_convolution_5x5', 'skip_connection']"
        );
        assert_eq!(first[2], ("num-layers".into(), "3".into()));
        let again = ask(&experiment, &[ended(0, &first, "0.5")], 2).await;
        assert_eq!(again, [first.clone(), first]);
    }
}
