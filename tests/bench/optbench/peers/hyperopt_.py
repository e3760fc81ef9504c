"""Hyperopt's TPE, with its own choices within choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import hyperopt
import numpy as np
from hyperopt import hp, tpe
from hyperopt.base import JOB_STATE_DONE, Domain, Trials

from optbench.problem import Problem, stream
from optbench.space import Choice, Float, Int, Parameter, Point, Space


class Hyperopt:
    """Its loop `FMinIter.run`, turned inside out."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.domain = Domain(lambda point: 0.0, described(problem.space))
        self.trials = Trials()
        self.rng = stream("hyperopt", problem.name, seed)
        self.asked: list[Any] = []

    def ask(self, n: int) -> list[Point]:
        ids = self.trials.new_trial_ids(n)
        self.trials.refresh()
        docs = tpe.suggest(ids, self.domain, self.trials, int(self.rng.integers(2**31 - 1)), verbose=False)
        self.trials.insert_trial_docs(docs)
        self.trials.refresh()
        self.asked = self.trials._dynamic_trials[-n:]
        return [self._point(doc["misc"]["vals"]) for doc in self.asked]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        for doc, value in zip(self.asked, values, strict=True):
            doc["result"] = {"loss": value, "status": hyperopt.STATUS_OK}
            doc["state"] = JOB_STATE_DONE
        self.trials.refresh()

    def _point(self, drawn: dict[str, list[Any]]) -> Point:
        return {p.name: _value(p, drawn[p.name][0]) for p in self.space.parameters if drawn[p.name]}


def described(space: Space) -> dict[str, Any]:
    """The space as Hyperopt has it: children stand inside the choices that need them."""
    nodes: dict[str, Any] = {}
    for parameter in reversed(space.parameters):
        nodes[parameter.name] = _node(space, parameter, nodes)
    return {p.name: nodes[p.name] for p in space.parameters if not p.when}


def _node(space: Space, parameter: Parameter, nodes: dict[str, Any]) -> Any:
    name = parameter.name
    if isinstance(parameter, Float):
        if parameter.log:
            return hp.loguniform(name, math.log(parameter.low), math.log(parameter.high))
        return hp.uniform(name, parameter.low, parameter.high)
    if isinstance(parameter, Int):
        if parameter.log:
            return hp.qloguniform(name, math.log(parameter.low - 0.499), math.log(parameter.high + 0.499), 1)
        return hp.uniformint(name, parameter.low, parameter.high)
    children = space.children(name)
    if parameter.ordered and not children:
        return hp.uniformint(name, 0, len(parameter.choices) - 1)
    return hp.choice(
        name,
        [
            {"": choice, **{child.name: nodes[child.name] for child in children if choice in child.when[name]}}
            for choice in parameter.choices
        ],
    )


def _value(parameter: Parameter, drawn: Any) -> Any:
    if isinstance(parameter, Choice):
        return parameter.choices[int(drawn)]
    if isinstance(parameter, Int):
        return int(np.clip(round(float(drawn)), parameter.low, parameter.high))
    return float(np.clip(drawn, parameter.low, parameter.high))
