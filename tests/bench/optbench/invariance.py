"""What must make no difference to an optimizer.

A problem is mirrored (every number's range turned around), its names are given in another order, or its optimum is
moved. An optimizer that likes the middle, the low end or the first choice does better on some of these than on others.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from optbench import problems
from optbench.peers import PEERS
from optbench.problem import Problem, stream
from optbench.problems.continuous import make
from optbench.runner import run_problem
from optbench.scores import Scale
from optbench.space import Choice, Parameter, Point, Space

#: Problems that are changed; those of BBOB are moved too.
NAMES = ("bbob/rosenbrock-2", "bbob/ellipsoid-5", "bbob/rastrigin-5", "mixed/log-ellipsoid-5", "mixed/interactions-10")
SEEDS = range(20)
#: Differences of more standard errors than this are suspicious: by chance, one in 370.
SUSPICIOUS = 3.0


def check(name: str, settings: dict[str, str] | None = None) -> str:
    """A table of how much each change matters to an optimizer."""
    scale = Scale.measured()
    lines = [
        f"| {name} | change | as it is | changed | difference | error | |",
        "|---|---|---|---|---|---|---|",
    ]
    for title in NAMES:
        problem = problems.by_name(title)
        before = _finals(name, [problem] * len(SEEDS), scale, settings)
        for change, changed in changes(problem).items():
            after = _finals(name, [changed(seed) for seed in SEEDS], scale, settings)
            mean = statistics.fmean(after) - statistics.fmean(before)
            error = (statistics.variance(after) / len(after) + statistics.variance(before) / len(before)) ** 0.5
            mark = "suspicious" if abs(mean) > SUSPICIOUS * error else ""
            reached = f"{statistics.fmean(before):.3f} | {statistics.fmean(after):.3f}"
            lines.append(f"| {title} | {change} | {reached} | {mean:+.3f} | {error:.3f} | {mark} |")
    return "\n".join(lines)


def changes(problem: Problem) -> dict[str, Callable[[int], Problem]]:
    """The changes that a problem allows, each by seed."""
    found: dict[str, Callable[[int], Problem]] = {"mirrored": lambda seed: mirrored(problem)}
    if any(isinstance(parameter, Choice) for parameter in problem.space.parameters):
        found["names in another order"] = lambda seed: shuffled(problem, seed)
    if problem.suite == "bbob":
        function, _, d = problem.name.partition("/")[2].rpartition("-")
        found["optimum moved"] = lambda seed: make(problem.name, function, int(d), key=str(seed))
    return found


def mirrored(problem: Problem) -> Problem:
    """Every number is low where it was high."""

    def back(parameter: Parameter, point: Point) -> float | int | str:
        value = point[parameter.name]
        return value if isinstance(parameter, Choice) else parameter.value(1.0 - parameter.unit(value))

    def truth(point: Point) -> float:
        return problem.truth({p.name: back(p, point) for p in problem.space.parameters if p.name in point})

    return replace(problem, truth=truth)


def shuffled(problem: Problem, seed: int) -> Problem:
    """Names without an order are given in another one."""
    rng = stream("invariance", problem.name, seed)

    def other(parameter: Parameter) -> Parameter:
        if not isinstance(parameter, Choice) or parameter.ordered:
            return parameter
        return replace(parameter, choices=[str(choice) for choice in rng.permutation(list(parameter.choices))])

    return replace(problem, space=Space([other(parameter) for parameter in problem.space.parameters]))


def _finals(name: str, variants: Sequence[Problem], scale: Scale, settings: dict[str, str] | None) -> list[float]:
    return [
        own_scale(variant, scale).regret(run_problem(PEERS[name], variant, seed, settings=settings), variant.budget)
        for seed, variant in enumerate(variants)
    ]


def own_scale(variant: Problem, scale: Scale) -> Scale:
    """0 as for the problem as it is, 1 by random search on the variant itself; only where that costs nothing."""
    if variant.suite != "bbob":
        return scale
    finals = [run_problem(PEERS["random"], variant, seed).path[-1][1] for seed in SEEDS]
    return Scale(scale.best, {variant.name: statistics.median(finals)})
