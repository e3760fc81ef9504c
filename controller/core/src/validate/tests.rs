//! What is accepted and refused, as tables.

use super::text;

/// A valid Experiment, with parts replaced.
fn experiment(replace: &[(&str, &str)]) -> String {
    let base = "\
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata:
  name: demo
spec:
  objective: {type: maximize, objectiveMetricName: acc}
  algorithm: {algorithmName: random}
  parallelTrialCount: 1
  maxTrialCount: 4
  maxFailedTrialCount: 1
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: '0.1', max: '1'}}
  trialTemplate:
    primaryContainerName: main
    trialParameters:
      - {name: rate, reference: lr}
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec: {template: {spec: {containers: [{name: main, image: a, command: [t, '--lr=${trialParameters.rate}']}]}}}
";
    replace.iter().fold(base.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not there");
        text.replace(from, to)
    })
}

fn errors(replace: &[(&str, &str)]) -> Vec<String> {
    let (_, _, report) = text(&experiment(replace));
    report.errors.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

#[test]
fn a_valid_experiment_has_no_problems() {
    let (_, _, report) = text(&experiment(&[]));
    assert!(report.is_valid() && report.warnings.is_empty(), "{report:?}");
}

/// A search for an architecture, as Katib takes it.
fn network(replace: &[(&str, &str)]) -> crate::report::Report {
    let nas = "  nasConfig:
    graphConfig: {numLayers: 2, inputSizes: [8], outputSizes: [2]}
    operations:
      - operationType: dense
        parameters:
          - {name: units, parameterType: int, feasibleSpace: {min: '2', max: '4', step: '2'}}
";
    let parameters =
        "  parameters:\n    - {name: lr, parameterType: double, feasibleSpace: {min: '0.1', max: '1'}}\n";
    let first = [(parameters, nas), ("random", "enas"), ("reference: lr", "reference: architecture")];
    let text = experiment(&first);
    let text = replace.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not there");
        text.replace(from, to)
    });
    super::text(&text).2
}

#[test]
fn a_network_is_validated_and_its_trials_are_given_an_architecture() {
    let report = network(&[]);
    assert!(report.is_valid() && report.warnings.is_empty(), "{report:?}");
    // What Katib lets through is let through, and said.
    let report = network(&[
        ("max: '4'", "max: '1'"),
        ("operations:", "operations:\n      - {operationType: skip_connection}"),
    ]);
    assert!(report.is_valid(), "{report:?}");
    assert!(report.warnings[0].message.contains("`dense`: min is above max"), "{report:?}");
    let report = network(&[("reference: architecture", "reference: lr")]);
    assert!(report.is_valid() && report.warnings[0].message.contains("`lr` is nothing"), "{report:?}");
    let report = network(&[
        ("enas", "darts"),
        ("reference: architecture", "reference: search-space"),
        ("int, f", "categorical, f"),
        ("min: '2', max: '4', step: '2'", "list: ['3']"),
    ]);
    assert!(report.is_valid() && report.warnings.is_empty(), "{report:?}");
    for (from, to, path) in [
        ("numLayers: 2, ", "", "spec.nasConfig.graphConfig.numLayers"),
        ("numLayers: 2", "numLayers: 0", "spec.nasConfig"),
        ("max: '4', step", "max: x, step", "spec.nasConfig.operations[0].parameters[0].feasibleSpace.max"),
        ("max: '4'", "max: '1'", "spec.nasConfig"),
        ("int, f", "integer, f", "spec.nasConfig.operations[0].parameters[0].parameterType"),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  queuedPoints: [{architecture: '[[0]]'}]",
            "spec.queuedPoints[0]",
        ),
    ] {
        let report = network(&[(from, to)]);
        assert!(report.errors.iter().any(|problem| problem.path == path), "{path}: {report:?}");
    }
}

