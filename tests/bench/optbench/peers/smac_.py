"""SMAC3 with its forest, in a space with conditions of its own."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

import ConfigSpace
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialValue

from optbench.problem import Problem
from optbench.space import Choice, Float, Int, Parameter, Point, Space
from optbench.stratified import BUDGET


class Smac:
    """Its facade for hyperparameters. Where it is told that there is noise it asks for its best points again."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.space = problem.space
        self.folder = TemporaryDirectory()
        scenario = Scenario(
            described(problem.space),
            output_directory=self.folder.name,
            deterministic=problem.noise is None,
            n_trials=min(problem.budget, BUDGET),
            seed=seed,
        )
        self.facade = HyperparameterOptimizationFacade(scenario, lambda config, seed: 0.0, logging_level=False)
        self.asked: list[Any] = []

    def ask(self, n: int) -> list[Point]:
        self.asked = [self.facade.ask() for _ in range(n)]
        return [self._point(dict(trial.config)) for trial in self.asked]

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        for trial, value in zip(self.asked, values, strict=True):
            self.facade.tell(trial, TrialValue(cost=value), save=False)

    def _point(self, row: dict[str, Any]) -> Point:
        kinds = {Float: float, Int: int, Choice: str}
        return {p.name: kinds[type(p)](row[p.name]) for p in self.space.parameters if p.name in row}


def described(space: Space) -> ConfigSpace.ConfigurationSpace:
    """The space as ConfigSpace has it."""
    there = ConfigSpace.ConfigurationSpace()
    for parameter in space.parameters:
        there.add(_described(parameter))
    for parameter in space.parameters:
        for parent, wanted in parameter.when.items():
            there.add(ConfigSpace.InCondition(there[parameter.name], there[parent], list(wanted)))
    return there


def _described(parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        kind = ConfigSpace.OrdinalHyperparameter if parameter.ordered else ConfigSpace.CategoricalHyperparameter
        return kind(parameter.name, list(parameter.choices))
    kind = ConfigSpace.Float if isinstance(parameter, Float) else ConfigSpace.Integer
    return kind(parameter.name, (parameter.low, parameter.high), log=parameter.log)
