//! The fields of the resources that are not in the Experiment's documentation, one paragraph each.

use controller_core::fields::{self, Shape};

use super::definition::Kind;
use super::schema::{Field, Holds};

/// A line of a table.
enum Line {
    /// A field.
    Own(&'static str, Shape, &'static str),
    /// A point in time.
    Time(&'static str, &'static str),
    /// A field, with all that stands below it, that is as one of the Experiment's.
    As(&'static str, &'static str),
}

use Line::{As, Own, Time};
use Shape::{Any, Bool, Int, List, Map, Text, TextMap, Texts};

const EXPERIMENT: &[Line] = &[
    As("spec.nasConfig.operations[].parameters[]", "spec.parameters[]"),
    Own("status", Map, "Where the experiment stands. Cairn writes it and reads nothing from it."),
    Time("status.startTime", "When the experiment was taken up."),
    Time("status.completionTime", "When it succeeded or failed; null before."),
    Time("status.lastReconcileTime", "Never written; it stands here because Katib has it."),
    Own(
        "status.conditions",
        List,
        "What is true of it, in the order in which it became so: the last one is the current state.",
    ),
    Own(
        "status.conditions[].type",
        Text,
        "`Created`, `Running`, `Restarting`, `Succeeded` or `Failed`; of a Trial also `Killed`, `EarlyStopped` and `MetricsUnavailable`, of a Suggestion `DeploymentReady`.",
    ),
    Own("status.conditions[].status", Text, "`True` or `False`."),
    Own("status.conditions[].reason", Text, "Why, in one word."),
    Own("status.conditions[].message", Text, "Why, in a sentence."),
    Time("status.conditions[].lastUpdateTime", "When the condition was last written."),
    Time("status.conditions[].lastTransitionTime", "When its status last changed."),
    Own("status.currentOptimalTrial", Map, "The best trial so far."),
    Own("status.currentOptimalTrial.bestTrialName", Text, "Its name."),
    Own("status.currentOptimalTrial.parameterAssignments", List, "Its parameters."),
    Own("status.currentOptimalTrial.parameterAssignments[].name", Text, "Name of the parameter."),
    Own(
        "status.currentOptimalTrial.parameterAssignments[].value",
        Text,
        "Its value, as the trial was given it.",
    ),
    Own("status.currentOptimalTrial.observation", Map, "What was measured of it."),
    Own("status.currentOptimalTrial.observation.metrics", List, "One entry a metric, the objective first."),
    Own("status.currentOptimalTrial.observation.metrics[].name", Text, "Name of the metric."),
    Own(
        "status.currentOptimalTrial.observation.metrics[].min",
        Text,
        "Smallest of its values as the trial wrote it; `unavailable` if none is a number.",
    ),
    Own(
        "status.currentOptimalTrial.observation.metrics[].max",
        Text,
        "Largest of its values as the trial wrote it; `unavailable` if none is a number.",
    ),
    Own(
        "status.currentOptimalTrial.observation.metrics[].latest",
        Text,
        "Newest of its values, a number or not.",
    ),
    Own("status.trials", Int, "How many trials there are."),
    Own("status.trialsPending", Int, "How many wait for their run to begin."),
    Own("status.trialsRunning", Int, "How many run."),
    Own("status.trialsSucceeded", Int, "How many have succeeded."),
    Own("status.trialsFailed", Int, "How many have failed."),
    Own("status.trialsKilled", Int, "How many were ended by a person."),
    Own("status.trialsEarlyStopped", Int, "How many were stopped by a rule; what they reached counts."),
    Own("status.trialMetricsUnavailable", Int, "How many ended well without reporting the objective."),
    Own("status.pendingTrialList", Texts, "The newest 500 that wait, by name."),
    Own("status.runningTrialList", Texts, "The newest 500 that run, by name."),
    Own("status.succeededTrialList", Texts, "The newest 500 that have succeeded, by name."),
    Own("status.failedTrialList", Texts, "The newest 500 that have failed, by name."),
    Own("status.killedTrialList", Texts, "The newest 500 that were ended by a person, by name."),
    Own("status.earlyStoppedTrialList", Texts, "The newest 500 that were stopped by a rule, by name."),
    Own(
        "status.metricsUnavailableTrialList",
        Texts,
        "The newest 500 that ended well without reporting the objective, by name.",
    ),
];

