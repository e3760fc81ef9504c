"""The suite `names`: many choices without an order, whose costs add up, alone and in pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optbench.problem import Problem, stream
from optbench.space import Choice, Float, Parameter, Point, Space

#: Evaluations.
BUDGET = 100


def problems() -> list[Problem]:
    """Choices whose costs hardly depend on each other, such as do, and choices that move the best place of numbers."""
    return [
        chosen("additive-12", [3, 4, 5, 6] * 3, pairs=11, strength=0.3),
        chosen("pairs-10", [5] * 10, pairs=15, strength=1.0),
        chosen("switches-14", [2] * 14, pairs=30, strength=1.0),
        chosen("moved-14", [4] * 10, pairs=9, strength=0.5, floats=4),
    ]


def chosen(title: str, sizes: Sequence[int], pairs: int, strength: float, floats: int = 0) -> Problem:
    """A cost for each choice, and one for both choices of some pairs, times `strength`; each number has its best place
    where two of the choices put it."""
    rng = stream("names", title)
    n = len(sizes)
    single = [rng.uniform(0, 1, size) for size in sizes]
    joint = []
    for _ in range(pairs):
        i, j = (int(k) for k in rng.choice(n, 2, replace=False))
        joint.append((i, j, strength * rng.uniform(0, 1, (sizes[i], sizes[j]))))
    places = [(int(i), int(j)) for i, j in (rng.choice(n, 2, replace=False) for _ in range(floats))]
    parameters: list[Parameter] = [Choice(f"c{i:02}", [f"v{k}" for k in range(size)]) for i, size in enumerate(sizes)]
    parameters += [Float(f"x{k}", 0.0, 1.0) for k in range(floats)]

    def truth(point: Point) -> float:
        at = [int(str(point[f"c{i:02}"])[1:]) for i in range(n)]
        names = sum(costs[k] for costs, k in zip(single, at, strict=True))
        names += sum(costs[at[i], at[j]] for i, j, costs in joint)
        moved = sum(
            (float(point[f"x{k}"]) - (at[i] / sizes[i] + at[j] / sizes[j]) / 2) ** 2 for k, (i, j) in enumerate(places)
        )
        return float(names + 2 * np.float64(moved))

    return Problem(f"names/{title}", f"names-{title}", Space(parameters), truth, BUDGET)
