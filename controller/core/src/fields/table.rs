//! The fields, one paragraph each.

mod promotion;

use std::sync::LazyLock;

use super::Field;
use super::Shape::{
    self, Any, Bool, Int, Ints, List, Map, Number, NumberMap, Text, TextMap, TextMaps, Texts,
};

/// Words that belong to Cairn's language and whose feature is not in this build: refused, never passed over.
pub const UNBUILT: [&str; 3] = ["spec.objectives", "spec.outcomeConstraints", "spec.warmStart"];

const fn f(path: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { path, shape, doc }
}

/// All fields, in the order in which one writes them.
pub static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| [BEFORE, promotion::FIELDS, AFTER].concat());

/// Those before `spec.promotion`.
const BEFORE: &[Field] = &[
    f("apiVersion", Text, "Always `kubeflow.org/v1beta1`: Katib's Experiment, which Cairn reads unchanged."),
    f("kind", Text, "Always `Experiment`."),
    f("metadata", Map, "Who the experiment is."),
    f(
        "metadata.name",
        Text,
        "Name of the experiment, unique in its namespace: lower-case letters, digits and `-`, beginning with a letter, at most 40 characters. Names of trials begin with it.",
    ),
    f(
        "metadata.namespace",
        Text,
        "Namespace; `default` when unset. It keeps experiments of the same name apart.",
    ),
    f("metadata.labels", TextMap, "Labels for finding the experiment again. Cairn gives them no meaning."),
    f("metadata.annotations", TextMap, "Notes of other tools. Cairn gives them no meaning."),
    f("spec", Map, "What is searched, how a trial is run, and when the search ends."),
    // What is optimised.
    f("spec.objective", Map, "What the search is after: one metric and whether small or large is good."),
    f("spec.objective.type", Text, "`minimize` or `maximize`."),
    f(
        "spec.objective.goal",
        Number,
        "The experiment has succeeded as soon as a trial's objective is at least as good as this number. Unset: it runs until another limit ends it.",
    ),
    f(
        "spec.objective.objectiveMetricName",
        Text,
        "Name of the metric that counts, as the trial prints, writes or pushes it.",
    ),
    f(
        "spec.objective.additionalMetricNames",
        Texts,
        "Names of metrics that are kept beside the objective and shown with it. They do not steer the search.",
    ),
    f(
        "spec.objective.metricStrategies",
        List,
        "Which value of a metric's rows stands for the trial. Every metric without an entry gets `min` if the objective is minimised and `max` if it is maximised.",
    ),
    f("spec.objective.metricStrategies[].name", Text, "Name of the metric."),
    f("spec.objective.metricStrategies[].value", Text, "`min`, `max` or `latest` of all its rows."),
    // Who proposes.
    f(
        "spec.algorithm",
        Map,
        "Who proposes the points to try. Unset: `auto` chooses by the space and the budget. `cairn algorithms` lists them all.",
    ),
    f(
        "spec.algorithm.algorithmName",
        Text,
        "Name of the algorithm, such as `random`, `grid`, `sobol`, `tpe`, `bayesianoptimization`, `cmaes`, `hyperband`, `asha` or `auto`.",
    ),
    f(
        "spec.algorithm.algorithmSettings",
        List,
        "Settings of the algorithm, all written as texts. `cairn algorithms NAME` lists those it knows; `random_state` is the seed and wins over `spec.seed`.",
    ),
    f("spec.algorithm.algorithmSettings[].name", Text, "Name of the setting."),
    f("spec.algorithm.algorithmSettings[].value", Text, "Its value, quoted: `\"10\"`."),
    f(
        "spec.algorithm.endpoint",
        Text,
        "`host:port` of a Katib suggestion service of somebody else that proposes the points instead.",
    ),
    f(
        "spec.earlyStopping",
        Map,
        "Who stops trials that will come to nothing. Unset: every trial runs to its end.",
    ),
    f("spec.earlyStopping.algorithmName", Text, "Name of the rule, such as `medianstop`."),
    f(
        "spec.earlyStopping.algorithmSettings",
        List,
        "Settings of the rule, written as texts, such as `min_trials_required` and `start_step`.",
    ),
    f("spec.earlyStopping.algorithmSettings[].name", Text, "Name of the setting."),
    f("spec.earlyStopping.algorithmSettings[].value", Text, "Its value, quoted."),
    f("spec.earlyStopping.endpoint", Text, "`host:port` of an early stopping service of somebody else."),
    // The space.
    f("spec.parameters", List, "The search space: one entry for each value that a trial is given."),
    f(
        "spec.parameters[].name",
        Text,
        "Name of the parameter, unique in the experiment. `trialParameters[].reference` refers to it.",
    ),
    f(
        "spec.parameters[].parameterType",
        Text,
        "`double`, `int`, `discrete` (a list of numbers) or `categorical` (a list of texts).",
    ),
    f(
        "spec.parameters[].feasibleSpace",
        Map,
        "The values the parameter may take. Every number in it is written as a text: `min: \"0.1\"`.",
    ),
    f(
        "spec.parameters[].feasibleSpace.min",
        Text,
        "Smallest value of a `double` or `int` parameter, included, quoted.",
    ),
    f(
        "spec.parameters[].feasibleSpace.max",
        Text,
        "Largest value of a `double` or `int` parameter, included where a step reaches it, quoted.",
    ),
    f(
        "spec.parameters[].feasibleSpace.step",
        Text,
        "Distance of neighbouring values, counted from `min`, quoted. Unset: 1 for `int`, and any value between the bounds for `double`.",
    ),
    f(
        "spec.parameters[].feasibleSpace.list",
        Texts,
        "The values of a `discrete` or `categorical` parameter, each a text. Discrete values are sorted; texts reach the trial as written.",
    ),
    f(
        "spec.parameters[].feasibleSpace.distribution",
        Text,
        "How values are spread before anything is known: `uniform` (the default), `logUniform`, `normal` or `logNormal`. Those in the logarithm need `min` above 0; the normal ones have their mean in the middle and a sixth of the width as standard deviation.",
    ),
    f(
        "spec.parameters[].when",
        Map,
        "Condition under which the parameter exists, by another parameter's name: a value, a list of values, or `{min, max}`. Several must hold together, and a parent may have conditions of its own. Example: `when: {optimizer: sgd}`.",
    ),
    f(
        "spec.parameters[].default",
        Text,
        "A value of the space, as text: the first trial starts from it, and it is what the placeholder becomes while the parameter is inactive.",
    ),
    f(
        "spec.parameters[].ordered",
        Bool,
        "Whether the order of a categorical list means something, such as small, medium, large: neighbours are then taken to be alike.",
    ),
    f(
        "spec.parameters[].prior",
        Map,
        "Where the best value is believed to lie: `mean` and `std` for a number, `weights` for a list. The search looks there first and is led away by what it measures; no value is forbidden. Example: `prior: {mean: 0.01, std: 0.5}`.",
    ),
    f("spec.parameters[].prior.mean", Number, "The most believable value of a number, between its bounds."),
    f(
        "spec.parameters[].prior.std",
        Number,
        "How sure that is: two times in three the best value is taken to lie no farther from `mean`. In the parameter's own unit; in powers of ten where the distribution is `logUniform` or `logNormal`, so that 0.5 is a factor of about 3 up and down.",
    ),
    f(
        "spec.parameters[].prior.weights",
        NumberMap,
        "How likely each value of a list is to be the best, against the others: numbers above 0, by value. Values left out have weight 1. Example: `weights: {adam: 3, sgd: 1}`.",
    ),
    f(
        "spec.parameterConstraints",
        Texts,
        "Inequalities over parameters that every trial must meet, such as `lr * batch <= 8`: `+ - * / ^`, `min max abs log exp`, `< <= >= >`. No point that breaks one is ever tried.",
    ),
    f(
        "spec.queuedPoints",
        TextMaps,
        "Assignments that are tried first, in order, before the algorithm is asked: texts by parameter name, one for each parameter that is active. They run whole: early stopping passes them over.",
    ),
    f(
        "spec.repeats",
        Int,
        "For objectives with noise: how often a point that does best is run, in all, before it is trusted; its mean counts then. The point of the lowest mean is run again, one run at a time beside the search, until it has had so many or another is lower. Each run is a trial and counts as one in `maxTrialCount`. A program that seeds its chance should seed each run differently. Unset: 1, every result is taken as it is.",
    ),
    f(
        "spec.seed",
        Int,
        "Seed of all chance in the search. Unset: one is drawn and stored. The same seed, spec and order of ends give the same trials.",
    ),
    // How a trial runs.
    f("spec.trialTemplate", Map, "How a trial is run: an object with placeholders, and what they stand for."),
    f(
        "spec.trialTemplate.trialParameters",
        List,
        "The placeholders of the template. Every parameter of the search must be the reference of one.",
    ),
    f(
        "spec.trialTemplate.trialParameters[].name",
        Text,
        "Name in the template: `${trialParameters.NAME}` is replaced wherever it stands, as text.",
    ),
    f("spec.trialTemplate.trialParameters[].description", Text, "For people."),
    f(
        "spec.trialTemplate.trialParameters[].reference",
        Text,
        "The parameter whose value it is, or `${trialSpec.Name}`, `${trialSpec.Namespace}`, `${trialSpec.Kind}`, `${trialSpec.APIVersion}`, `${trialSpec.Labels[KEY]}` or `${trialSpec.Annotations[KEY]}`.",
    ),
    f(
        "spec.trialTemplate.trialSpec",
        Any,
        "The object to run. Kind `Process` of `cairn.dev/v1` is a command on this machine; a `batch/v1` Job and the one-replica shapes of PyTorchJob, TFJob, XGBoostJob and TrainJob run here too, without their image. Name and namespace are given by Cairn.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec",
        Map,
        "What a Process runs. The fields below are those of kind `Process`.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.command",
        Texts,
        "Program and arguments of a Process. It is started as written, without a shell.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.args",
        Texts,
        "Further arguments of a Process, after `command`. One whose placeholder belongs to an inactive parameter without a default is dropped.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.env",
        TextMap,
        "Environment variables of a Process beside those that Cairn was started with: a map, or a list of `{name, value}`.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.workingDir",
        Text,
        "Where a Process starts, relative to the folder of the Experiment file. Unset: that folder.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.resources",
        Map,
        "What a Process needs: a trial waits until it is free. `cpu`, `memory` and `nvidia.com/gpu`, as quantities such as `2`, `500m` or `16Gi`.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.timeout",
        Text,
        "Longest time a Process may run, such as `90s` or `2h`; it has failed when it runs longer.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.retries",
        Int,
        "How often a Process that failed is started again before its trial has failed. Unset: 0.",
    ),
    f(
        "spec.trialTemplate.trialSpec.spec.image",
        Text,
        "Container image of a Process, used on a cluster only.",
    ),
    f(
        "spec.trialTemplate.configMap",
        Map,
        "The template in a config map instead of `trialSpec`; needs a cluster.",
    ),
    f("spec.trialTemplate.configMap.configMapName", Text, "Name of the config map."),
    f("spec.trialTemplate.configMap.configMapNamespace", Text, "Namespace of the config map."),
    f("spec.trialTemplate.configMap.templatePath", Text, "Key in the config map's data."),
    f(
        "spec.trialTemplate.retain",
        Bool,
        "Whether the run's objects stay after its end, and checkpoints of ended trials that nobody goes on from.",
    ),
    f(
        "spec.trialTemplate.primaryPodLabels",
        TextMap,
        "Labels of the pods whose metrics count. Known kinds of jobs have a default.",
    ),
    f(
        "spec.trialTemplate.primaryContainerName",
        Text,
        "Name of the container whose metrics count and whose end is the trial's end. A Process needs none.",
    ),
    f(
        "spec.trialTemplate.successCondition",
        Text,
        "GJSON expression over the object's status that says that the trial has succeeded. Known kinds of jobs have a default; a Process needs none.",
    ),
    f(
        "spec.trialTemplate.failureCondition",
        Text,
        "GJSON expression over the object's status that says that the trial has failed. Known kinds of jobs have a default; a Process needs none.",
    ),
    // Budgets.
    f(
        "spec.parallelTrialCount",
        Int,
        "Trials that run at once; 3 when unset. It cannot be above `maxTrialCount`. May be edited while the experiment runs.",
    ),
    f(
        "spec.maxTrialCount",
        Int,
        "Trials after whose end the experiment has succeeded. Unset: it runs until another limit ends it. May be edited.",
    ),
    f(
        "spec.maxFailedTrialCount",
        Int,
        "Failed trials at which the experiment has failed. Unset: no number of failures ends it. May be edited.",
    ),
    f("spec.maxDuration", Text, "Longest time from start to end, such as `2h30m` or `7d`. May be edited."),
    f("spec.maxGpuHours", Number, "Most hours of GPUs that all runs may take together. May be edited."),
    f(
        "spec.maxCost",
        Number,
        "Most money that all runs may cost together, in the currency of `pricePerSlotHour`. May be edited.",
    ),
    f(
        "spec.pricePerSlotHour",
        Number,
        "Price of one slot for an hour: of a GPU, or of a CPU for runs without one.",
    ),
    f(
        "spec.artifacts",
        Map,
        "Where the models that trials leave in `CAIRN_MODEL_DIR` are kept, and how many. Unset: all of them, in Cairn's own store.",
    ),
    f(
        "spec.artifacts.store",
        Text,
        "`file:///folder` (this machine), `s3://bucket/path`, `gs://bucket/path`, `az://container/path`, `pvc://claim/path` (a cluster's volume), or `cairn://`, Cairn's own: the folder of the runs on this machine, the controller's volume on a cluster. A model lies at `<store>/<namespace>/<experiment>/<trial>/<attempt>/model`.",
    ),
    f("spec.artifacts.keep", Map, "Which models stay. Unset: all."),
    f(
        "spec.artifacts.keep.best",
        Int,
        "How many of the best trials keep their models; that of a trial that is beaten is removed, and the trial says when. One that something refers to stays.",
    ),
    f(
        "spec.artifacts.maxBytes",
        Text,
        "Most bytes of one model, as a quantity such as `500Mi` or `10Gi`; a trial that leaves more has failed. Unset: as many as there is room for here, 10Gi on a cluster.",
    ),
    f(
        "spec.artifacts.secretRef",
        Map,
        "The Secret with the keys of a bucket, which the sidecar of each trial gets as variables, such as `AWS_ACCESS_KEY_ID`; the trial's program does not. Unset: the identity of the pod. Needs a cluster.",
    ),
    f("spec.artifacts.secretRef.name", Text, "Name of a Secret in the experiment's namespace."),
    f(
        "spec.suspend",
        Bool,
        "While true, no new trial is started: the wish of `cairn stop`, which `cairn resume` takes back.",
    ),
];

