"""Experiments of a cluster, through its Experiment resources alone: whoever may edit those needs no other right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import _html, _kube, _progress
from ._errors import CairnError, ConflictError, FailureGroup, MissingDependencyError, NotFoundError
from ._http import Client, encode
from ._pod import typed
from ._text import Text, number, parse_time, to_yaml
from ._trial import BestTrial, kinds
from ._wait import Waited

GROUP = "/apis/kubeflow.org/v1beta1"
#: The label of the pods of a trial.
TRIAL = "katib.kubeflow.org/trial"
#: The container that prints what a program has printed, where its output is read.
PRINTS = "metrics-logger-and-collector"
#: Counters of a status by the words that Cairn has for them.
COUNTERS = {
    "total": "trials",
    "pending": "trialsPending",
    "running": "trialsRunning",
    "succeeded": "trialsSucceeded",
    "failed": "trialsFailed",
    "killed": "trialsKilled",
    "earlyStopped": "trialsEarlyStopped",
    "metricsUnavailable": "trialMetricsUnavailable",
}


class ClusterExperiment(Waited):
    """An Experiment of a cluster. What it shows is asked anew each time; losing this object loses nothing."""

    def __init__(self, client: Client, name: str, namespace: str) -> None:
        self._client = client
        self.name = name
        self.namespace = namespace

    def refresh(self) -> Mapping[str, Any]:
        """The whole Experiment, with a `cairn` block as `cairn.Experiment` has it."""
        return _view(self._client.get(self._path()))

    @property
    def state(self) -> str:
        """`Created`, `Running`, `Stopped`, `Restarting`, `Succeeded` or `Failed`."""
        return str(self.refresh()["cairn"]["state"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec as the cluster has it."""
        spec: Mapping[str, Any] = self.refresh()["spec"]
        return spec

    @property
    def yaml(self) -> str:
        """The Experiment as YAML for `kubectl apply`."""
        data = self.refresh()
        metadata = {"name": self.name, "namespace": self.namespace}
        document = {"apiVersion": data["apiVersion"], "kind": data["kind"], "metadata": metadata, "spec": data["spec"]}
        return Text(to_yaml(document))

    def best(self) -> BestTrial | None:
        """The best trial so far, if one has a value."""
        data = self.refresh()
        block, best = data["cairn"], data["status"].get("currentOptimalTrial") or {}
        if not block["bestTrial"]:
            return None
        types = kinds(data["spec"])
        params = {each["name"]: typed(types.get(each["name"], ""), each["value"]) for each in best["parameterAssignments"]}
        measured = {metric["name"]: {k: v for k, v in metric.items() if k != "name"} for metric in _metrics(best)}
        names = data["status"].get("succeededTrialList") or []
        state = "Succeeded" if block["bestTrial"] in names else ""
        return BestTrial(block["bestTrial"], block["bestValue"], params, state, idx=-1, metrics=measured)

    def failures(self) -> list[FailureGroup]:
        """Trials that failed, as one group: why stands on each Trial."""
        data = self.refresh()
        why = f"kubectl describe trials -n {self.namespace} -l katib.kubeflow.org/experiment={self.name}"
        n = data["cairn"]["counters"]["failed"]
        return [FailureGroup(why, n, n, "", ())] if n else []

    def logs(self, trial: str) -> str:
        """What a trial has printed, as long as its pod is there. That takes the rights to list pods and to read their logs."""
        template = self.refresh()["spec"]["trialTemplate"]
        labels = {TRIAL: trial, **(template.get("primaryPodLabels") or {})}
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        path = f"/api/v1/namespaces/{encode(self.namespace)}/pods"
        pods = self._client.get(path, {"labelSelector": selector})["items"]
        if not pods:
            message = f"trial `{trial}` has no pod: it has not begun, or has ended and its Job is not kept (`retain: true` keeps it)"
            raise NotFoundError(message)
        pod = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        names = [container["name"] for container in pod["spec"]["containers"]]
        # What is kept for the reader of metrics is printed by that.
        container = PRINTS if PRINTS in names else template["primaryContainerName"]
        return Text(self._client.text(f"{path}/{encode(pod['metadata']['name'])}/log", {"container": container}))

    def stop(self) -> None:
        """Holds it: running trials finish."""
        self._patch({"suspend": True})

    def resume(self) -> None:
        """Lets it go on after `stop`."""
        self._patch({"suspend": False})

    def edit(
        self, *, max_trials: int | None = None, parallel: int | None = None, max_failed_trials: int | None = None
    ) -> None:
        """Changes budgets; what is left out stays. A completed experiment goes on if they allow it."""
        budgets = {"maxTrialCount": max_trials, "parallelTrialCount": parallel, "maxFailedTrialCount": max_failed_trials}
        self._patch({name: value for name, value in budgets.items() if value is not None})

    def delete(self, *, timeout: float = 60.0) -> None:
        """Deletes it with all its trials; returns once its name is free."""
        self._client.request("DELETE", self._path())
        self._until_gone(timeout, every=0.1)

    def __repr__(self) -> str:
        return f"ClusterExperiment({self.name!r}, namespace={self.namespace!r})"

    def _repr_html_(self) -> str:
        data = self.refresh()
        block, (done, total) = data["cairn"], _progress.counts(data)
        rows = [("best", f"{block['objective']} {number(block['bestValue'])}" if block["bestTrial"] else "none yet")]
        rows += [("trials", f"{done} of {total}" if total else str(done)), ("why", block["message"])]
        return _html.card(self.name, rows, block["state"])

    def _path(self) -> str:
        return f"{GROUP}/namespaces/{encode(self.namespace)}/experiments/{encode(self.name)}"

    def _patch(self, spec: Mapping[str, Any]) -> None:
        body = json.dumps({"spec": spec}).encode()
        self._client.request("PATCH", self._path(), None, body, "application/merge-patch+json")


