"""Which problems are for development, and which are held out."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Sequence
from pathlib import Path

from optbench.problem import Problem

FILE = Path("tests/bench/split.toml")
#: A line for each time that Cairn was run on what is held out.
LOG = Path("tests/bench/holdout.log")
#: Most such times.
MOST = 5


def side(problem: Problem) -> str:
    """`development` or `holdout`."""
    return "holdout" if problem.family in _held_out() else "development"


def on_side(problems: Sequence[Problem], wanted: str) -> list[Problem]:
    """The problems of a side, or of both for `all`."""
    return [problem for problem in problems if wanted in ("all", side(problem))]


def log_holdout(what: str) -> None:
    """Counts a run of Cairn on what is held out; refuses it when there were enough."""
    lines = LOG.read_text().splitlines() if LOG.exists() else []
    if any(line.endswith(f" {what}") for line in lines):
        return  # it goes on
    if len(lines) >= MOST:
        raise SystemExit(f"{LOG} has {MOST} runs; what is held out is no longer held out after more")
    today = datetime.datetime.now(datetime.UTC).date()
    LOG.write_text("".join(f"{line}\n" for line in [*lines, f"{today} {what}"]))


def _held_out() -> set[str]:
    held = tomllib.loads(FILE.read_text())["holdout"]
    return {*held["functions"], *held["data"]}
