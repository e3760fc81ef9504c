"""scikit-optimize, which has no conditions: parameters that are not active are dimensions without effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skopt import Optimizer
from skopt.space import Categorical, Dimension, Integer, Real

from optbench.problem import Problem
from optbench.space import Choice, Float, Int, Parameter, Point, Value, is_active


class Skopt:
    """Its default: a Gaussian process, and an acquisition function that it chooses among three.

    It looks for the next point when it is told of the last; it is told when it is asked, where that time belongs.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.optimizer = Optimizer([_described(parameter) for parameter in problem.space.parameters], random_state=seed)
        self.asked: list[Any] = []
        self.values: list[float] = []

    def ask(self, n: int) -> list[Point]:
        if self.asked:
            self.optimizer.tell(self.asked, self.values)
        self.asked = [self.optimizer.ask()] if n == 1 else self.optimizer.ask(n)
        return [self._point(row) for row in self.asked]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        self.values = list(values)

    def _point(self, row: list[Any]) -> Point:
        point: Point = {}
        for parameter, drawn in zip(self.space.parameters, row, strict=True):
            if is_active(parameter, point):
                point[parameter.name] = _value(parameter, drawn)
        return point


def _described(parameter: Parameter) -> Dimension:
    if isinstance(parameter, Choice):
        return Integer(0, len(parameter.choices) - 1) if parameter.ordered else Categorical(list(parameter.choices))
    kind = Real if isinstance(parameter, Float) else Integer
    return kind(parameter.low, parameter.high, prior="log-uniform" if parameter.log else "uniform")


def _value(parameter: Parameter, drawn: Any) -> Value:
    if isinstance(parameter, Choice):
        return parameter.choices[int(drawn)] if parameter.ordered else str(drawn)
    if isinstance(parameter, Int):
        return int(drawn)
    return float(min(max(drawn, parameter.low), parameter.high))
