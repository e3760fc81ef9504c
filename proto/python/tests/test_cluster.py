"""What goes to a cluster: how it is found, and what a trial there is. The whole way is told in tests/it/kube."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import cairn
from cairn import _cluster, _kube, search


def script_of(monkeypatch: pytest.MonkeyPatch, function: Any, space: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The container of a trial of a function, as it would be submitted."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("cairn._cluster.submit", sent.append)
    cairn.tune(function, space, target="cluster", wait=False, **more)
    template = sent[0]["spec"]["trialTemplate"]
    spec = template["trialSpec"]["spec"]
    pods = [spec["template"]] if "template" in spec else [r["template"] for r in next(iter(spec.values())).values()]
    assert template["primaryContainerName"] == pods[0]["spec"]["containers"][0]["name"]
    container: dict[str, Any] = pods[0]["spec"]["containers"][0]
    return container


def test_the_script_of_a_trial_needs_nothing_but_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def train(lr: float, opt: str) -> float:
        import cairn

        cairn.report({"loss": 9, "text": "$(HOME) $$ 'quoted' \"twice\" é"}, step=0)
        assert opt == "it's $5" and isinstance(lr, float)
        return lr

    space = {"lr": search.float(0, 1), "opt": search.categorical(["it's $5", "adam"])}
    container = script_of(monkeypatch, train, space, objective="loss", gpus=2)
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    [script] = container["args"]
    assert "$(HOME)" not in script and "$$" not in script and "${trialParameters" not in script
    values = {"${trialParameters.p0}": "0.25", "${trialParameters.p1}": "it's $5"}
    env = {each["name"]: values[each["value"]] for each in container["env"]}
    # As a collector of metrics changes it: all on one line after another, the last one's output elsewhere.
    wrapped = f"{script} 1>{tmp_path}/metrics.log 2>&1 && echo completed"
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", wrapped], env={**path, **env}, capture_output=True, text=True, check=False)
    said = (tmp_path / "metrics.log").read_text()
    assert (done.returncode, done.stdout) == (0, "completed\n"), said
    assert said.splitlines() == ["step=0 loss=9 text=$(HOME) $$ 'quoted' \"twice\" é", "loss=0.25"]


def test_workers_and_what_cannot_be_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(x: float, y: float = 1) -> float:
        return x + y

    space = {"x": search.float(0, 1)}
    assert script_of(monkeypatch, train, space, kind="PyTorchJob", workers=3)["name"] == "pytorch"
    conditional = {**space, "o": search.categorical(["a", "b"]), "y": search.float(0, 1, when={"o": "a"})}

    def takes(x: float, o: str, y: float) -> float:
        return x

    for call, message in [
        (lambda: script_of(monkeypatch, train, space, workers=2), "a Job has one worker, not 2"),
        (lambda: script_of(monkeypatch, train, space, kind="MPIJob"), "`MPIJob` is no kind"),
        (lambda: script_of(monkeypatch, takes, conditional), "`y` is conditional and needs a default"),
        (lambda: script_of(monkeypatch, train, {"x": search.categorical(['a"b', "c"])}), "has the choice 'a\"b'"),
        (lambda: script_of(monkeypatch, train, space, timeout="1h"), "`timeout` is of trials that run here"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_cluster_is_found_by_its_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maker = tmp_path / "make-token"
    maker.write_text('#!/bin/sh\necho \'{"status": {"token": "\'"$WORD"\'"}}\'\n')
    maker.chmod(0o700)
    config = {
        "current-context": "b",
        "contexts": [
            {"name": "a", "context": {"cluster": "c", "user": "plain"}},
            {"name": "b", "context": {"cluster": "c", "user": "made", "namespace": "mine"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/"}}],
        "users": [
            {"name": "plain", "user": {"token": "secret"}},
            {"name": "made", "user": {"exec": {"command": str(maker), "env": [{"name": "WORD", "value": "fresh"}]}}},
        ],
    }
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none{os.pathsep}{path}")
    path.write_text(json.dumps(config))
    client, namespace = _kube.client()
    assert (client.server.url, client.server.token, namespace) == ("http://127.0.0.1:1", "fresh", "mine")
    path.write_text(json.dumps({**config, "current-context": "a"}))
    client, namespace = _kube.client()
    assert (client.server.token, namespace) == ("secret", "default")
    path.write_text(json.dumps({**config, "current-context": "z"}))
    with pytest.raises(cairn.CairnError, match="has no context named `z`"):
        _kube.client()
    path.unlink()
    with pytest.raises(cairn.CairnError, match="name a kubeconfig in KUBECONFIG"):
        cairn.attach("x", target="cluster")


def test_an_experiment_of_a_cluster_is_read_from_json_and_yaml() -> None:
    document = {"kind": "Experiment", "metadata": {"name": "demo"}, "spec": {"maxTrialCount": 2}}
    assert _cluster.read(json.dumps(document)) == document
    for text in ["7", '{"kind": "Experiment"}']:
        with pytest.raises(cairn.CairnError, match="needs metadata.name"):
            cairn.submit(text + "\n", target="cluster")
    text = "kind: Experiment\nmetadata: {name: demo}\nspec: {maxTrialCount: 2}\n"
    if importlib.util.find_spec("yaml") is None:
        with pytest.raises(cairn.MissingDependencyError, match=r"pip install 'cairn\[cluster\]'"):
            _cluster.read(text)
    else:
        assert _cluster.read(text) == document
        with pytest.raises(cairn.CairnError, match="is no YAML"):
            _cluster.read("a: [")
