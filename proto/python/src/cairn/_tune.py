"""Tuning a local Python function: its source travels as the trials of an Experiment."""

from __future__ import annotations

import inspect
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from . import _cluster, _ship, search
from ._cluster import ClusterExperiment
from ._errors import SourceError
from ._experiment import Experiment, submit
from ._source import of_function

#: Longest text that a process takes as one argument, with room to spare.
MAX_SOURCE = 120_000


def tune(
    function: Callable[..., Any],
    space: Mapping[str, search.Parameter],
    *,
    objective: str = "objective",
    direction: str = "minimize",
    goal: float | None = None,
    metrics: Sequence[str] = (),
    max_trials: int = 20,
    parallel: int = 1,
    repeats: int | None = None,
    max_failed_trials: int | None = None,
    max_duration: str | None = None,
    algorithm: str | None = None,
    settings: Mapping[str, Any] | None = None,
    early_stopping: str | None = None,
    early_stopping_settings: Mapping[str, Any] | None = None,
    constraints: Sequence[str] = (),
    seed: int | None = None,
    name: str | None = None,
    namespace: str | None = None,
    env: Mapping[str, str] | None = None,
    resources: Mapping[str, Any] | None = None,
    timeout: str | None = None,
    retries: int | None = None,
    server: str | None = None,
    target: Literal["server", "cluster"] = "server",
    kind: str = "Job",
    workers: int = 1,
    gpus: int = 0,
    base_image: str | None = None,
    packages: Sequence[str] = (),
    wait: bool = True,
) -> Experiment | ClusterExperiment:
    """Searches for the parameters with which a function does best, and returns the Experiment.

    `function` takes the parameters of `space` as keyword arguments and returns the objective, or a dict of metrics
    that holds it; it may also call `cairn.report`. Its source is shipped: it runs in processes of its own, sees the
    modules that it uses, and nothing else from around it. An inactive parameter has the function's default, or `None`.
    The search gives up after `max_failed_trials`: a fifth of the trials, at least 3, if left out.

    `repeats`: for noisy objectives, how often a point that does best is run, in all, before it is trusted; its mean counts.
    `objective` names the metric and `metrics` those kept beside it; `direction` is `minimize` or `maximize`; `goal`
    ends the search early. `algorithm` is chosen by the server if left out. With `wait` it shows the progress until the
    end (see `Experiment.wait`); the same `name` and function again goes on where it was.

    With `target="cluster"` trials are Jobs of a Kubernetes cluster, or PyTorchJobs or TFJobs (`kind`) with so many
    `workers`, in `base_image`, after `packages` are installed there with pip; each worker has `gpus` and `resources`. The
    Experiment is made with the caller's own rights, those of the pod or the kubeconfig, and a `ClusterExperiment` returned.

    Raises `SourceError` if the function cannot be shipped, and `InvalidError` with every problem of the rest.
    """
    parameters = search.specs(space)
    shipment = _shipment(function, space, objective)
    spec: dict[str, Any] = {
        "objective": _objective(objective, direction, goal, metrics),
        "parameters": parameters,
        "maxTrialCount": max_trials,
        "parallelTrialCount": parallel,
    }
    if target == "cluster":
        if timeout is not None:
            raise ValueError("`timeout` is of trials that run here; on a cluster, `max_duration` bounds the experiment")
        spec["metricsCollectorSpec"] = {"collector": {"kind": "StdOut"}}
        spec["trialTemplate"] = _ship.template(
            shipment,
            space,
            kind=kind,
            workers=workers,
            gpus=gpus,
            base_image=base_image,
            packages=packages,
            env=env,
            resources=resources,
            retries=retries,
        )
    else:
        process = _process(_argument(shipment), space, env)
        process.update(_given(resources=resources and dict(resources), timeout=timeout, retries=retries))
        spec["metricsCollectorSpec"] = {"collector": {"kind": "Push"}}
        spec["trialTemplate"] = {
            "trialParameters": [{"name": f"p{i}", "reference": name} for i, name in enumerate(space)],
            "trialSpec": process,
        }
    spec.update(
        _given(
            maxFailedTrialCount=min(max_trials, max(3, max_trials // 5)) if max_failed_trials is None else max_failed_trials,
            maxDuration=max_duration,
            algorithm=_algorithm(algorithm, settings),
            earlyStopping=_algorithm(early_stopping, early_stopping_settings),
            parameterConstraints=list(constraints) or None,
            seed=seed,
            repeats=repeats,
        )
    )
    metadata = {"name": name or _name(function), **_given(namespace=namespace)}
    document = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": spec}
    if target == "cluster":
        on_cluster = _cluster.submit(document)
        return on_cluster.wait() if wait else on_cluster
    experiment = submit(document, namespace=namespace, server=server)
    return experiment.wait() if wait else experiment


def direction_of(word: str) -> str:
    """`minimize` or `maximize`, of a word such as `max`."""
    found = {"min": "minimize", "minimize": "minimize", "max": "maximize", "maximize": "maximize"}.get(word)
    if found is None:
        raise ValueError(f"`{word}` is no direction; say minimize or maximize")
    return found


def _objective(name: str, direction: str, goal: float | None, metrics: Sequence[str]) -> dict[str, Any]:
    objective = {"type": direction_of(direction), "objectiveMetricName": name}
    return {**objective, **_given(goal=goal, additionalMetricNames=[m for m in metrics if m != name] or None)}


def _algorithm(name: str | None, settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if name is None:
        if settings:
            raise ValueError("settings belong to an algorithm; name it too")
        return None
    named = [{"name": key, "value": search.text(value)} for key, value in (settings or {}).items()]
    return {"algorithmName": name, **_given(algorithmSettings=named or None)}


def _shipment(function: Callable[..., Any], space: Mapping[str, search.Parameter], objective: str) -> dict[str, Any]:
    """Everything that the process of a trial needs to know."""
    source = of_function(function)
    _check_signature(function, space)
    return {
        "function": function.__name__,
        "objective": objective,
        "parameters": {
            name: {"values": dict(parameter.values)} if parameter.values else {"kind": parameter.kind}
            for name, parameter in space.items()
        },
        "source": source,
    }


def _argument(shipment: Mapping[str, Any]) -> str:
    """A shipment as one argument."""
    # `$` begins placeholders and variables in an argument; within JSON it can be written otherwise.
    text = json.dumps(shipment).replace("$", "\\u0024")
    if len(text) > MAX_SOURCE:
        raise SourceError(f"the source of `{shipment['function']}` is too long for an argument; move parts to a module")
    return text


def _check_signature(function: Callable[..., Any], space: Mapping[str, search.Parameter]) -> None:
    parameters = inspect.signature(function).parameters.values()
    takes = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        unknown = [name for name in space if name not in takes]
        if unknown:
            raise SourceError(f"`{function.__name__}` takes no argument `{unknown[0]}`, which the space has")
    wanted = [p.name for p in parameters if p.name in takes and p.default is p.empty and p.name not in space]
    if wanted:
        raise SourceError(f"`{function.__name__}` needs `{wanted[0]}`, which the space does not have")


def _process(shipment: str, space: Mapping[str, search.Parameter], env: Mapping[str, str] | None) -> dict[str, Any]:
    variables = dict(env or {})
    if "PYTHONPATH" in os.environ:
        variables.setdefault("PYTHONPATH", os.environ["PYTHONPATH"])
    return {
        "apiVersion": "cairn.dev/v1",
        "kind": "Process",
        "command": [sys.executable, "-m", "cairn._runner", shipment],
        "args": [f"{name}=${{trialParameters.p{i}}}" for i, name in enumerate(space)],
        **_given(env=[{"name": key, "value": value} for key, value in variables.items()] or None),
    }


def _name(function: Callable[..., Any]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", function.__name__.lower()).strip("-") or "function"
    return f"{stem[:40]}-{secrets.token_hex(3)}"


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
