//! Experiments that say what cannot be.

use super::{folder, refusal};

/// Each is refused with exactly this under the heading.
fn refused(table: &[(&str, &str, &str)]) {
    for (from, to, wanted) in table {
        let said = refusal(&folder(&[(from, to)]), "experiment.yaml");
        assert_eq!(said.trim_end(), format!("error: experiment `demo` is not valid\n{wanted}"), "{to}");
    }
}

#[test]
fn wrong_types_are_named_once_with_the_way_out() {
    refused(&[
        (
            "min: \"0.1\"",
            "min: 0.1",
            "  spec.parameters[0].feasibleSpace.min (line 12): the number `0.1` where a text is wanted\n\
             hint: quote it: write \"0.1\"",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: many",
            "  spec.maxTrialCount (line 9): the text `many` where a whole number is wanted",
        ),
        (
            "maxTrialCount: 4",
            "maxTrialCount: 99999999999",
            "  spec.maxTrialCount (line 9): the number `99999999999` is out of range",
        ),
        (
            "objective: {type: minimize, objectiveMetricName: loss}",
            "objective: 7",
            "  spec.objective (line 6): the number `7` where a map is wanted",
        ),
        (
            "trialParameters: [{name: lr, reference: lr}]",
            "trialParameters: lr",
            "  spec.trialTemplate.trialParameters (line 14): the text `lr` where a list is wanted",
        ),
    ]);
}

#[test]
fn a_space_without_points_is_refused() {
    refused(&[
        (
            "parameterType: double, feasibleSpace: {min: \"0.1\", max: \"1\"}",
            "parameterType: categorical, feasibleSpace: {list: []}",
            "  spec.parameters[0] (line 12): `lr`: the list is empty",
        ),
        ("min: \"0.1\"", "min: \"10\"", "  spec.parameters[0] (line 12): `lr`: min 10 is above max 1"),
        (
            "min: \"0.1\"",
            "distribution: logUniform, min: \"0\"",
            "  spec.parameters[0] (line 12): `lr`: a log distribution needs min above 0, has 0",
        ),
        ("min: \"0.1\"", "min: low", "  spec.parameters[0].feasibleSpace.min (line 12): `low` is no number"),
        ("min: \"0.1\"", "min: nan", "  spec.parameters[0] (line 12): `lr`: min is not a finite number"),
        (
            "min: \"0.1\", max: \"1\"}",
            "min: \"0.1\", max: \"1\"}, prior: {mean: 3, std: 1}",
            "  spec.parameters[0].prior (line 12): `lr`: mean 3 is not between min 0.1 and max 1; move it, or widen the space\n\
             hint: for example `prior: {mean: 0.01, std: 0.5}`, or `prior: {weights: {adam: 3, sgd: 1}}` for a list",
        ),
        (
            "  parameters:",
            "  parameterConstraints: [\"lr > 5\"]\n  parameters:",
            "  spec.parameterConstraints (line 11): no point of 20000 meets them all: lr > 5\n\
             hint: widen the space or the constraints",
        ),
    ]);
}

#[test]
fn algorithms_and_settings_that_do_not_exist_are_refused_with_those_that_do() {
    refused(&[(
        "algorithmName: random",
        "algorithmName: randm",
        "  spec.algorithm (line 7): unknown algorithm `randm`; did you mean `random`?",
    )]);
    let setting = "algorithmName: tpe, algorithmSettings: [{name: n_startup, value: \"3\"}]";
    let said = refusal(&folder(&[("algorithmName: random", setting)]), "experiment.yaml");
    assert!(
        said.contains("unknown setting `n_startup` for algorithm `tpe`; it knows ")
            && said.contains("n_startup_trials"),
        "{said}"
    );
}

#[test]
fn a_template_and_its_parameters_must_meet() {
    refused(&[
        (
            "echo loss=${trialParameters.lr}",
            "echo loss=1",
            "  spec.trialTemplate.trialParameters[0] (line 14): `${trialParameters.lr}` does not occur in trialSpec",
        ),
        (
            "echo loss=",
            "echo ${trialParameters.rate} loss=",
            "  spec.trialTemplate.trialSpec (line 15): `${trialParameters.rate}` stands for nothing\n\
             hint: add `rate` to trialParameters",
        ),
    ]);
    let said = refusal(&folder(&[("[{name: lr, reference: lr}]", "[]")]), "experiment.yaml");
    assert!(said.contains("parameter `lr` reaches no trial"), "{said}");
}

#[test]
fn a_slip_in_the_name_of_a_field_is_told_and_meant_well() {
    let cairn = folder(&[("parallelTrialCount", "paralelTrialCount")]);
    let output = cairn.run(["validate", "experiment.yaml"]).ok();
    assert_eq!(
        output.stderr,
        "experiment `demo` is valid\n\
         warning: spec.paralelTrialCount (line 8): unknown field, passed over\n\
         hint: did you mean `parallelTrialCount`?\n"
    );
}

#[test]
fn what_this_machine_does_not_have_is_refused_before_anything_starts() {
    let resources = |wanted: &str| format!("resources: {{{wanted}}}\n      command:");
    let said = |wanted: &str| {
        let cairn = folder(&[("command:", &resources(wanted))]).with("CUDA_VISIBLE_DEVICES", "");
        refusal(&cairn, "experiment.yaml")
    };
    let text = said("nvidia.com/gpu: 1");
    assert!(text.contains("wants 1 GPU and this machine has none") && text.contains("remove"), "{text}");
    let text = said("cpu: 100000");
    assert!(text.contains("wants 100000 CPU and this machine has "), "{text}");
    let text = said("memory: 9000Ti");
    assert!(text.contains("of memory and this machine has "), "{text}");
    let text = said("nvidia.com/gpu: 0.5");
    assert!(text.contains("only whole GPUs are handed out"), "{text}");
    let text = said("memory: lots, cpu: -1");
    assert!(text.contains("`lots` is no quantity") && text.contains("`-1` is no quantity"), "{text}");
}

#[test]
fn what_only_a_cluster_has_is_refused_by_name() {
    let job = |pod: &str| {
        let text = super::experiment(&[]);
        let (head, _) = text.split_once("    trialSpec:").unwrap();
        format!(
            "{head}    primaryContainerName: main\n    trialSpec:\n      apiVersion: batch/v1\n      kind: Job\n      \
             spec: {{template: {{spec: {{{pod}}}}}}}\n"
        )
    };
    let main = "name: main, image: x, args: ['${trialParameters.lr}']";
    let command = "command: [sh, -c, 'echo loss=1']";
    let secret = "env: [{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]";
    for (pod, words) in [
        (format!("containers: [{{{main}}}]"), ["containers[0].command", "images are not pulled here"]),
        (
            format!("containers: [{{{main}, {command}, {secret}}}]"),
            ["`KEY` comes from a secretKeyRef", "give it a `value`"],
        ),
        (
            format!("initContainers: [{{name: fetch, image: x}}], containers: [{{{main}, {command}}}]"),
            ["spec.initContainers", "initContainers need a cluster"],
        ),
    ] {
        let cairn = e2e::Cairn::new();
        cairn.write("experiment.yaml", job(&pod));
        let said = refusal(&cairn, "experiment.yaml");
        assert!(words.iter().all(|word| said.contains(word)), "{pod}: {said}");
    }
}
