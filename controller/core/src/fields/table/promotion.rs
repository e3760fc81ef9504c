//! What happens to the winner.

use super::super::Field;
use super::super::Shape::{Any, Bool, Int, Ints, List, Map, Number, Text, Texts};
use super::f;

/// The fields of `spec.promotion`.
pub(super) const FIELDS: &[Field] = &[
    f(
        "spec.promotion",
        Map,
        "What happens to the winner once the search has succeeded: its model is read, measured against the champion, approved, and becomes a version of a model and its champion. `cairn promote` does the same by hand.",
    ),
    f(
        "spec.promotion.model",
        Text,
        "Name of the model, unique in its namespace: lower-case letters, digits and `-`. Versions, the champion and the line of promotions belong to it; several experiments may promote to one model.",
    ),
    f(
        "spec.promotion.source",
        Text,
        "Whence the model comes: `trial`, what the best trial left in CAIRN_MODEL_DIR. Unset: `trial`.",
    ),
    f(
        "spec.promotion.gate",
        Map,
        "What a candidate has to reach on the data of the step `evaluate`. The search's own objective never counts here: the best of many trials looks better than it is. Unset: every winner passes.",
    ),
    f("spec.promotion.gate.metric", Text, "The metric that counts, as the step `evaluate` prints it."),
    f(
        "spec.promotion.gate.minimum",
        Number,
        "The smallest value that passes, of a metric that is to be large. A first candidate has to reach this alone.",
    ),
    f(
        "spec.promotion.gate.maximum",
        Number,
        "The largest value that passes, of a metric that is to be small.",
    ),
    f(
        "spec.promotion.gate.improvesOn",
        Text,
        "`champion`: the candidate has to be better than the champion of the model, measured on the same data. One that is not is passed over, which is no failure.",
    ),
    f(
        "spec.promotion.gate.by",
        Number,
        "By how much it has to be better, in the unit of the metric. Unset: 0.",
    ),
    f(
        "spec.promotion.gate.confidence",
        Number,
        "How sure that has to be, such as 0.95, example by example: by McNemar's test where every score is 0 or 1 and `by` is 0, else by a paired bootstrap. The step prints a line `step=I score=S` for each example. Unset: the difference of the two values is enough.",
    ),
    f(
        "spec.promotion.approval",
        Map,
        "Who has to agree before the candidate becomes champion: `cairn promotion approve`. An approval is for one digest and void once the model has changed.",
    ),
    f(
        "spec.promotion.approval.by",
        Texts,
        "People of whom one has to agree. Unset: anyone but the one who wanted the promotion.",
    ),
    f(
        "spec.promotion.approval.expires",
        Text,
        "How long that may take, such as `7d`; the promotion has failed then. Unset: for ever.",
    ),
    f("spec.promotion.pipeline", Map, "The steps between the winner and the champion."),
    f("spec.promotion.pipeline.steps", List, "The steps, each a program that is run as trials are."),
    f("spec.promotion.pipeline.steps[].name", Text, "Which step: `evaluate` measures a model for the gate."),
    f(
        "spec.promotion.pipeline.steps[].data",
        Text,
        "The file that the step measures on, which the search has not seen, relative to the Experiment's folder. Its digest goes into the evidence.",
    ),
    f(
        "spec.promotion.pipeline.steps[].process",
        Any,
        "The program, with the fields of a Process: `command`, `args`, `env`, `workingDir`, `resources`, `timeout`, `image`. `${model.path}`, `${model.uri}` and `${model.digest}` stand for the model that is measured, `${data}` for the file.",
    ),
    f(
        "spec.promotion.serving",
        Map,
        "How the candidate is served and takes over the requests: its server is started, has to answer the trial's `sample` as `expected`, and gets more and more of the requests at the model's own address. On this machine alone. Unset: as the champion is served, if it is.",
    ),
    f(
        "spec.promotion.serving.template",
        Text,
        "Which server: `mlserver` (from PyPI, for sklearn, xgboost, lightgbm and mlflow models), or `custom`, the one of `process`. It speaks the Open Inference Protocol v2.",
    ),
    f(
        "spec.promotion.serving.process",
        Any,
        "The server of `custom`, with the fields of a Process. `${port}` stands for the port that it serves on, `${grpcPort}` for one on which it speaks gRPC, if it does, `${model.path}` for the folder of the model, `${model.name}` for its name, `${model.digest}` and `${model.uri}` as in steps.",
    ),
    f(
        "spec.promotion.serving.mode",
        Text,
        "How requests move over to the candidate: `canary` (one share after the other), `shadow` (a copy of each request first, whose answers are compared and go to nobody; then as `canary`), `blueGreen` (all at once; the version before stays warm while guards look on), `ab` (the share of `share` stands, the same for each value of the header of `sticky`, until `bake` is over or `cairn promotion finish` or `cancel` ends it). A first version gets all requests at once in every mode. Unset: `canary`.",
    ),
    f(
        "spec.promotion.serving.canary",
        Ints,
        "The shares of the requests that the candidate gets one after the other, in percent, such as `[5, 25, 50, 100]`. At 100 it is the champion. Unset: all at once.",
    ),
    f(
        "spec.promotion.serving.share",
        Int,
        "Of mode `ab`: the share of the requests that the candidate gets, in percent, from 1 to 99. Unset: 50.",
    ),
    f(
        "spec.promotion.serving.compare",
        Map,
        "Of mode `shadow`: how the candidate's answers are compared with the champion's. Both have to have the same status; of two failures with the same status nothing more is compared. A request is copied if it asks for `/infer` and neither it nor its answer is longer than 256 KiB; copies for which there is no room are left out and counted.",
    ),
    f(
        "spec.promotion.serving.compare.output",
        Text,
        "The output that has to be alike, such as `digit`. Unset: all of them.",
    ),
    f(
        "spec.promotion.serving.compare.tolerance",
        Number,
        "How far a number may lie from the champion's: so much absolutely, and as large a share of it on top. Unset: 0.0001 and a thousandth, as in smoke tests.",
    ),
    f(
        "spec.promotion.serving.bake",
        Text,
        "How long each share lasts at least, such as `10m`; so long copies are answered, and a candidate is watched that got all requests at once. Unset: no longer than `minRequests` takes; of mode `ab`, until a person ends it.",
    ),
    f(
        "spec.promotion.serving.minRequests",
        Int,
        "How many requests the candidate answers at least before its share grows. Unset: 0, so that `bake` alone counts.",
    ),
    f(
        "spec.promotion.serving.guards",
        List,
        "What sends all requests back to the champion as soon as it is sure that the candidate is worse; one may look as often as one likes: of rollouts that are no worse, at most one in a hundred is sent back by all guards together. Requests that cannot be counted send them back too.",
    ),
    f(
        "spec.promotion.serving.guards[].errorRate",
        Map,
        "On the share of requests that fail: status 400 and above, or no answer by the time whoever asked gives up. Who asks wrongly asks both versions so.",
    ),
    f(
        "spec.promotion.serving.guards[].errorRate.worseBy",
        Any,
        "By how much more may fail, such as 0.01 for one request in a hundred.",
    ),
    f(
        "spec.promotion.serving.guards[].latencyP95",
        Map,
        "On the time within which 95 % of the requests are answered.",
    ),
    f(
        "spec.promotion.serving.guards[].latencyP95.worseBy",
        Any,
        "By how much longer that may take, such as `20%`.",
    ),
    f(
        "spec.promotion.serving.guards[].quality",
        Map,
        "On how often answers are right, by the labels that `cairn models feedback` brings. Needs `watch.log`.",
    ),
    f("spec.promotion.serving.guards[].quality.worseBy", Any, "By how much less often, such as 0.01."),
    f(
        "spec.promotion.serving.guards[].disagreement",
        Map,
        "On how often the candidate's answers to copies are other than the champion's. Of mode `shadow`.",
    ),
    f(
        "spec.promotion.serving.guards[].disagreement.worseBy",
        Any,
        "How often they may be, such as 0.02 for two answers in a hundred.",
    ),
    f(
        "spec.promotion.serving.keepPrevious",
        Text,
        "How long the server of the version before stays warm, so that a rollback takes no start, such as `1h`. Unset: `10m`.",
    ),
    f(
        "spec.promotion.serving.readyWithin",
        Text,
        "How long a server may take until it is ready. Unset: `1m`.",
    ),
    f(
        "spec.promotion.serving.sticky",
        Text,
        "A header, such as `x-user`: requests with the same value go to the same version. Unset: each request by itself.",
    ),
    f(
        "spec.promotion.serving.watch",
        Map,
        "What is looked at while the model is served: `cairn models watch`. Unset: requests, errors and latencies alone.",
    ),
    f(
        "spec.promotion.serving.watch.log",
        Map,
        "Which requests are kept with their answers. They lie in the folder of runs, at most 64 MiB a model; what is too large or comes too fast is left out and counted, and no request waits for it.",
    ),
    f(
        "spec.promotion.serving.watch.log.sample",
        Number,
        "The share of requests that is kept, above 0 and up to 1, drawn by the id of the request. Unset: 0.1.",
    ),
    f(
        "spec.promotion.serving.watch.log.keep",
        Text,
        "How long they are kept, such as `7d`; what is older goes as others come. Unset: `7d`.",
    ),
    f(
        "spec.promotion.serving.watch.log.redact",
        Texts,
        "Names of inputs, outputs and fields whose values are never written down. Nothing is known of their drift then.",
    ),
    f(
        "spec.promotion.serving.watch.output",
        Text,
        "The output that labels are compared with. Unset: the first with one value a row.",
    ),
    f(
        "spec.promotion.serving.watch.drift",
        Map,
        "Whether inputs and predictions are as in the `profile` that the trial has left. Unset: as with `{}`.",
    ),
    f(
        "spec.promotion.serving.watch.drift.window",
        Int,
        "How many kept rows are compared at a time, from 50. Unset: 500.",
    ),
    f(
        "spec.promotion.serving.watch.drift.threshold",
        Number,
        "How likely a false alarm is at most in one window, over all features. Unset: 0.001.",
    ),
    f(
        "spec.promotion.serving.watch.onBreach",
        Any,
        "What comes of drift, beside an entry in the audit log: `alert` (nothing more), `rollback` (the version before is wanted again) or `{start: EXPERIMENT}` (a copy of that Experiment is submitted, whose winner has to pass its own gate). Unset: `alert`.",
    ),
    f(
        "spec.promotion.serving.watch.webhook",
        Text,
        "An address that is told of each breach by a POST of JSON, up to five times until it takes it, such as `http://alerts:9000/cairn`.",
    ),
    f(
        "spec.promotion.metadata",
        Map,
        "Where what becomes of the model is recorded beside Cairn, whose own store always keeps it: `cairn lineage`. A place that is away holds up no promotion; it is told later, in order. Unset: where the champion is recorded.",
    ),
    f(
        "spec.promotion.metadata.mlflow",
        Map,
        "MLflow: the trial as a run, the version in the registry, the alias `champion`.",
    ),
    f(
        "spec.promotion.metadata.mlflow.uri",
        Text,
        "Address of its server, such as `http://mlflow:5000`. A password or token is taken from MLflow's own variables, where MLFLOW_TRACKING_URI names the same server.",
    ),
    f(
        "spec.promotion.metadata.mlflow.registry",
        Bool,
        "Whether versions go into its registry too. Unset: yes.",
    ),
];
