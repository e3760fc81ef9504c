"""A problem: a space, a function to minimise, and how many evaluations there are."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optbench.space import Point, Space


@dataclass(frozen=True)
class Problem:
    """One problem. What is judged is `truth`; what an optimizer sees is `observe`."""

    #: `suite/name`.
    name: str
    #: What it shares with problems that are like it: all are on the same side of the split.
    family: str
    space: Space
    #: The value without noise, smaller is better.
    truth: Callable[[Point], float]
    budget: int
    #: The least value, where it is known.
    optimum: float | None = None
    #: Makes an observation of a true value.
    noise: Callable[[float, np.random.Generator], float] | None = None
    #: How many run at once: so many are asked for, and all are told before more are asked for.
    batch: int = 1
    #: Whether an evaluation is dear enough to be remembered on disk.
    dear: bool = False
    #: Whether regret is told of as its logarithm: many get close to the optimum.
    logarithmic: bool = False

    @property
    def suite(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    def observe(self, value: float, seed: int, evaluation: int) -> float:
        """What an optimizer is told of a true value. Depends on the seed and on how many evaluations came before."""
        if self.noise is None:
            return value
        return self.noise(value, stream(self.name, "noise", seed, evaluation))


def stream(*names: object) -> np.random.Generator:
    """Random numbers that depend on these names alone."""
    return np.random.default_rng([zlib.crc32(str(name).encode()) for name in names])
