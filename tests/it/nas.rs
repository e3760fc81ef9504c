//! Searches for architectures that are no example.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use e2e::Cairn;
use e2e::http::ask;
use serde_json::Value;

/// The trial searches by itself and prints what it has found, which is no number.
const DARTS: &str = r#"apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: darts}
spec:
  objective: {type: maximize, objectiveMetricName: Best-Genotype}
  algorithm: {algorithmName: darts, algorithmSettings: [{name: num_epochs, value: "1"}, {name: num_epoch, value: "3"}]}
  parallelTrialCount: 1
  maxTrialCount: 1
  metricsCollectorSpec: {collector: {kind: StdOut}, source: {filter: {metricsFormat: ['([\w-]+)=(Genotype.*)']}}}
  nasConfig:
    graphConfig: {numLayers: 8}
    operations:
      - {operationType: separable_convolution, parameters: [{name: filter_size, parameterType: categorical, feasibleSpace: {list: ["3"]}}]}
      - {operationType: skip_connection}
  trialTemplate:
    primaryContainerName: t
    trialParameters:
      - {name: s, reference: algorithm-settings}
      - {name: o, reference: search-space}
      - {name: layers, reference: num-layers}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec: {template: {spec: {containers: [{name: t, image: x, command: [echo], args: ['"Best-Genotype=Genotype(${trialParameters.layers},${trialParameters.o})"', '; echo "${trialParameters.s}"']}]}}}
"#;

#[test]
fn a_trial_of_darts_is_told_all_and_what_it_finds_is_kept() {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", DARTS);
    let said = cairn.run(["validate", "experiment.yaml"]).ok();
    let warning = "algorithm `darts` has no setting `num_epoch`; it is given to the trial as it is";
    assert!(said.stderr.contains(warning), "{said}");
    let best = cairn.run(["run", "experiment.yaml", "-o", "json"]).ok().json();
    let found = "Genotype(8,['separable_convolution_3x3', 'skip_connection'])";
    assert_eq!(best["metrics"][0]["latest"], found, "{best}");
    let settings = best["parameters"]["algorithm-settings"].as_str().unwrap();
    assert!(settings.starts_with("{'num_epochs': '1', 'w_lr': 0.025, "), "{settings}");
    assert!(settings.ends_with("'num_epoch': '3'}"), "{settings}");
}

/// An example of architecture search, run to its best trial in a folder of its own.
fn best_of(cairn: &Cairn, file: &str) -> Value {
    let text = std::fs::read(e2e::workspace().join("tests/examples/nas").join(file)).unwrap();
    cairn.write(file, text);
    cairn.run(["run", file, "-o", "json"]).ok().json()
}

/// The program that the examples train with: what it says, and how it ends.
fn trainer<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, model: Option<&Path>) -> Output {
    let mut command = Command::new(e2e::cairn::binary().with_file_name("nas-train"));
    command.args(args).env_remove("CAIRN_MODEL_DIR");
    command.envs(model.map(|folder| ("CAIRN_MODEL_DIR", folder)));
    command.output().unwrap()
}

/// The last value of a metric among the lines of a trainer that has ended well.
fn last(output: &Output, metric: &str) -> f64 {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut values = text.split_whitespace().filter_map(|word| word.strip_prefix(metric)?.strip_prefix('='));
    values.next_back().unwrap_or_else(|| panic!("no {metric} in {text}")).parse().unwrap()
}

/// The folder of a sealed model.
fn model_of(best: &Value) -> &Path {
    assert_eq!(best["model"]["format"], "safetensors", "{best}");
    Path::new(best["model"]["uri"].as_str().unwrap().strip_prefix("file://").unwrap())
}

