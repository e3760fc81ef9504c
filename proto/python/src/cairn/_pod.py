"""Calls a shipped function with the parameters of a trial.

Where this package is not installed, as in the image of a trial on a cluster, this file travels along as text: it stands
alone, and has no dollar sign, which would begin a placeholder there.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import linecache
import operator
import os
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any


def call(shipped: Mapping[str, Any], texts: Mapping[str, str], report: Callable[[Any], None]) -> None:
    """Calls the function with the parameters that it was given as texts, and reports what it returns."""
    function = _load(shipped["function"], shipped["source"])
    values = {name: _value(shipped["parameters"][name], text) for name, text in texts.items()}
    accepted = inspect.signature(function).parameters
    for name in shipped["parameters"]:
        # An inactive parameter: the function's own default, else nothing.
        if name not in values and name in accepted and accepted[name].default is inspect.Parameter.empty:
            values[name] = None
    try:
        result = function(**values)
    except Exception as error:
        # The function's own frames; ours say nothing to whoever wrote it.
        own = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, own)
        sys.exit(1)
    if result is not None:
        report(result if isinstance(result, Mapping) else {shipped["objective"]: result})


def run(shipment: str) -> None:
    """The whole of a trial on a cluster: parameters come in variables, and what is measured is printed."""
    shipped = json.loads(shipment)
    texts = {name: os.environ[variable] for name, variable in shipped["variables"].items()}

    def report(value: Any, step: int | None = None) -> None:
        print_measured(value if isinstance(value, Mapping) else {shipped["objective"]: value}, step)

    if importlib.util.find_spec("cairn") is None:
        module: Any = types.ModuleType("cairn")
        module.report, module.trial, module.flush = report, lambda: None, lambda timeout=None: True
        sys.modules["cairn"] = module
    call(shipped, texts, report)


def print_measured(values: Mapping[str, Any], step: int | None = None) -> None:
    """Prints values as collectors of metrics read them."""
    where = [] if step is None else [f"step={operator.index(step)}"]
    print(*where, *(f"{metric}={as_text(value)}" for metric, value in values.items()), flush=True)


def as_text(value: Any) -> str:
    """A measured value as text: numbers of any library, or a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    try:
        return str(operator.index(value))
    except TypeError:
        pass
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        raise TypeError(f"{value!r} is neither a number nor a text; report takes those, or a dict of them") from None


def typed(kind: str, written: str) -> Any:
    """The value that a parameter's text stands for."""
    try:
        if kind == "int":
            return int(written)
        if kind == "double":
            return float(written)
        if kind == "discrete":
            return int(written) if written.strip().lstrip("+-").isdigit() else float(written)
    except ValueError:
        pass
    return written


def _load(name: str, source: str) -> Any:
    filename = f"<{name}>"
    # Tracebacks show the lines of the function.
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    module: dict[str, Any] = {"__name__": "__main__", "__file__": filename}
    # The future of this file counts for it too: annotations are not evaluated, so what they name need not be there.
    exec(compile(source, filename, "exec"), module)
    return module[name]


def _value(parameter: Mapping[str, Any], text: str) -> Any:
    if "values" in parameter:
        return parameter["values"][text]
    return typed(parameter["kind"], text)