#[test]
fn every_rule_of_the_webhook_refuses_by_path() {
    for (from, to, path) in [
        ("name: demo", "name: 1demo", "metadata.name"),
        ("name: demo", "name: a23456789012345678901234567890123456789012", "metadata.name"),
        ("maxFailedTrialCount: 1", "maxFailedTrialCount: -1", "spec.maxFailedTrialCount"),
        ("maxFailedTrialCount: 1", "maxFailedTrialCount: 5", "spec.maxFailedTrialCount"),
        ("maxTrialCount: 4", "maxTrialCount: 0", "spec.maxTrialCount"),
        ("parallelTrialCount: 1", "parallelTrialCount: 0", "spec.parallelTrialCount"),
        ("parallelTrialCount: 1", "parallelTrialCount: 5", "spec.parallelTrialCount"),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  repeats: 0", "spec.repeats"),
        ("type: maximize", "type: up", "spec.objective.type"),
        ("objectiveMetricName: acc", "objectiveMetricName: ''", "spec.objective.objectiveMetricName"),
        (
            "objectiveMetricName: acc",
            "objectiveMetricName: acc, additionalMetricNames: [acc]",
            "spec.objective.additionalMetricNames",
        ),
        ("{algorithmName: random}", "{algorithmSettings: []}", "spec.algorithm.algorithmName"),
        (
            "algorithm: {",
            "earlyStopping: {algorithmSettings: []}\n  algorithm: {",
            "spec.earlyStopping.algorithmName",
        ),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  resumePolicy: Sometimes", "spec.resumePolicy"),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  nasConfig: {}", "spec"),
        ("parameterType: double", "parameterType: float", "spec.parameters[0].parameterType"),
        ("max: '1'", "max: '1', distribution: cauchy", "spec.parameters[0].feasibleSpace.distribution"),
        ("max: '1'", "max: '1', list: [a]", "spec.parameters[0].feasibleSpace.list"),
        ("max: '1'", "step: '1'", "spec.parameters[0].feasibleSpace"),
        ("parameterType: double", "parameterType: categorical", "spec.parameters[0].feasibleSpace.min"),
        ("primaryContainerName: main", "retain: true", "spec.trialTemplate.primaryContainerName"),
        ("kind: Job", "kind: Workflow", "spec.trialTemplate.successCondition"),
        ("apiVersion: batch/v1\n      ", "", "spec.trialTemplate.trialSpec.apiVersion"),
        ("kind: Job", "kind: Job\n      metadata: {name: x}", "spec.trialTemplate.trialSpec.metadata.name"),
        ("reference: lr", "reference: other", "spec.trialTemplate.trialParameters[0]"),
        ("name: rate, reference: lr", "name: rate", "spec.trialTemplate.trialParameters[0]"),
        ("name: rate,", "name: other,", "spec.trialTemplate.trialParameters[0]"),
        (
            "[t, '--lr=${trialParameters.rate}']",
            "['${trialParameters.rate}', '${trialParameters.b}']",
            "spec.trialTemplate.trialSpec",
        ),
        (
            "{name: rate, reference: lr}",
            "{name: rate, reference: lr}\n      - {name: rate, reference: lr}",
            "spec.trialTemplate.trialParameters[1]",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: None}}",
            "spec.metricsCollectorSpec.collector.kind",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: File}, source: {fileSystemPath: {path: a}}}",
            "spec.metricsCollectorSpec.source.fileSystemPath.path",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: File}, source: {fileSystemPath: {path: /a, format: XML}}}",
            "spec.metricsCollectorSpec.source.fileSystemPath.format",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: File}, source: {filter: {metricsFormat: ['(a)']}}}",
            "spec.metricsCollectorSpec.source.filter.metricsFormat[0]",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: Custom}}",
            "spec.metricsCollectorSpec.collector.customCollector",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {collector: {kind: PrometheusMetric}, source: {httpGet: {path: metrics}}}",
            "spec.metricsCollectorSpec.source.httpGet.path",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  parameterConstraints: ['lr > 2']",
            "spec.parameterConstraints",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  parameterConstraints: ['lr > 0', 'lr < other']",
            "spec.parameterConstraints[1]",
        ),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  queuedPoints: [{lr: '7'}]", "spec.queuedPoints[0]"),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  maxDuration: soon", "spec.maxDuration"),
        ("maxTrialCount: 4", "maxTrialCount: 4\n  maxCost: 3", "spec.maxCost"),
        ("min: '0.1'", "min: '3'", "spec.parameters[0]"),
    ] {
        let errors = errors(&[(from, to)]);
        assert!(
            errors.iter().any(|error| error.starts_with(&format!("{path}: "))),
            "{to}: wanted {path}, got {errors:?}"
        );
    }
}