/// Those behind `spec.promotion`.
const AFTER: &[Field] = &[
    f(
        "spec.resumePolicy",
        Text,
        "`Never` (the default), `LongRunning` or `FromVolume`: whether an experiment that reached its trial count may be given a larger one.",
    ),
    // Metrics.
    f(
        "spec.metricsCollectorSpec",
        Map,
        "How metrics are collected. Unset: lines such as `accuracy=0.93` on the trial's output.",
    ),
    f("spec.metricsCollectorSpec.collector", Map, "Who collects."),
    f(
        "spec.metricsCollectorSpec.collector.kind",
        Text,
        "`StdOut` (the default), `File`, `TensorFlowEvent`, `PrometheusMetric`, `Custom` or `Push`.",
    ),
    f(
        "spec.metricsCollectorSpec.collector.customCollector",
        Any,
        "The container of a `Custom` collector; needs a cluster.",
    ),
    f("spec.metricsCollectorSpec.source", Map, "Where the collector looks."),
    f(
        "spec.metricsCollectorSpec.source.fileSystemPath",
        Map,
        "The file of a `File` collector, or the folder of a `TensorFlowEvent` collector.",
    ),
    f(
        "spec.metricsCollectorSpec.source.fileSystemPath.path",
        Text,
        "Absolute path. On this machine each trial gets one of its own, which replaces this one in command, arguments and variables.",
    ),
    f("spec.metricsCollectorSpec.source.fileSystemPath.kind", Text, "`File` or `Directory`."),
    f(
        "spec.metricsCollectorSpec.source.fileSystemPath.format",
        Text,
        "`TEXT` (the default of a file) or `JSON`, one object a line. Event files have none.",
    ),
    f("spec.metricsCollectorSpec.source.filter", Map, "How metrics are found in lines."),
    f(
        "spec.metricsCollectorSpec.source.filter.metricsFormat",
        Texts,
        "Regular expressions (RE2) with two groups, name and value. Unset: `name=value` with spaces allowed around `=`.",
    ),
    f("spec.metricsCollectorSpec.source.httpGet", Map, "The page that a `PrometheusMetric` collector reads."),
    f("spec.metricsCollectorSpec.source.httpGet.path", Text, "Path of the page; `/metrics` when unset."),
    f(
        "spec.metricsCollectorSpec.source.httpGet.port",
        Any,
        "Port; 8080 when unset. 0 gives each trial a free one in `CAIRN_METRICS_PORT`, which several trials at once need on one machine.",
    ),
    f("spec.metricsCollectorSpec.source.httpGet.host", Text, "Host; the trial's own when unset."),
    f("spec.metricsCollectorSpec.source.httpGet.scheme", Text, "`HTTP` (the default) or `HTTPS`."),
    // Again.
    f(
        "spec.schedule",
        Map,
        "When all of this is done again. The experiment runs nothing itself: its runs do.",
    ),
    f("spec.schedule.cron", Text, "Minute, hour, day, month, weekday, as `0 3 * * 0`; or `@daily`."),
    f("spec.schedule.timeZone", Text, "Whose clock `cron` goes by, as `Europe/Berlin`; `UTC` when unset."),
    f("spec.schedule.every", Text, "Time from one run to the next, as `12h`; instead of `cron`."),
    f("spec.schedule.onNewData", Map, "Data whose change begins a run, once it holds still."),
    f("spec.schedule.onNewData.path", Text, "File or folder, from the Experiment's folder on."),
    f("spec.schedule.onNewData.check", Text, "How often it is looked at; `1m` when unset."),
    f("spec.schedule.onDrift", Bool, "Whether a drift of what the served model sees begins a run."),
    f(
        "spec.schedule.concurrency",
        Text,
        "Due while a run goes on: `forbid` (wait), `allow` or `replace` it.",
    ),
    f("spec.schedule.suspend", Bool, "Whether nothing begins by itself until `cairn schedule resume`."),
    f("spec.schedule.startingDeadline", Text, "How late a run may begin, as `1h`; however late when unset."),
    f("spec.schedule.history", Map, "How many runs that are over stay; older ones are deleted."),
    f("spec.schedule.history.succeeded", Int, "Of those that succeeded; 3 when unset."),
    f("spec.schedule.history.failed", Int, "Of those that failed; 1 when unset."),
    // Architectures.
    f("spec.nasConfig", Map, "Search for a network's architecture instead of parameters."),
    f("spec.nasConfig.graphConfig", Map, "Shape of the network."),
    f("spec.nasConfig.graphConfig.numLayers", Int, "Number of layers."),
    f("spec.nasConfig.graphConfig.inputSizes", Ints, "Shape of the input."),
    f("spec.nasConfig.graphConfig.outputSizes", Ints, "Shape of the output."),
    f("spec.nasConfig.operations", List, "What a layer may be."),
    f("spec.nasConfig.operations[].operationType", Text, "Kind of layer, such as `convolution`."),
    f(
        "spec.nasConfig.operations[].parameters",
        List,
        "Parameters of the layer, written as `spec.parameters`.",
    ),
];