#[test]
fn enas_finds_a_network_that_is_trained_again_and_answers() {
    let cairn = Cairn::new().with("USER", "ada").with("CAIRN_ROUTER", "127.0.0.1:0");
    let best = best_of(&cairn, "enas.yaml");
    // Two epochs: guessing is right in a tenth.
    assert!(best["value"].as_f64().unwrap() > 0.3, "{best}");
    assert_eq!(cairn.trials("enas").len(), 4);
    let shown = cairn.run(["nas", "show", "enas", "--svg", "best.svg", "--dot", "best.dot"]).ok();
    assert!(
        shown.stdout.contains("\nnetwork\n  input\n  1 ") && shown.stdout.contains("  output\n   └─ 3 "),
        "{shown}"
    );
    assert!(cairn.read("best.svg").unwrap().contains("</svg>"));
    assert!(cairn.read("best.dot").unwrap().contains("n3 -> n4;"));
    let other = cairn.run(["nas", "show", "enas", "--trial", "0", "-o", "json"]).ok().json();
    assert_eq!((other["idx"].as_u64(), other["graphs"][0]["nodes"].as_array().unwrap().len()), (Some(0), 5));

    // It takes the place of the one that the example trains from scratch.
    let mut again = std::fs::read_to_string(e2e::workspace().join("tests/examples/nas/again.yaml")).unwrap();
    for name in ["architecture", "nn_config"] {
        let line = again.lines().find(|line| line.contains(&format!("--{name}="))).unwrap().to_owned();
        let found = best["parameters"][name].as_str().unwrap();
        again = again.replace(line.trim(), &format!("- \"--{name}={found}\""));
    }
    cairn.write("again.yaml", again.replace("minimum: 0.8", "minimum: 0.4"));
    let promoted = cairn.run(["run", "again.yaml"]).ok();
    assert!(promoted.stdout.contains("version 1 is the champion"), "{promoted}");
    assert!(promoted.stdout.contains("it answers the sample as expected: 11 values"), "{promoted}");
    let promotion = cairn.run(["promotion", "get", "digits", "-o", "json"]).ok().json();
    let model = Path::new(promotion["uri"].as_str().unwrap().strip_prefix("file://").unwrap());
    let accuracy = last(&trainer(["--model".as_ref(), model], None), "Test-Accuracy");
    assert!(accuracy > last(&trainer(["--model".as_ref(), model_of(&best)], None), "Test-Accuracy"));
    // Whoever asks for the model gets what was measured.
    let url = cairn.run(["models", "get", "digits", "-o", "json"]).ok().json()["url"].to_string();
    let (host, path) = url.trim_matches('"').split_at(url[8..].find('/').unwrap() + 7);
    let sample = std::fs::read_to_string(model.join("sample.json")).unwrap();
    let answer =
        ask(host, "POST", &format!("{path}/infer"), &[("content-type", "application/json")], &sample);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(model.join("expected.json")).unwrap()).unwrap();
    assert_eq!((answer.status, &answer.json()["outputs"][1]), (200, &expected["outputs"][1]), "{answer:?}");
}

#[test]
fn darts_finds_cells_and_leaves_a_network_of_them() {
    let cairn = Cairn::new();
    let best = best_of(&cairn, "darts.yaml");
    let genotype = best["metrics"][0]["latest"].as_str().unwrap();
    assert!(genotype.starts_with("Genotype(normal=[[('"), "{best}");
    assert!(genotype.ends_with("reduce_concat=range(2,4))"), "{best}");
    let kept = last(&trainer(["--model".as_ref(), model_of(&best)], None), "Test-Accuracy");
    assert!(kept > 0.5, "three epochs from scratch: {kept}");
    let shown = cairn.run(["nas", "show", "darts"]).ok();
    let drawn = |cell: &str| shown.stdout.contains(&format!("\n{cell}\n  input 0\n  input 1\n  2\n   ├─ "));
    assert!(drawn("normal") && drawn("reduce"), "{shown}");
    // What each operation weighed, epoch by epoch; `none` is among them though no edge ends with it.
    assert!(shown.stdout.contains("\noperation weights, 1 epochs, from 0 to "), "{shown}");
    let drawn = cairn.run(["nas", "show", "darts", "-o", "json", "--svg", "cells.svg"]).ok().json();
    let (operations, edges) =
        (&drawn["weights"]["operations"], drawn["weights"]["edges"].as_array().unwrap());
    assert_eq!((operations.as_array().unwrap().len(), edges.len()), (7, 10), "{drawn}");
    let sum: f64 = edges[0]["weights"][0].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{drawn}");
    assert_eq!(cairn.read("cells.svg").unwrap().matches("<polyline").count(), 70);
    // The genotype is all that is needed to train it somewhere else.
    let genotype = format!("--genotype=\"{genotype}\"");
    let again = trainer([&genotype, "--num-layers=3", "--init-channels=4", "--num_epochs=1"], None);
    assert!(last(&again, "Training-Accuracy") > 0.1);
}

