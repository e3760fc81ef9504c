"""Trials on a cluster that run a shipped function: the templates of their Jobs."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import _pod, search

#: Ends the program within the script; a line that no program has.
END = "CAIRN-END-OF-PROGRAM"
#: Of each kind: its group and version, the list of its replicas with the first and the others, the container's name.
KINDS: dict[str, tuple[str, str, str, str, str]] = {
    "Job": ("batch/v1", "", "", "", "main"),
    "PyTorchJob": ("kubeflow.org/v1", "pytorchReplicaSpecs", "Master", "Worker", "pytorch"),
    "TFJob": ("kubeflow.org/v1", "tfReplicaSpecs", "Chief", "Worker", "tensorflow"),
}


def template(
    shipment: Mapping[str, Any],
    space: Mapping[str, search.Parameter],
    *,
    kind: str,
    workers: int,
    gpus: int,
    base_image: str | None,
    packages: Sequence[str],
    env: Mapping[str, str] | None,
    resources: Mapping[str, Any] | None,
    retries: int | None,
) -> dict[str, Any]:
    """The trial template of a function that is shipped in the text of a container's script."""
    if kind not in KINDS:
        raise ValueError(f"`{kind}` is no kind of trial that a function is shipped as; choose {', '.join(KINDS)}")
    if workers < 1 or kind == "Job" and workers != 1:
        raise ValueError(f"a {kind} has {'one worker' if kind == 'Job' else 'at least one worker'}, not {workers}")
    for name, parameter in space.items():
        if parameter.when and parameter.default is None:
            raise ValueError(f"`{name}` is conditional and needs a default on a cluster: what a trial is given when it is inactive")
        # Values are put into the text of the template as they are.
        awkward = next((text for text in parameter.values if json.dumps(text, ensure_ascii=False) != f'"{text}"'), None)
        if awkward is not None:
            raise ValueError(f"`{name}` has the choice {awkward!r}; on a cluster a choice has no quotation mark, backslash or line end")
    variables = {name: f"CAIRN_PARAMETER_{i}" for i, name in enumerate(space)}
    limits = {name: str(value) for name, value in (resources or {}).items()}
    if gpus:
        limits["nvidia.com/gpu"] = str(gpus)
    container: dict[str, Any] = {
        "name": KINDS[kind][4],
        "image": base_image or f"docker.io/library/python:{sys.version_info.major}.{sys.version_info.minor}-slim",
        "command": ["sh", "-c"],
        "args": [_script({**shipment, "variables": variables}, packages)],
        "env": [
            *({"name": variables[name], "value": f"${{trialParameters.p{i}}}"} for i, name in enumerate(space)),
            *({"name": name, "value": value} for name, value in (env or {}).items()),
        ],
    }
    if limits:
        container["resources"] = {"limits": limits, "requests": dict(limits)}
    return {
        "primaryContainerName": container["name"],
        "trialParameters": [{"name": f"p{i}", "reference": name} for i, name in enumerate(space)],
        "trialSpec": _object(kind, workers, container, retries),
    }


def _object(kind: str, workers: int, container: Mapping[str, Any], retries: int | None) -> dict[str, Any]:
    api, field, first, others, _ = KINDS[kind]
    metadata = {"annotations": {"sidecar.istio.io/inject": "false"}}
    if kind == "Job":
        pod = {"metadata": metadata, "spec": {"restartPolicy": "Never", "containers": [container]}}
        return {"apiVersion": api, "kind": kind, "spec": {"backoffLimit": retries or 0, "template": pod}}
    replica = {"replicas": 1, "restartPolicy": "Never", "template": {"metadata": metadata, "spec": {"containers": [container]}}}
    replicas = {first: replica}
    if workers > 1:
        replicas[others] = {**replica, "replicas": workers - 1}
    spec: dict[str, Any] = {field: replicas}
    if retries is not None:
        spec["runPolicy"] = {"backoffLimit": retries}
    return {"apiVersion": api, "kind": kind, "spec": spec}


def _script(shipment: Mapping[str, Any], packages: Sequence[str]) -> str:
    """A script whose last line is the program, so that whoever collects metrics can send its output elsewhere."""
    # `$` begins placeholders and variables; within JSON it can be written otherwise.
    text = json.dumps(shipment).replace("$", "\\u0024")
    program = f"{inspect.getsource(_pod)}\n\nrun({text!r})\n"
    install = ""
    if packages:
        listed = " ".join(shlex.quote(package) for package in packages)
        install = f"python3 -m pip install --quiet --no-input --disable-pip-version-check {listed} || exit 1\n"
    return f'{install}program=$(mktemp)\ncat >"$program" <<\'{END}\'\n{program}{END}\npython3 -u "$program"'
