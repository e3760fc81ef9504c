"""A real `cairn serve` for every test that needs one: a folder of its own, started by the client or by hand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cairn
from cairn import _server


class Served:
    """A server in a folder, at one address, that can be killed and brought back."""

    def __init__(self, folder: Path, token_file: Path | None = None) -> None:
        self.folder = folder
        self._token_file = token_file
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        listen = self.url[len("http://") :] or "127.0.0.1:0"
        log = self.folder / f"serve-{time.monotonic_ns()}.log"
        arguments = ["serve", "--listen", listen, "--dir", str(self.folder / ".cairn")]
        arguments += ["--token-file", str(self._token_file)] if self._token_file else []
        env = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [_server.find_binary(), *arguments], cwd=self.folder, env=env, stdout=out, stderr=out
            )
        give_up = time.monotonic() + 20
        while not (said := re.search(r"serving on (http://\S+)", log.read_text())):
            assert self.process.poll() is None and time.monotonic() < give_up, log.read_text()
            time.sleep(0.01)
        self.url = said.group(1)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for tests that leave it alone."""
    served = Served(tmp_path_factory.mktemp("shared"))
    yield served
    served.stop()


@pytest.fixture
def server(shared: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The shared server, named in CAIRN_SERVER; the working directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAIRN_SERVER", shared.url)
    return shared


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that the test may kill."""
    monkeypatch.chdir(tmp_path)
    served = Served(tmp_path)
    monkeypatch.setenv("CAIRN_SERVER", served.url)
    yield served
    served.stop()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder without a server, where the client starts one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAIRN_SERVER", raising=False)
    monkeypatch.delenv("CAIRN_DIR", raising=False)
    yield tmp_path
    cairn.stop_server()


def experiment(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """An Experiment whose trials run a shell script over `x`, a `layers` and an `opt` with its `momentum`."""
    base: dict[str, Any] = {
        "objective": {"type": "minimize", "objectiveMetricName": "loss"},
        "algorithm": {"algorithmName": "random"},
        "seed": 1,
        "parameters": cairn.search.specs(
            {
                "x": cairn.search.float(0.001, 1, log=True),
                "layers": cairn.search.int(1, 4),
                "batch": cairn.search.discrete([8, 16, 32]),
                "opt": cairn.search.categorical(["sgd", "adam"]),
                "momentum": cairn.search.float(0, 1, when={"opt": "sgd"}, default=0.5),
            }
        ),
        "maxTrialCount": 6,
        "parallelTrialCount": min(2, max(1, spec.get("maxTrialCount", 6))),
        "trialTemplate": {
            "trialParameters": [{"name": n, "reference": n} for n in ("x", "layers", "batch", "opt", "momentum")],
            "trialSpec": {
                "apiVersion": "cairn.dev/v1",
                "kind": "Process",
                "command": ["sh", "-c", script],
                "args": [f"${{trialParameters.{n}}}" for n in ("x", "layers", "batch", "opt", "momentum")],
            },
        },
    }
    metadata = {"name": name}
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": {**base, **spec}}


def until(wanted: Any, timeout: float = 20.0) -> Any:
    """Waits until something is true, and returns it."""
    give_up = time.monotonic() + timeout
    while not (found := wanted()):
        assert time.monotonic() < give_up, "it did not come true"
        time.sleep(0.02)
    return found
