"""Tables of learning curves: text, one row a combination of settings, the last setting running fastest.

Values are in ten-thousandths; a row begins with its first value and goes on with differences to the value before.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curves.tasks import TASKS, Task

FOLDER = Path("algorithms/benches/curves/tables")
UNIT = 1e-4


@dataclass(frozen=True)
class Table:
    """What was trained, read back."""

    name: str
    grid: dict[str, list[float]]
    curves: np.ndarray  # (combinations, steps)


def make(names: list[str]) -> None:
    """Trains every combination of these tasks, or of all."""
    unknown = [name for name in names if name not in {task.name for task in TASKS}]
    if unknown:
        raise SystemExit(f"there is no task {', '.join(unknown)}; there are {', '.join(task.name for task in TASKS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        if not names or task.name in names:
            path = FOLDER / f"{task.name}.txt"
            path.write_text("\n".join([*_head(task), *_rows(task)]) + "\n")
            print(f"{path}: {path.stat().st_size} bytes")


def read() -> list[Table]:
    """All that are there."""
    return [_read(path) for path in sorted(FOLDER.glob("*.txt"))]


def _head(task: Task) -> list[str]:
    parameters = [f"{name} {' '.join(f'{value:g}' for value in values)}" for name, values in task.grid.items()]
    return [f"# {task.name}: {task.metric} after each of {task.steps} steps", *parameters, ""]


def _rows(task: Task) -> list[str]:
    rows = []
    for combination in itertools.product(*task.grid.values()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of training that has not converged, which is the point
            curve = list(task.train(dict(zip(task.grid, combination, strict=True)), task.steps))
        whole = np.rint(np.array(curve) / UNIT).astype(int)
        rows.append(" ".join(map(str, np.diff(whole, prepend=0))))
    return rows


def _read(path: Path) -> Table:
    head, rows = path.read_text().split("\n\n", 1)
    grid = {}
    for line in head.splitlines()[1:]:
        name, *values = line.split()
        grid[name] = [float(value) for value in values]
    curves = [np.cumsum([int(word) for word in row.split()]) * UNIT for row in rows.splitlines()]
    return Table(path.stem, grid, np.array(curves))
