"""Shipping local functions."""

from __future__ import annotations

import math
import os.path as paths
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import Served

import cairn
from cairn import search

OUTSIDE = 3


def test_a_function_is_tuned_to_its_best_parameters(server: Served) -> None:
    def train(lr: float, layers: int, opt: str, sizes: Any, momentum: float | None) -> dict[str, float]:
        import cairn

        assert isinstance(lr, float) and isinstance(layers, int) and sizes in (None, 16, True)
        assert (momentum is None) == (opt == "adam")
        dollars = "$(HOME) $$ ${trialParameters.p0} 'quoted' \"twice\" é"
        cairn.report({"text": dollars})
        for epoch in range(3):
            cairn.report({"loss": abs(math.log(lr)) + layers + 3 - epoch}, step=epoch)
        return {"loss": abs(math.log(lr)) + layers, "accuracy": 0.5}

    space = {
        "lr": search.float(1e-3, 1, log=True),
        "layers": search.int(1, 3),
        "opt": search.categorical(["sgd", "adam"]),
        "sizes": search.categorical([None, 16, True]),
        "momentum": search.float(0, 1, when={"opt": "sgd"}),
    }
    exp = cairn.tune(
        train, space, objective="loss", metrics=["accuracy"], max_trials=10, parallel=2, algorithm="random", seed=3
    )
    frame = exp.trials()
    assert exp.name.startswith("train-") and (frame["state"] == "Succeeded").all()
    assert frame["value"].equals(frame["metrics.loss"]) and (frame["metrics.accuracy"] == 0.5).all()
    best = exp.best()
    assert best is not None and best.value == pytest.approx(abs(math.log(best.params["lr"])) + best.params["layers"])
    assert list(exp.observations(best, "loss")["step"]) == [0, 1, 2, 3]
    assert list(exp.observations(best, "text")["text"]) == ["$(HOME) $$ ${trialParameters.p0} 'quoted' \"twice\" é"]


def test_the_same_name_and_function_go_on_where_they_were(server: Served) -> None:
    def square(x: float) -> float:
        return x * x

    given: dict[str, Any] = {"max_trials": 3, "algorithm": "random", "seed": 1, "name": "again"}
    first = cairn.tune(square, {"x": search.float(-1, 1)}, **given)
    again = cairn.tune(square, {"x": search.float(-1, 1)}, **given)
    assert first.refresh()["metadata"]["uid"] == again.refresh()["metadata"]["uid"]


def test_a_failing_function_shows_its_own_traceback(server: Served) -> None:
    def broken(x: float) -> float:
        raise RuntimeError(f"cannot train with {x > 0}")

    with pytest.raises(cairn.ExperimentFailed, match="cannot train with True") as caught:
        cairn.tune(broken, {"x": search.float(1, 2)}, max_trials=3, max_failed_trials=1, algorithm="random")
    exp = cairn.attach(caught.value.name)
    log = exp.logs(0)
    assert log.splitlines()[:2] == ["Traceback (most recent call last):", '  File "<broken>", line 2, in broken']
    assert "raise RuntimeError" in log


def test_what_cannot_be_shipped_is_refused_by_name(tmp_path: Path) -> None:
    space = {"x": search.float(0, 1)}
    near = 1

    def closes(x: float) -> float:
        return x + near

    def reaches(x: float) -> float:
        return x + OUTSIDE

    def takes(y: float) -> float:
        return y

    made: dict[str, Any] = {}
    exec("def typed(x): return x", made)
    for function, message in [
        (closes, "`closes` uses variables of the function around it: `near`"),
        (reaches, "`reaches` uses names from outside: `OUTSIDE`"),
        (lambda x: x, "a lambda has no source"),
        (math.sqrt, "no plain function"),
        (made["typed"], "the source of `typed` cannot be had"),
        (takes, "`takes` takes no argument `x`"),
    ]:
        with pytest.raises(cairn.SourceError, match=message):
            cairn.tune(function, space)
    with pytest.raises(TypeError, match="cairn.search.float"):
        cairn.tune(takes, {"y": (0, 1)})  # type: ignore[dict-item]


def test_modules_and_imported_names_travel_along() -> None:
    from cairn._source import of_function

    def uses(x: float) -> bool:
        return math.isfinite(x) and paths.exists("/") and Fraction(1, 2) < 1

    lines = of_function(uses).splitlines()
    assert "import math as math" in lines and "from fractions import Fraction as Fraction" in lines
    module: dict[str, Any] = {}
    exec(of_function(uses), module)
    assert module["uses"](1.0)
