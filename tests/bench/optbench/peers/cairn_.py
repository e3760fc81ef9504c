"""Cairn, through ask and tell of its Python client."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import cairn
from cairn import search

from optbench.problem import Problem
from optbench.space import Float, Int, Parameter, Point


class Cairn:
    """A study at the suggestion service that `serve` has started."""

    def __init__(self, problem: Problem, seed: int, algorithm: str, settings: Mapping[str, str] | None = None) -> None:
        self.study = cairn.Study(
            {parameter.name: translated(parameter) for parameter in problem.space.parameters},
            algorithm=algorithm,
            settings=settings,
            seed=seed,
            max_trials=problem.budget,
            parallel=problem.batch,
            name=problem.name.replace("/", "-"),
        )
        self.asked: list[cairn.Suggested] = []

    def ask(self, n: int) -> list[Point]:
        self.asked = self.study.ask(n)
        return [trial.params for trial in self.asked]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        for trial, value in zip(self.asked, values, strict=True):
            self.study.tell(trial, value)


def translated(parameter: Parameter) -> search.Parameter:
    """A parameter in Cairn's words."""
    when = {parent: list(wanted) for parent, wanted in parameter.when.items()}
    if isinstance(parameter, Float):
        return search.float(parameter.low, parameter.high, log=parameter.log, when=when)
    if isinstance(parameter, Int):
        return search.int(parameter.low, parameter.high, log=parameter.log, when=when)
    return search.categorical(list(parameter.choices), ordered=parameter.ordered, when=when)


def serve() -> None:
    """Starts `cairn suggest` on a free port until this process ends, and names it in CAIRN_SERVER."""
    if os.environ.get("CAIRN_SERVER"):
        return
    command = [binary(), "suggest", "--listen", "127.0.0.1:0"]
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    atexit.register(service.kill)
    said = ""
    for line in service.stderr or ():
        said += line
        if at := re.search(r"serving suggestions on (\S+:\d+)", line):
            os.environ["CAIRN_SERVER"] = f"http://{at.group(1)}"
            return
    raise SystemExit(f"`{' '.join(command)}` did not start: {said.strip() or 'it said nothing'}")


def binary() -> str:
    """The program that CAIRN_BIN names, or the one that this repository has built."""
    return os.environ.get("CAIRN_BIN") or str(Path("target/release/cairn").absolute())


def version() -> str:
    """Which build: the start of the program's SHA-256."""
    return hashlib.sha256(Path(binary()).read_bytes()).hexdigest()[:12]