def submit(document: Mapping[str, Any], namespace: str | None = None) -> ClusterExperiment:
    """Makes an Experiment with the caller's own rights. The same name and spec again finds what is there.

    Raises `ConflictError` if the name exists with another spec, and `InvalidError` with what the cluster refuses.
    """
    client, home = _kube.client()
    metadata = document["metadata"]
    namespace = namespace or metadata.get("namespace") or home
    experiment = ClusterExperiment(client, metadata["name"], namespace)
    whole = {**document, "metadata": {**metadata, "namespace": namespace}}
    try:
        client.send("POST", f"{GROUP}/namespaces/{encode(namespace)}/experiments", whole, repeatable=False)
    except ConflictError:
        there = experiment.spec
        if not _is_within(document["spec"], there):
            raise ConflictError(f"experiment `{experiment.name}` exists with another spec; give this one another name") from None
    return experiment


def read(text: str) -> Mapping[str, Any]:
    """An Experiment of a text, JSON or YAML."""
    document: Any
    try:
        document = json.loads(text)
    except ValueError:
        try:
            import yaml
        except ImportError as error:
            message = "an Experiment in YAML needs PyYAML: pip install 'cairn[cluster]', or give it as a dict"
            raise MissingDependencyError(message) from error
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CairnError(f"the Experiment is no YAML: {error}") from error
    if not isinstance(document, Mapping) or not (document.get("metadata") or {}).get("name"):
        raise CairnError("an Experiment of a cluster needs metadata.name")
    found: Mapping[str, Any] = document
    return found


def attach(name: str, namespace: str | None = None) -> ClusterExperiment:
    """The Experiment of a name in a cluster. Raises `NotFoundError`."""
    client, home = _kube.client()
    found = ClusterExperiment(client, name, namespace or home)
    found.refresh()
    return found


def _is_within(given: Any, there: Any) -> bool:
    """Whether all that was given is there; defaults may have come to it."""
    if isinstance(given, Mapping) and isinstance(there, Mapping):
        return all(_is_within(value, there.get(name)) for name, value in given.items())
    if isinstance(given, list) and isinstance(there, list):
        return len(given) == len(there) and all(map(_is_within, given, there))
    return bool(given == there)


def _metrics(best: Mapping[str, Any]) -> list[dict[str, str]]:
    return list((best.get("observation") or {}).get("metrics") or [])


def _view(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """A resource with the block that shows how it stands."""
    status, spec = resource.get("status") or {}, resource["spec"]
    conditions = status.get("conditions") or []
    last = conditions[-1] if conditions else {"type": "Created", "status": "True", "message": "nobody has looked at it yet"}
    state = last["type"] if last["status"] == "True" else "Stopped" if last["type"] == "Running" else "Created"
    objective = spec["objective"]
    name, direction = objective["objectiveMetricName"], objective.get("type", "minimize")
    best = status.get("currentOptimalTrial") or {}
    block = {
        "state": state,
        "message": last.get("message", ""),
        "waiting": last.get("message", "") if state == "Created" else "",
        "objective": name,
        "direction": direction,
        "counters": {word: status.get(counter) or 0 for word, counter in COUNTERS.items()},
        "bestTrial": best.get("bestTrialName") or None,
        "bestValue": _value(best, name, _strategy(objective, name, direction)),
        "completed": parse_time(status.get("completionTime")),
    }
    return {**resource, "status": status, "cairn": block}


def _strategy(objective: Mapping[str, Any], name: str, direction: str) -> str:
    for each in objective.get("metricStrategies") or []:
        if each["name"] == name:
            return str(each["value"])
    return "max" if direction == "maximize" else "min"


def _value(best: Mapping[str, Any], name: str, strategy: str) -> float | None:
    for metric in _metrics(best):
        if metric["name"] == name:
            for word in (strategy, "latest"):
                try:
                    return float(metric[word])
                except (KeyError, ValueError):
                    continue
    return None
