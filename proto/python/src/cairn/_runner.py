"""Runs a shipped function as a trial: `python -m cairn._runner SHIPMENT name=value ...`.

The shipment is JSON: the function's name and source, the objective, and how the texts of parameters are read.
"""

from __future__ import annotations

import inspect
import json
import linecache
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from ._report import flush, report
from ._trial import typed


def main(shipment: str, arguments: list[str]) -> None:
    """Calls the function with the parameters of this trial, and reports what it returns."""
    shipped = json.loads(shipment)
    function = _load(shipped["function"], shipped["source"])
    params = dict(argument.split("=", 1) for argument in arguments)
    values = {name: _value(shipped["parameters"][name], text) for name, text in params.items()}
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
    flush()


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
