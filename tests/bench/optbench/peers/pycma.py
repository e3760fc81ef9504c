"""CMA-ES by its authors, on the unit cube: whole numbers and choices by cells, conditional parameters always there.

It starts in the middle with a quarter of the range, as its documentation advises, and again with twice the population
when it has ended (IPOP).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cma
import numpy as np

from optbench.problem import Problem
from optbench.space import Point


class Pycma:
    """Points of a generation are given out one by one, and told together."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.seed = seed
        self.popsize = 0
        self.strategy = self._start()
        self.waiting: list[Any] = []
        self.given: list[Any] = []
        self.values: list[float] = []

    def ask(self, n: int) -> list[Point]:
        if not self.waiting:
            self.waiting = list(self.strategy.ask())
            self.given, self.values = [], []
        units, self.waiting = self.waiting[:n], self.waiting[n:]
        self.given += units
        return [self.space.decode(np.clip(u, 0.0, 1.0)) for u in units]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        self.values += values
        if self.waiting:
            return
        self.strategy.tell(self.given, self.values)
        if self.strategy.stop():
            self.seed += 1000
            self.strategy = self._start()

    def _start(self) -> Any:
        options = {"bounds": [0, 1], "seed": self.seed + 1, "verbose": -9}
        if self.popsize:
            options["popsize"] = 2 * self.popsize
        strategy = cma.CMAEvolutionStrategy(np.full(len(self.space), 0.5), 0.25, options)
        self.popsize = strategy.popsize
        return strategy