#[test]
fn a_supernet_is_searched_in_several_ways() {
    let learning = "--algorithm-settings={'num_epochs': '1', 'batch_size': '128', 'w_lr': '0.1'}";
    for way in [
        &["--order=first"][..],
        &["--order=second"],
        &["--variant=fair", "--order=first"],
        &["--variant=sampled"],
        &["--select=perturbation", "--order=first"],
        &["--stop=eigenvalue", "--order=first"],
    ] {
        let output = trainer(["--supernet=nas-bench-201", learning].iter().chain(way), None);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let cell =
            text.lines().last().unwrap().strip_prefix("Best-Cell=").unwrap_or_else(|| panic!("{text}"));
        let again = trainer([&format!("--cell={cell}"), "--num_epochs=1"], None);
        assert!(last(&again, "Test-Accuracy") > 0.0, "{way:?}");
    }
}

#[test]
fn what_makes_no_network_is_refused_by_name() {
    let config = "--nn_config={'num_layers': 1, 'input_sizes': [8, 8, 1], 'output_sizes': [10], 'embedding': \
                  {'0': {'opt_id': 0, 'opt_type': 'convolution', 'opt_params': {'filter_size': '3', 'num_filter': '4'}}}}";
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        config.replace(from, to)
    };
    let supernet = ["--search-space=['separable_convolution_3x3']", "--num-layers=1"];
    let diverging = "--algorithm-settings={'num_epochs':'3','w_lr':'1000000','w_grad_clip':'0','init_channels':'2',\
                     'num_nodes':'1','stem_multiplier':'1'}";
    for (args, said) in [
        (vec![], "nothing to do"),
        (vec!["--cells=there-is-none", "--number=1"], "--cells there-is-none: No such file"),
        (vec!["--cell=|skip_connect~0|"], "`|skip_connect~0|` is no cell of NAS-Bench-201"),
        (vec!["--genotype=[[0]]", "--num-layers=1"], "`[[0]]` is no genotype"),
        (
            vec!["--architecture=|skip_connect~0|", config],
            "--architecture is `|skip_connect~0|`, which is no JSON",
        ),
        (vec!["--architecture=[[0]]"], "--nn_config is missing"),
        (vec!["--architecture=[[1]]", config], "layer 1 is operation 1, which --nn_config does not have"),
        (vec!["--architecture=[[0], [0, 1]]", config], "has 2 layers and --nn_config says num_layers 1"),
        (vec!["--architecture=[[0, 1]]", config], "layer 1 is [0,1]; it is its operation and 0 times 0 or 1"),
        (
            vec!["--architecture=[[0]]", &with("[8, 8, 1]", "[8, 6, 1]")],
            "input_sizes [8,6,1] make no network",
        ),
        (vec!["--architecture=[[0]]", &with("[10]", "[100]")], "output_sizes [100] make no network"),
        (vec!["--architecture=[[0]]", &with("'4'", "'0'")], "operation 0 has num_filter \"0\""),
        (vec!["--architecture=[[0]]", &with("convolution", "attention")], "operation 0 is `attention`"),
        (
            vec!["--search-space=['jump_3x3']", supernet[1], "--algorithm-settings={}"],
            "`jump_3x3` is no operation",
        ),
        (vec![supernet[0], "--algorithm-settings={}"], "--num-layers is missing"),
        (vec![supernet[0], supernet[1], "--algorithm-settings={'w_lr': 'x'}"], "w_lr is `x`, not a number"),
        (
            vec![supernet[0], supernet[1], diverging],
            "the supernet has diverged in epoch 2 (loss NaN); lower w_lr",
        ),
    ] {
        let output = trainer(&args, None);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.starts_with("error: ") && text.contains(said), "{args:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn cells_are_searched_edge_by_edge_and_drawn() {
    let cairn = Cairn::new();
    let best = best_of(&cairn, "cells.yaml");
    assert!(best["value"].as_f64().unwrap() > 0.3, "of 24 cells: {best}");
    let shown = cairn.run(["nas", "show", "cells"]).ok();
    assert!(
        shown.stdout.contains("\ncell\n  input\n") && shown.stdout.contains("\n  output\n   └─ 3"),
        "{shown}"
    );
    // Who may have children.
    assert!(shown.stdout.contains("\npopulation of 8, the oldest first\n"), "{shown}");
    // The best for their size: each is smaller than the one before it, and worse, if they are not alike.
    let front = cairn.run(["trials", "cells", "--front", "Parameters", "-o", "json"]).ok().json();
    let of = |trial: &Value| {
        let metrics = trial["metrics"].as_array().unwrap();
        let size = metrics.iter().find(|metric| metric["name"] == "Parameters").unwrap();
        (trial["value"].as_f64().unwrap(), size["latest"].as_str().unwrap().parse::<f64>().unwrap())
    };
    let front: Vec<(f64, f64)> = front["items"].as_array().unwrap().iter().map(of).collect();
    assert_eq!((front[0].0, front[0].1 > 0.0), (best["value"].as_f64().unwrap(), true), "{front:?}");
    assert!(front.is_sorted_by(|a, b| a == b || (a.0 > b.0 && a.1 > b.1)), "{front:?}");
    let drawn = cairn.run(["nas", "show", "cells", "-o", "json"]).ok().json();
    let newest: Vec<u64> = drawn["population"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["idx"].as_u64().unwrap())
        .collect();
    assert!(newest.contains(&23) && newest.len() == 8, "{drawn}");
    let learnt = cairn.read("cells.yaml").unwrap().replace("name: cells", "name: learnt");
    let (head, tail) = learnt.split_once("    algorithmName").unwrap();
    let (_, tail) = tail.split_once("  parallelTrialCount").unwrap();
    let other = |name: &str| format!("{head}    algorithmName: {name}\n  parallelTrialCount{tail}");
    cairn.write("learnt.yaml", other("bananas").replace("--num_epochs=3", "--num_epochs=1"));
    cairn.run(["run", "learnt.yaml"]).ok();
    let explained = cairn.run(["explain", "learnt", "23"]).ok();
    assert!(explained.stdout.contains("the least cost of a draw from the model"), "{explained}");
    // Edges that make no cells are searched all the same, and that is said.
    cairn
        .write("odd.yaml", other("nas-local-search").replacen("none, skip_connect", "skip_connect, none", 1));
    let said = cairn.run(["validate", "odd.yaml"]).ok();
    assert!(said.stderr.contains("are searched as choices, not as cells"), "{said}");
    // Any experiment has trials, not each an architecture.
    cairn.example("digits");
    cairn.run(["run", "digits/experiment.yaml"]).ok();
    let refused = cairn.run(["nas", "show", "digits"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("is no architecture: it has neither"), "{refused}");
}

#[test]
fn searches_on_gpus_run_on_a_cpu_too_where_there_is_torch() {
    if !e2e::python::can_import(Path::new("python3"), "torch") {
        e2e::skipped(
            "nas/pytorch: `python3` cannot import torch; `python3 -m pip install torch` installs it",
        );
        return;
    }
    let cairn = Cairn::new();
    cairn.example("nas/pytorch");
    cairn.example("digits");
    let small = |name: &str, less: &[(&str, &str)]| {
        let file = e2e::workspace().join(format!("tests/examples/nas/{name}.yaml"));
        let mut text = std::fs::read_to_string(file).unwrap();
        let gpu =
            "                resources:\n                  limits:\n                    nvidia.com/gpu: 1\n";
        for (from, to) in less.iter().chain(&[(gpu, "")]) {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let file = format!("nas/{name}.yaml");
        cairn.write(&file, text);
        let run = cairn.start(["run", &file, "-o", "json"]);
        run.end_within(std::time::Duration::from_mins(5)).ok().json()
    };
    let best = small(
        "enas-gpu",
        &[
            ("maxTrialCount: 60", "maxTrialCount: 2"),
            ("maxFailedTrialCount: 3", "maxFailedTrialCount: 0"),
            ("numLayers: 6", "numLayers: 3"),
            ("[32, 32, 3]", "[8, 8, 3]"),
            ("--num_epochs=20", "--num_epochs=1"),
        ],
    );
    assert_eq!(best["model"]["format"], "pytorch", "{best}");
    let settings = "\n      - {name: init_channels, value: \"2\"}\n      - {name: num_nodes, value: \"2\"}\n  nasConfig:";
    let best = small(
        "darts-gpu",
        &[
            ("value: \"25\"", "value: \"1\""),
            ("\n  nasConfig:", settings),
            ("numLayers: 6", "numLayers: 1"),
            ("--retrain-epochs=20", "--retrain-epochs=1"),
        ],
    );
    let genotype = best["metrics"][0]["latest"].as_str().unwrap();
    assert!(genotype.starts_with("Genotype(normal=[[('") && genotype.ends_with("range(2,4))"), "{best}");
    let shown = cairn.run(["nas", "show", "darts-gpu"]).ok();
    assert!(shown.stdout.contains("\noperation weights, 1 epochs"), "{shown}");
    // The two trainers read each other's genotypes.
    let genotype = format!("--genotype={genotype}");
    let again = trainer([&genotype, "--num-layers=1", "--init-channels=2", "--num_epochs=1"], None);
    assert!(last(&again, "Training-Accuracy") > 0.05);
}
