"""Regularized evolution.

Real, Aggarwal, Huang and Le 2019, "Regularized Evolution for Image Classifier Architecture Search", algorithm 1: the
best of a random sample of the population is mutated, and the oldest dies. Population and sample are smaller than
theirs, as budgets are. One active parameter is mutated: a choice becomes another one, a number moves by a normal
deviate of a fifth of its range. Parameters that become active are drawn from the prior.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from optbench.problem import Problem, stream
from optbench.space import Choice, Parameter, Point, Value, is_active

POPULATION = 20
SAMPLE = 5
STEP = 0.2


class Evolution:
    """The oldest dies, not the worst."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.rng = stream("evolution", problem.name, seed)
        self.population: deque[tuple[float, Point]] = deque(maxlen=POPULATION)

    def ask(self, n: int) -> list[Point]:
        return [self._next() for _ in range(n)]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        self.population.extend(zip(values, points, strict=True))

    def _next(self) -> Point:
        if len(self.population) < POPULATION:
            return self.space.sample(self.rng)
        sample = self.rng.choice(POPULATION, SAMPLE, replace=False)
        _, parent = min((self.population[i] for i in sample), key=lambda each: each[0])
        return self._mutated(parent)

    def _mutated(self, parent: Point) -> Point:
        chosen = str(self.rng.choice(list(parent)))
        child: Point = {}
        for parameter in self.space.parameters:
            if not is_active(parameter, child):
                continue
            name = parameter.name
            if name == chosen:
                child[name] = moved(parameter, parent[name], self.rng)
            elif name in parent:
                child[name] = parent[name]
            else:
                child[name] = parameter.value(float(self.rng.random()))
        return child


def moved(parameter: Parameter, value: Value, rng: np.random.Generator) -> Value:
    """Another value, for numbers one nearby."""
    if isinstance(parameter, Choice):
        return str(rng.choice([choice for choice in parameter.choices if choice != value]))
    u = parameter.unit(value) + STEP * float(rng.standard_normal())
    return parameter.value(min(max(u, 0.0), 1.0))
