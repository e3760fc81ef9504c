"""HEBO, which has no conditions: parameters that are not active are dimensions without effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from optbench.problem import Problem
from optbench.space import Choice, Float, Parameter, Point, is_active


class Hebo:
    """Its default."""

    def __init__(self, problem: Problem, seed: int) -> None:
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.space = problem.space
        described = DesignSpace().parse([_described(parameter) for parameter in problem.space.parameters])
        self.optimizer = HEBO(described, scramble_seed=seed)
        self.asked: Any = None

    def ask(self, n: int) -> list[Point]:
        self.asked = self.optimizer.suggest(n_suggestions=n)
        return [self._point(row) for row in self.asked.to_dict("records")]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        self.optimizer.observe(self.asked, np.array(values).reshape(-1, 1))

    def _point(self, row: dict[str, Any]) -> Point:
        point: Point = {}
        for parameter in self.space.parameters:
            if is_active(parameter, point):
                kind = str if isinstance(parameter, Choice) else float if isinstance(parameter, Float) else int
                point[parameter.name] = kind(row[parameter.name])
        return point


def _described(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Choice):
        return {"name": parameter.name, "type": "cat", "categories": list(parameter.choices)}
    kind = {(False, False): "num", (False, True): "pow", (True, False): "int", (True, True): "pow_int"}
    whole = not isinstance(parameter, Float)
    bounds = {"lb": parameter.low, "ub": parameter.high}
    return {"name": parameter.name, "type": kind[whole, parameter.log], "base": 10, **bounds}