const TRIAL: &[Line] = &[
    Own("apiVersion", Text, "Always `kubeflow.org/v1beta1`."),
    Own("kind", Text, "Always `Trial`."),
    Own(
        "spec",
        Map,
        "What the trial runs. Cairn writes it when it creates the trial, and writes back what is edited.",
    ),
    As("spec.objective", "spec.objective"),
    As("spec.parameterAssignments", "status.currentOptimalTrial.parameterAssignments"),
    Own("spec.earlyStoppingRules", List, "Rules that stop the trial: all of them must be met."),
    Own("spec.earlyStoppingRules[].name", Text, "Name of the metric."),
    Own("spec.earlyStoppingRules[].value", Text, "What the metric's value is compared with."),
    Own("spec.earlyStoppingRules[].comparison", Text, "`equal`, `less` or `greater`: when the rule is met."),
    Own(
        "spec.earlyStoppingRules[].startStep",
        Int,
        "How many values of the metric there must be before the rule is looked at.",
    ),
    Own("spec.runSpec", Any, "The object that is run: the trial template with every placeholder replaced."),
    Own("spec.retainRun", Bool, "Whether the object stays after the trial's end."),
    As("spec.metricsCollector", "spec.metricsCollectorSpec"),
    As("spec.primaryPodLabels", "spec.trialTemplate.primaryPodLabels"),
    As("spec.primaryContainerName", "spec.trialTemplate.primaryContainerName"),
    As("spec.successCondition", "spec.trialTemplate.successCondition"),
    As("spec.failureCondition", "spec.trialTemplate.failureCondition"),
    Own(
        "spec.labels",
        TextMap,
        "Labels that came with the suggestion; the trial and its pods have them too.",
    ),
    Own(
        "status",
        Map,
        "Where the trial stands. Cairn writes it; a condition `Killed` that is set to `True` is a wish to end the trial.",
    ),
    Time("status.startTime", "When the trial was created."),
    Time("status.completionTime", "When it ended; null before."),
    As("status.lastReconcileTime", "status.lastReconcileTime"),
    As("status.conditions", "status.conditions"),
    As("status.observation", "status.currentOptimalTrial.observation"),
];

const SUGGESTION: &[Line] = &[
    Own("apiVersion", Text, "Always `kubeflow.org/v1beta1`."),
    Own("kind", Text, "Always `Suggestion`."),
    Own(
        "spec",
        Map,
        "What was asked of the algorithm. Cairn answers in its own process and writes this for others to read.",
    ),
    As("spec.algorithm", "spec.algorithm"),
    As("spec.earlyStopping", "spec.earlyStopping"),
    Own("spec.requests", Int, "How many points were asked for so far."),
    As("spec.resumePolicy", "spec.resumePolicy"),
    Own("status", Map, "What was answered. Cairn writes it and reads nothing from it."),
    Time("status.startTime", "When the experiment was taken up."),
    Time("status.completionTime", "Never set; it stands here because Katib has it."),
    As("status.lastReconcileTime", "status.lastReconcileTime"),
    Own(
        "status.algorithmSettings",
        List,
        "Settings that a suggestion service of somebody else wants to be told again; they lie over those of the spec.",
    ),
    As("status.algorithmSettings[].name", "spec.algorithm.algorithmSettings[].name"),
    As("status.algorithmSettings[].value", "spec.algorithm.algorithmSettings[].value"),
    Own("status.suggestionCount", Int, "How many points were answered so far."),
    Own(
        "status.suggestions",
        List,
        "The points of the trials that have not ended and the newest 100 of all, oldest first.",
    ),
    Own("status.suggestions[].name", Text, "Name of the trial."),
    As("status.suggestions[].parameterAssignments", "status.currentOptimalTrial.parameterAssignments"),
    Own("status.suggestions[].earlyStoppingRules", List, "Rules that stop the trial."),
    Own("status.suggestions[].earlyStoppingRules[].name", Text, "Name of the metric."),
    Own("status.suggestions[].earlyStoppingRules[].value", Text, "What the metric's value is compared with."),
    Own("status.suggestions[].earlyStoppingRules[].comparison", Text, "`equal`, `less` or `greater`."),
    Own(
        "status.suggestions[].earlyStoppingRules[].startStep",
        Int,
        "Values before which it is not looked at.",
    ),
    Own("status.suggestions[].labels", TextMap, "Labels that the trial gets beside the experiment's."),
    As("status.conditions", "status.conditions"),
];

/// Every field of a kind.
pub(super) fn fields(kind: Kind) -> Vec<Field> {
    let documented = fields::FIELDS.iter().map(|field| Field {
        path: field.path.into(),
        holds: Holds::Plain(field.shape),
        doc: field.doc,
    });
    let mut experiment: Vec<Field> = documented.collect();
    let own = expand(EXPERIMENT, &experiment);
    experiment.extend(own);
    match kind {
        Kind::Experiment => experiment,
        Kind::Trial => expand(TRIAL, &experiment),
        Kind::Suggestion => expand(SUGGESTION, &experiment),
    }
}

fn expand(lines: &[Line], experiment: &[Field]) -> Vec<Field> {
    let mut fields = Vec::new();
    for line in lines {
        match *line {
            Own(path, shape, doc) => {
                fields.push(Field { path: path.into(), holds: Holds::Plain(shape), doc });
            }
            Time(path, doc) => fields.push(Field { path: path.into(), holds: Holds::Time, doc }),
            As(path, like) => fields.extend(experiment.iter().filter_map(|field| {
                let rest = field.path.strip_prefix(like)?;
                let below = rest.is_empty() || rest.starts_with(['.', '[']);
                below.then(|| Field { path: format!("{path}{rest}"), ..field.clone() })
            })),
        }
    }
    fields
}
