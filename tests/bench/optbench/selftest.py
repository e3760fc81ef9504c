"""Checks of the benchmark itself."""

from __future__ import annotations

import sys

import numpy as np

from optbench import problems
from optbench.problem import Problem, stream
from optbench.problems import bbob
from optbench.problems.mixed import autocorrelation
from optbench.results import Run
from optbench.scores import Scale, Scores, complete
from optbench.space import Choice, Point

#: Points at which nothing may be better than the optimum.
N_POINTS = 1000


def run() -> None:
    """Runs all checks; the first that fails ends the program."""
    for name in bbob.FUNCTIONS:
        for d in (2, 5, 10, 20):
            optimum_is_where_it_is_said(name, d)
    for problem in problems.everything():
        values_come_back(problem)
        if not problem.dear:
            nothing_is_below_the_optimum(problem)
    known_sequence_has_its_energy()
    who_lacks_problems_is_left_out()
    print(f"{4 * len(bbob.FUNCTIONS) + 2 * len(problems.everything()) + 2} checks passed", file=sys.stderr)


def optimum_is_where_it_is_said(name: str, d: int) -> None:
    """A function is 0 at its optimum, which is in the box, and less nowhere: far from it and near it."""
    instance = bbob.instance(name, d)
    assert np.all(np.abs(instance.x_opt) <= 5), (name, d, instance.x_opt)
    at = instance.function(instance.x_opt)
    assert abs(at) < 1e-6, (name, d, at)
    rng = stream("self-test", name, d)
    far = rng.uniform(-5, 5, (N_POINTS, d))
    near = np.clip(instance.x_opt + rng.normal(0, 1, (N_POINTS, d)) * 10 ** rng.uniform(-4, 0, (N_POINTS, 1)), -5, 5)
    least = min(instance.function(x) for x in np.concatenate([far, near]))
    assert least >= min(at, 0.0) - 1e-9, (name, d, least)


def nothing_is_below_the_optimum(problem: Problem) -> None:
    """Random points of a problem have finite values, none below its optimum."""
    rng = stream("self-test", problem.name)
    values = [problem.truth(problem.space.sample(rng)) for _ in range(N_POINTS)]
    assert np.all(np.isfinite(values)), problem.name
    if problem.optimum is not None:
        assert min(values) >= problem.optimum - 1e-9, (problem.name, min(values))


def values_come_back(problem: Problem) -> None:
    """What a place of the unit cube decodes to encodes to a place that decodes to the same."""
    rng = stream("self-test", problem.name)
    for _ in range(20):
        for parameter in problem.space.parameters:
            value = parameter.value(float(rng.random()))
            again = parameter.value(parameter.unit(value))
            number = isinstance(value, float)
            same = abs(float(again) - float(value)) <= 1e-9 * abs(float(value)) if number else again == value
            assert same, (problem.name, parameter.name, value, again)
            assert not isinstance(parameter, Choice) or value in parameter.choices


def known_sequence_has_its_energy() -> None:
    """The sequence 5113112321 in run lengths has energy 26."""
    signs = [side for i, n in enumerate(map(int, "5113112321")) for side in ["up", "down"][i % 2 : i % 2 + 1] * n]
    problem = autocorrelation()
    point: Point = {parameter.name: side for parameter, side in zip(problem.space.parameters, signs, strict=True)}
    assert problem.truth(point) == 26.0, problem.truth(point)


def who_lacks_problems_is_left_out() -> None:
    """An optimizer with fewer problems does not take them from the others; one with fewer seeds stays, as does Cairn."""

    def scored(label: str, cells: list[tuple[str, int]]) -> Scores:
        runs = {(name, seed): Run(name, seed, "1", 1, [(1, 0.0)], 0, 0) for name, seed in cells}
        return Scores(label, runs, Scale(), 1)

    sphere, knn, tree = "bbob/sphere-5", "hpo/knn-diabetes-mse", "conditional/tree"
    few = scored("few", [(sphere, 0), (sphere, 1)])
    many = scored("many", [(sphere, 0), (sphere, 1), (knn, 0), (tree, 0)])
    once = scored("once", [(sphere, 0), (knn, 0)])
    cairn = scored("cairn-tpe", [(sphere, 0), (knn, 0)])
    absent = scored("cairn-cmaes", [])
    assert complete([few, many, once]) == [many]
    assert complete([few, many, once, cairn, absent]) == [many, once, cairn]
