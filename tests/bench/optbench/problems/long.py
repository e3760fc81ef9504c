"""The suite `long`: functions of BBOB with 100 evaluations a dimension, where what is learnt of a function's shape pays."""

from __future__ import annotations

from optbench.problem import Problem
from optbench.problems import bbob
from optbench.problems.continuous import make

DIMENSIONS = (5, 10, 20)


def problems() -> list[Problem]:
    """Every function in each number of dimensions; instances other than those of the suite `bbob`."""
    return [
        make(f"long/{name}-{d}", name, d, key="long", budget=100 * d, logarithmic=True)
        for name in bbob.FUNCTIONS
        for d in DIMENSIONS
    ]
