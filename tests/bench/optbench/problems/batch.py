"""The suite `batch`: eight run at once, in rounds."""

from __future__ import annotations

from dataclasses import replace

from optbench.problem import Problem
from optbench.problems import hpo
from optbench.problems.continuous import make
from optbench.problems.mixed import levels

#: How many run at once.
AT_ONCE = 8


def problems() -> list[Problem]:
    """Some of the problems of other suites, with rounds of eight."""
    return [
        make("batch/ellipsoid-5", "ellipsoid", 5, budget=80, batch=AT_ONCE),
        make("batch/rastrigin-10", "rastrigin", 10, budget=80, batch=AT_ONCE),
        make("batch/sharp-ridge-5", "sharp-ridge", 5, budget=80, batch=AT_ONCE),
        replace(
            levels("batch/levels-schwefel-6", "schwefel", floats=3, ints=[10, 30], ordered=[6]),
            budget=64,
            batch=AT_ONCE,
        ),
        replace(hpo.named("svm-digits-loss"), name="batch/svm-digits-loss", budget=64, batch=AT_ONCE),
    ]