#[test]
fn a_parameter_that_yaml_takes_for_a_truth_value_is_told_as_that_alone() {
    let errors = errors(&[("name: lr", "name: y"), ("reference: lr", "reference: y")]);
    assert!(errors.iter().any(|error| error.contains("`true` where a text is wanted")), "{errors:?}");
    assert!(!errors.iter().any(|error| error.contains("``")), "{errors:?}");
}

#[test]
fn lax_experiments_that_katib_accepts_are_accepted() {
    for (from, to) in [
        ("name: demo", "name: a.b"),
        ("algorithm: {algorithmName: random}", "resumePolicy: ''"),
        (
            "objectiveMetricName: acc",
            "objectiveMetricName: acc, metricStrategies: [{name: acc, value: best}]",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 4\n  metricsCollectorSpec: {source: {filter: {metricsFormat: ['(a)']}}}",
        ),
        ("max: '1'", "max: '1', distribution: unknown"),
        ("maxFailedTrialCount: 1", "maxFailedTrialCount: 4"),
    ] {
        let errors = errors(&[(from, to)]);
        assert!(errors.is_empty(), "{to}: {errors:?}");
    }
}

#[test]
fn all_problems_come_at_once_with_lines_and_hints() {
    let broken = experiment(&[
        ("name: demo", "name: Demo"),
        ("min: '0.1'", "min: 0.1"),
        ("type: maximize", "type: up"),
        ("parallelTrialCount: 1", "parallelTrialCount: 9"),
    ]);
    let (_, _, report) = text(&broken);
    insta::assert_snapshot!(report.render("Demo"));
}

#[test]
fn what_is_wrong_with_spaces_comes_with_all_else_and_hides_nothing() {
    let more = "    - {name: b, parameterType: int, feasibleSpace: {min: low, max: '2'}}
    - {name: c, parameterType: int, feasibleSpace: {min: '1', max: '2'}, when: {b: '1'}}
    - {name: d, parameterType: int, feasibleSpace: {max: '2'}}
  parameterConstraints: ['lr < b', 'lr <']
  trialTemplate:";
    let found =
        errors(&[("type: maximize", "type: up"), ("min: '0.1'", "min: '3'"), ("  trialTemplate:", more)]);
    let found: Vec<&str> =
        found.iter().map(String::as_str).filter(|text| !text.contains("reaches no")).collect();
    assert_eq!(found.len(), 5, "{found:#?}");
    for wanted in [
        "spec.objective.type: `up` is no direction",
        "spec.parameters[3].feasibleSpace: `d`: min is missing",
        "spec.parameters[1].feasibleSpace.min: `low` is no whole number",
        "spec.parameterConstraints[1]: ",
        "spec.parameters[0]: `lr`: min 3 is above max 1",
    ] {
        assert!(found.iter().any(|text| text.starts_with(wanted)), "{wanted}: {found:#?}");
    }
}

#[test]
fn a_process_needs_no_container_and_no_conditions() {
    let process = experiment(&[
        ("    primaryContainerName: main\n", ""),
        ("apiVersion: batch/v1", "apiVersion: cairn.dev/v1"),
        ("kind: Job", "kind: Process"),
        (
            "{template: {spec: {containers: [{name: main, image: a, command: [t, '--lr=${trialParameters.rate}']}]}}}",
            "{command: [t, '${trialParameters.rate}']}",
        ),
    ]);
    let (document, _, report) = text(&process);
    assert!(report.is_valid(), "{}", report.render("demo"));
    assert!(crate::process::local_problems(&document.spec).is_empty());
}

#[test]
fn what_could_not_be_read_is_reported_once() {
    let found = errors(&[
        ("min: '0.1'", "min: 0.1"),
        ("objective: {type: maximize, objectiveMetricName: acc}", "objective: 7"),
        ("name: demo", "name: 3"),
        ("trialParameters:\n      - {name: rate, reference: lr}", "trialParameters: 3"),
        ("maxTrialCount: 4", "maxTrialCount: many"),
    ]);
    assert_eq!(
        found,
        [
            "metadata.name: the number `3` where a text is wanted",
            "spec.objective: the number `7` where a map is wanted",
            "spec.maxTrialCount: the text `many` where a whole number is wanted",
            "spec.parameters[0].feasibleSpace.min: the number `0.1` where a text is wanted",
            "spec.trialTemplate.trialParameters: the number `3` where a list is wanted",
        ]
    );
}
