"""Results: a file of JSON lines for each optimizer.

A line is a run: `problem`, `seed`, `version` of the optimizer with its settings, `budget`; `path` holds
[evaluation, value] wherever the value that is judged has changed, counted from 1, with the optimum taken off where it
is known; `seconds` were spent in asking and telling, and `late` is the median question among the last ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

#: Committed results, of peers and of published builds of Cairn.
COMMITTED = Path("tests/bench/results")
#: Results of builds under development.
OWN = Path("target/bench/results")


@dataclass(frozen=True)
class Run:
    """One run of one optimizer."""

    problem: str
    seed: int
    version: str
    budget: int
    path: list[tuple[int, float]]
    seconds: float
    late: float

    def at(self, evaluation: int) -> float:
        """The value that is judged after so many evaluations."""
        value = self.path[0][1]
        for when, then in self.path:
            if when > evaluation:
                break
            value = then
        return value

    def line(self) -> str:
        """As a line of a file."""
        return json.dumps(asdict(self), separators=(",", ":"))


def read(path: Path) -> list[Run]:
    """The runs of a file: the last of each problem and seed. None if there is no file."""
    if not path.exists():
        return []
    runs = {}
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        runs[fields["problem"], fields["seed"]] = Run(**fields)
    return list(runs.values())


def append(path: Path, run: Run) -> None:
    """Adds a run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(run.line() + "\n")


def write(path: Path, runs: Iterable[Run]) -> None:
    """Replaces a file, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(runs, key=lambda run: (run.problem, run.seed))
    path.write_text("".join(run.line() + "\n" for run in ordered))


def labels(committed: bool = False) -> dict[str, Path]:
    """All that have results: `name`, or `name@tag` for a build under development. `committed`: only what is kept."""
    folders = [COMMITTED] if committed else [OWN, COMMITTED]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.jsonl"))}


def runs_of(label: str) -> list[Run]:
    """The runs of an optimizer, or a tagged one."""
    path = labels().get(label)
    if path is None:
        raise SystemExit(f"there are no results of `{label}`; there are some of {', '.join(labels()) or 'nobody'}")
    return read(path)
