"""The suite `noisy`: what an optimizer is told is not the truth.

Judged by the true value at the point whose told value is the best so far: what a user would take.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optbench.problem import Problem
from optbench.problems.continuous import make
from optbench.problems.mixed import levels, select


def problems() -> list[Problem]:
    """Some of the problems of other suites, disturbed."""
    return [
        make("noisy/sphere-5", "sphere", 5, budget=60, noise=Added(3.0)),
        make("noisy/rosenbrock-5", "rosenbrock", 5, budget=60, noise=Multiplied(0.3)),
        make("noisy/attractive-sector-5", "attractive-sector", 5, budget=60, noise=Multiplied(0.3)),
        replace(select(), name="noisy/select-5", noise=Added(1.0)),
        replace(
            levels("noisy/levels-weierstrass-6", "weierstrass", floats=3, ints=[10, 30], ordered=[6]), noise=Added(5.0)
        ),
    ]


class Added:
    """A normal deviate is added."""

    def __init__(self, std: float) -> None:
        self.std = std

    def __call__(self, value: float, rng: np.random.Generator) -> float:
        return value + self.std * float(rng.standard_normal())


class Multiplied:
    """As f_GN of the noisy BBOB functions: the value times exp of a normal deviate. The optimum is not disturbed."""

    def __init__(self, std: float) -> None:
        self.std = std

    def __call__(self, value: float, rng: np.random.Generator) -> float:
        return value * float(np.exp(self.std * rng.standard_normal()))
