"""The suite `bbob`: numbers only, nothing disturbs them, one at a time."""

from __future__ import annotations

import numpy as np

from optbench.problem import Problem
from optbench.problems import bbob
from optbench.space import Float, Point, Space

#: Function and dimensions.
CHOSEN = (
    ("sphere", 10),
    ("sphere", 20),
    ("ellipsoid", 5),
    ("rastrigin", 5),
    ("bueche-rastrigin", 10),
    ("linear-slope", 10),
    ("attractive-sector", 5),
    ("step-ellipsoid", 10),
    ("rosenbrock", 2),
    ("rosenbrock", 10),
    ("rosenbrock-rotated", 5),
    ("ellipsoid-rotated", 10),
    ("discus", 5),
    ("bent-cigar", 10),
    ("sharp-ridge", 5),
    ("sharp-ridge", 20),
    ("different-powers", 5),
    ("different-powers", 20),
    ("rastrigin-rotated", 20),
    ("weierstrass", 2),
    ("weierstrass", 10),
    ("schaffers", 5),
    ("schaffers-ill", 10),
    ("griewank-rosenbrock", 5),
    ("schwefel", 2),
    ("schwefel", 10),
    ("gallagher", 2),
    ("gallagher", 5),
)


def problems() -> list[Problem]:
    """The functions of BBOB."""
    return [make(f"bbob/{name}-{d}", name, d) for name, d in CHOSEN]


def make(title: str, name: str, d: int, key: str = "", **more: object) -> Problem:
    """A function of BBOB with 10 d evaluations, at least 40 and at most 100. `key`: another instance."""
    function = bbob.instance(name, d, key).function
    space = Space([Float(f"x{i}", -5.0, 5.0) for i in range(d)])

    def truth(point: Point) -> float:
        return function(np.array([float(point[f"x{i}"]) for i in range(d)]))

    settings = {"budget": min(max(10 * d, 40), 100), "optimum": 0.0, **more}
    return Problem(title, family(name), space, truth, **settings)  # type: ignore[arg-type]


def family(name: str) -> str:
    """The name without what turns or skews a function."""
    return name.removesuffix("-rotated").removesuffix("-ill").removeprefix("bueche-")
