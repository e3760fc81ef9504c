"""Optuna, defined by run: a parameter is suggested once its parents have been.

Ordered choices are whole numbers to it, as its documentation advises for values with an order.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler

from optbench.problem import Problem
from optbench.space import Choice, Float, Parameter, Point, Value, is_active

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Optuna:
    """A study in memory."""

    def __init__(self, problem: Problem, sampler: BaseSampler) -> None:
        self.space = problem.space
        self.study = optuna.create_study(sampler=sampler)
        self.asked: list[optuna.Trial] = []

    def ask(self, n: int) -> list[Point]:
        self.asked, points = [], []
        for _ in range(n):
            trial = self.study.ask()
            self.asked.append(trial)
            points.append(self._point(trial))
        return points

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        for trial, value in zip(self.asked, values, strict=True):
            self.study.tell(trial, value)

    def _point(self, trial: optuna.Trial) -> Point:
        point: Point = {}
        for parameter in self.space.parameters:
            if is_active(parameter, point):
                point[parameter.name] = suggested(trial, parameter)
        return point


def suggested(trial: optuna.Trial, parameter: Parameter) -> Value:
    """One parameter's value."""
    name = parameter.name
    if isinstance(parameter, Float):
        return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    if isinstance(parameter, Choice):
        if parameter.ordered:
            return parameter.choices[trial.suggest_int(name, 0, len(parameter.choices) - 1)]
        return str(trial.suggest_categorical(name, list(parameter.choices)))
    return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)


def tpe(problem: Problem, seed: int) -> Optuna:
    """Its default, as it comes: multivariate since version 5."""
    return Optuna(problem, TPESampler(seed=seed))


def univariate_tpe(problem: Problem, seed: int) -> Optuna:
    """What was its default before version 5."""
    return Optuna(problem, TPESampler(seed=seed, multivariate=False))


def cmaes(problem: Problem, seed: int) -> Optuna:
    """CMA-ES; what it cannot model is drawn at random."""
    return Optuna(problem, CmaEsSampler(seed=seed, warn_independent_sampling=False))


def auto(problem: Problem, seed: int) -> Optuna:
    """The rule of OptunaHub's AutoSampler for one objective and fewer than 250 trials.

    The sampler itself is loaded from the network when it runs, so its rule is written here (as of its version for
    Optuna 4.1): TPE where there are categories or conditions, else the Gaussian process.
    """
    named = any((isinstance(p, Choice) and not p.ordered) or p.when for p in problem.space.parameters)
    return tpe(problem, seed) if named else gp(problem, seed)


def gp(problem: Problem, seed: int) -> Optuna:
    """The Gaussian process; what it cannot model is drawn at random."""
    return Optuna(problem, GPSampler(seed=seed, warn_independent_sampling=False))
