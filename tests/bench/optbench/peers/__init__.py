"""Optimizers by name.

Each is a factory that gets a problem and a seed and gives something that is asked and told. Modules of peers are
imported only when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from optbench.problem import Problem
from optbench.space import Point, Value


class Optimizer(Protocol):
    """Proposes points and learns what they are worth."""

    def ask(self, n: int) -> Sequence[Point]:
        """n points to be evaluated at once; fewer, but not none, if it wants to be told first."""
        ...

    def tell(self, points: Sequence[Point], values: Sequence[float]) -> None:
        """The values of the points of the last question, in its order. Smaller is better."""
        ...


@dataclass(frozen=True)
class Peer:
    """How an optimizer is made."""

    name: str
    module: str
    function: str
    arguments: dict[str, Value] = field(default_factory=dict)
    #: Package whose version is kept with the results; none: this benchmark.
    package: str | None = None
    #: Too slow for all problems: it gets the few of `optbench.stratified`.
    slow: bool = False

    def construct(self, problem: Problem, seed: int, **more: object) -> Optimizer:
        """A fresh optimizer for one run."""
        make: Callable[..., Optimizer] = getattr(import_module(f"optbench.peers.{self.module}"), self.function)
        return make(problem, seed, **self.arguments, **more)

    @property
    def ours(self) -> bool:
        """Whether it is Cairn."""
        return self.module == "cairn_"


CAIRN = (
    "auto",
    "bayesianoptimization",
    "tpe",
    "multivariate-tpe",
    "cmaes",
    "evolution",
    "local-search",
    "sobol",
    "random",
)
PEERS = {
    peer.name: peer
    for peer in (
        *(Peer(f"cairn-{name}", "cairn_", "Cairn", {"algorithm": name}) for name in CAIRN),
        Peer("random", "random_", "Random"),
        Peer("evolution", "evolution", "Evolution"),
        Peer("optuna-tpe", "optuna_", "tpe", package="optuna"),
        Peer("optuna-tpe-univariate", "optuna_", "univariate_tpe", package="optuna"),
        Peer("optuna-cmaes", "optuna_", "cmaes", package="optuna"),
        Peer("optuna-gp", "optuna_", "gp", package="optuna", slow=True),
        Peer("optuna-auto", "optuna_", "auto", package="optuna", slow=True),
        Peer("pycma", "pycma", "Pycma", package="cma"),
        Peer("hyperopt", "hyperopt_", "Hyperopt", package="hyperopt"),
        Peer("skopt", "skopt_", "Skopt", package="scikit-optimize", slow=True),
        Peer("smac", "smac_", "Smac", package="smac", slow=True),
        Peer("hebo", "hebo_", "Hebo", package="HEBO", slow=True),
    )
}
