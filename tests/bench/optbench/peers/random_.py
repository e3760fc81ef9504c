"""Random search: what everything else is measured against."""

from __future__ import annotations

from collections.abc import Sequence

from optbench.problem import Problem, stream
from optbench.space import Point


class Random:
    """Draws every point from the prior."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.rng = stream("random", problem.name, seed)

    def ask(self, n: int) -> list[Point]:
        return [self.space.sample(self.rng) for _ in range(n)]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        pass
