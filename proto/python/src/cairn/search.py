"""Search spaces: what each parameter may be.

    from cairn import search

    space = {
        "lr": search.float(1e-5, 1e-1, log=True),
        "layers": search.int(2, 8),
        "optimizer": search.categorical(["sgd", "adam"]),
        "momentum": search.float(0.5, 0.99, when={"optimizer": "sgd"}),
    }
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

#: What a parameter may take: a number, a text, a truth or nothing.
Value = Union[str, builtins.int, builtins.float, bool, None]
#: Conditions by parent: a value, several of them, or bounds `{"min": ..., "max": ...}`.
When = Mapping[str, Any]
#: Where the best value of a number is believed to lie: mean and standard deviation.
Normal = tuple[builtins.float, builtins.float]

__all__ = ["Normal", "Parameter", "When", "categorical", "discrete", "double", "float", "int"]


@dataclass(frozen=True)
class Parameter:
    """One dimension of a search space. Made by the functions of this module."""

    kind: str
    feasible: Mapping[str, Any]
    when: When = field(default_factory=dict)
    default: Value = None
    ordered: bool = False
    #: Values by the text that stands for them, where they are listed.
    values: Mapping[str, Value] = field(default_factory=dict)
    #: Where the best value is believed to lie: `mean` and `std`, or `weights` by text.
    prior: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, name: str) -> dict[str, Any]:
        """The parameter as an Experiment has it."""
        spec: dict[str, Any] = {"name": name, "parameterType": self.kind, "feasibleSpace": dict(self.feasible)}
        if self.when:
            spec["when"] = {parent: _condition(wanted) for parent, wanted in self.when.items()}
        if self.default is not None:
            spec["default"] = text(self.default)
        if self.ordered:
            spec["ordered"] = True
        if self.prior:
            spec["prior"] = dict(self.prior)
        return spec

    def value(self, written: str) -> Any:
        """The value that a text stands for."""
        if self.kind == "double":
            return builtins.float(written)
        if self.kind == "int":
            return builtins.int(written)
        return self.values[written]


def float(
    min: builtins.float,
    max: builtins.float,
    *,
    log: bool = False,
    step: builtins.float | None = None,
    when: When | None = None,
    default: builtins.float | None = None,
    prior: Normal | None = None,
) -> Parameter:
    """A number from `min` to `max`. `log`: factors are spread evenly; `step`: distance of neighbours.

    `prior`: where the best value is believed to lie, as (mean, std); with `log` std is in powers of ten.
    """
    feasible = {"min": text(builtins.float(min)), "max": text(builtins.float(max))}
    if step is not None:
        feasible["step"] = text(builtins.float(step))
    start = None if default is None else builtins.float(default)
    return Parameter("double", _spread(feasible, log), dict(when or {}), start, prior=_normal(prior))


#: The same, by the name that Experiments have for it.
double = float


def int(
    min: builtins.int,
    max: builtins.int,
    *,
    log: bool = False,
    step: builtins.int | None = None,
    when: When | None = None,
    default: builtins.int | None = None,
    prior: Normal | None = None,
) -> Parameter:
    """A whole number from `min` to `max`, both included. `prior` as of `float`."""
    feasible = {"min": str(operator.index(min)), "max": str(operator.index(max))}
    if step is not None:
        feasible["step"] = str(operator.index(step))
    start = None if default is None else operator.index(default)
    return Parameter("int", _spread(feasible, log), dict(when or {}), start, prior=_normal(prior))


def discrete(
    values: Sequence[builtins.float],
    *,
    when: When | None = None,
    default: builtins.float | None = None,
    prior: Mapping[builtins.float, builtins.float] | None = None,
) -> Parameter:
    """One of some numbers, whose distances mean something. `prior` as of `categorical`."""
    named = {text(value): value for value in sorted(values)}
    believed = _weights(prior)
    return Parameter("discrete", {"list": list(named)}, dict(when or {}), default, values=named, prior=believed)


def categorical(
    choices: Sequence[Value],
    *,
    ordered: bool = False,
    when: When | None = None,
    default: Value = None,
    prior: Mapping[Any, builtins.float] | None = None,
) -> Parameter:
    """One of some choices. `ordered`: neighbours in the list are alike.

    `prior`: how likely each choice is to be the best, against the others; 1 for those left out.
    """
    named: dict[str, Value] = {}
    for choice in choices:
        written = text(choice)
        if named.setdefault(written, choice) is not choice and named[written] != choice:
            raise ValueError(f"the choices {named[written]!r} and {choice!r} are both written `{written}`")
    believed = _weights(prior)
    return Parameter("categorical", {"list": list(named)}, dict(when or {}), default, ordered, named, believed)


def specs(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """A space as an Experiment has it."""
    for name, parameter in space.items():
        if not isinstance(parameter, Parameter):
            raise TypeError(f"`{name}` is {parameter!r}; write it as cairn.search.float(...) or one of its like")
    return [parameter.spec(name) for name, parameter in space.items()]


def text(value: Any) -> str:
    """A value as Experiments write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    item = getattr(value, "item", None)  # a number of numpy
    return repr(item() if callable(item) else value)


def _spread(feasible: dict[str, str], log: bool) -> dict[str, str]:
    return {**feasible, "distribution": "logUniform"} if log else feasible


def _normal(prior: Normal | None) -> dict[str, Any]:
    return {} if prior is None else {"mean": builtins.float(prior[0]), "std": builtins.float(prior[1])}


def _weights(prior: Mapping[Any, builtins.float] | None) -> dict[str, Any]:
    return {"weights": {text(value): builtins.float(weight) for value, weight in prior.items()}} if prior else {}


def _condition(wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return {bound: text(value) for bound, value in wanted.items()}
    if isinstance(wanted, (list, tuple, set)):
        return [text(value) for value in wanted]
    return text(wanted)
