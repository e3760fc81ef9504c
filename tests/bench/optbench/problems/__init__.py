"""All problems, by suite."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache

from optbench.problem import Problem
from optbench.problems import batch, conditional, continuous, hpo, mixed, noisy

#: Suites in the order in which they are told of.
SUITES = ("bbob", "mixed", "hpo", "conditional", "noisy", "batch")


@cache
def everything() -> tuple[Problem, ...]:
    """Every problem, suite by suite."""
    modules = (continuous, mixed, hpo, conditional, noisy, batch)
    return tuple(problem for module in modules for problem in module.problems())


def by_name(name: str) -> Problem:
    """The problem of this name."""
    return next(problem for problem in everything() if problem.name == name)


def chosen(suites: list[str], patterns: list[str]) -> list[Problem]:
    """The problems of these suites whose names match one of the patterns. No suites, or no patterns: all."""
    return [
        problem
        for problem in everything()
        if (not suites or problem.suite in suites)
        and (not patterns or any(fnmatch(problem.name, pattern) for pattern in patterns))
    ]
