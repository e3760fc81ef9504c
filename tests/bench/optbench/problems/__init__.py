"""All problems, by suite."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache

from optbench.problem import Problem
from optbench.problems import batch, conditional, continuous, hpo, long, mixed, names, noisy, wide

#: Suites in the order in which they are told of.
SUITES = ("bbob", "mixed", "hpo", "conditional", "noisy", "batch")
#: Suites that only take part when they are named, and the titles of their own tables.
APART = {"long": "Long budgets", "wide": "Many parameters", "names": "Many names"}


@cache
def everything() -> tuple[Problem, ...]:
    """Every problem, suite by suite."""
    modules = (continuous, mixed, hpo, conditional, noisy, batch, long, wide, names)
    return tuple(problem for module in modules for problem in module.problems())


def by_name(name: str) -> Problem:
    """The problem of this name."""
    return next(problem for problem in everything() if problem.name == name)


def chosen(suites: list[str], patterns: list[str]) -> list[Problem]:
    """The problems of these suites whose names match one of the patterns. No patterns: all; no suites: all but those
    apart."""
    return [
        problem
        for problem in everything()
        if problem.suite in (suites or SUITES)
        and (not patterns or any(fnmatch(problem.name, pattern) for pattern in patterns))
    ]
