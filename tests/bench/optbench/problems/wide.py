"""The suite `wide`: more parameters than anybody would plot, and few evaluations for each of them."""

from __future__ import annotations

import numpy as np

from optbench.problem import Problem
from optbench.problems import bbob, mixed
from optbench.problems.continuous import family, make
from optbench.space import Float, Point, Space

#: Functions of 40 parameters that all matter.
FUNCTIONS = (
    "sphere",
    "linear-slope",
    "ellipsoid",
    "bueche-rastrigin",
    "attractive-sector",
    "rosenbrock",
    "ellipsoid-rotated",
    "bent-cigar",
    "different-powers",
    "schwefel",
    "gallagher",
)
#: Functions of 5 among 60 parameters.
FEW = ("sphere", "rosenbrock-rotated", "rastrigin", "discus", "step-ellipsoid")
BUDGET = 150


def problems() -> list[Problem]:
    """Numbers that all matter, numbers of which few matter, and some of every kind."""
    return [
        *(make(f"wide/{name}-40", name, 40, key="wide", budget=BUDGET) for name in FUNCTIONS),
        *(few(name) for name in FEW),
        mixed.levels("wide/levels-sphere-30", "sphere", 10, [5] * 5 + [20] * 5, [4] * 10, BUDGET),
        mixed.levels("wide/levels-ellipsoid-30", "ellipsoid", 10, [5] * 5 + [20] * 5, [4] * 10, BUDGET),
        mixed.levels("wide/levels-attractive-sector-30", "attractive-sector", 10, [9] * 10, [4] * 10, BUDGET),
        mixed.interactions("wide/interactions-26", 24, BUDGET),
    ]


def few(name: str) -> Problem:
    """A function of every twelfth parameter; the others do nothing."""
    function = bbob.instance(name, 5, "few").function
    space = Space([Float(f"x{i}", -5.0, 5.0) for i in range(60)])

    def truth(point: Point) -> float:
        return function(np.array([float(point[f"x{12 * i}"]) for i in range(5)]))

    return Problem(f"wide/few-{name}-60", family(name), space, truth, BUDGET, optimum=0.0)
