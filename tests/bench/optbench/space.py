"""Search spaces without any optimizer's dialect.

A point is a dict with a value for each active parameter: float, int, or the text of a choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Value = float | int | str
Point = dict[str, Value]
#: Parents that must be active and have one of these values. At most one parent.
When = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`; `log`: factors are spread evenly."""

    name: str
    low: float
    high: float
    log: bool = False
    when: When = field(default_factory=dict)

    def value(self, u: float) -> float:
        """The value at `u` in [0, 1]."""
        return min(max(_spread(u, self.low, self.high, self.log), self.low), self.high)

    def unit(self, value: Value) -> float:
        """Where a value lies in [0, 1]."""
        return _place(float(value), self.low, self.high, self.log)


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    log: bool = False
    when: When = field(default_factory=dict)

    def value(self, u: float) -> int:
        """The value at `u` in [0, 1]: each has a cell of the same size, on the scale it is spread on."""
        raw = _spread(u, self.low - 0.5, self.high + 0.5, self.log)
        return int(min(max(math.floor(raw + 0.5), self.low), self.high))

    def unit(self, value: Value) -> float:
        """Where a value lies in [0, 1]: the middle of its cell."""
        return _place(float(value), self.low - 0.5, self.high + 0.5, self.log)


@dataclass(frozen=True)
class Choice:
    """One of some texts. `ordered`: neighbours in the list are alike."""

    name: str
    choices: Sequence[str]
    ordered: bool = False
    when: When = field(default_factory=dict)

    def value(self, u: float) -> str:
        """The choice at `u` in [0, 1]: each has a cell of the same size."""
        n = len(self.choices)
        return self.choices[min(int(u * n), n - 1)]

    def unit(self, value: Value) -> float:
        """The middle of a choice's cell."""
        return (self.choices.index(str(value)) + 0.5) / len(self.choices)


Parameter = Float | Int | Choice


@dataclass(frozen=True)
class Space:
    """Parameters, parents before their children."""

    parameters: Sequence[Parameter]

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.name == name)

    def children(self, name: str) -> list[Parameter]:
        """The parameters that are active only for some values of this one."""
        return [parameter for parameter in self.parameters if name in parameter.when]

    def decode(self, units: Sequence[float]) -> Point:
        """The point at a place of the unit cube that has a coordinate for every parameter, active or not."""
        point: Point = {}
        for parameter, u in zip(self.parameters, units, strict=True):
            if is_active(parameter, point):
                point[parameter.name] = parameter.value(float(u))
        return point

    def sample(self, rng: np.random.Generator) -> Point:
        """A point drawn from the prior."""
        return self.decode(list(rng.random(len(self.parameters))))


def is_active(parameter: Parameter, point: Mapping[str, Value]) -> bool:
    """Whether the values of its parents, which are in the point already, give a parameter a meaning."""
    return all(point.get(parent) in wanted for parent, wanted in parameter.when.items())


def _spread(u: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    return low + u * (high - low)


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)
