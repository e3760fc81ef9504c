"""The source of a local function, made able to stand alone in another process."""

from __future__ import annotations

import builtins
import dis
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ._errors import SourceError


def of_function(function: Callable[..., Any]) -> str:
    """The source of a function, after the imports of the modules and imported names that it uses.

    Refuses by name whatever else the function takes from around itself.
    """
    name = getattr(function, "__name__", repr(function))
    if inspect.ismethod(function) or not isinstance(function, FunctionType):
        raise SourceError(f"{function!r} is no plain function; only `def` functions can be shipped to trials")
    if name == "<lambda>":
        raise SourceError("a lambda has no source of its own; write it as a `def` function")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise SourceError(f"`{name}` is a coroutine or generator; a trial calls a plain function once")
    if function.__code__.co_freevars:
        raise SourceError(_refusal(name, "variables of the function around it", function.__code__.co_freevars))
    source = _source(function, name)
    imports: list[str] = []
    missing: list[str] = []
    for used in sorted(_free_names(source, name)):
        if used not in function.__globals__:
            missing.append(used)
            continue
        statement = _import(used, function.__globals__[used], function.__module__)
        (imports if statement else missing).append(statement or used)
    if missing:
        raise SourceError(_refusal(name, "names from outside", missing))
    return "".join(f"{line}\n" for line in imports) + source


def _source(function: FunctionType, name: str) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise SourceError(
            f"the source of `{name}` cannot be had ({error}); define it in a file or in a notebook's cell"
        ) from error
    try:
        compile(source, name, "exec")
    except SyntaxError as error:
        raise SourceError(f"the source of `{name}` does not stand alone: {error}") from error
    return source


def _free_names(source: str, name: str) -> set[str]:
    """Names that the source uses without defining them."""
    used: set[str] = set()
    defined = {name, "__name__", "__file__"}
    for code in _codes(compile(source, name, "exec")):
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                used.add(instruction.argval)
            elif instruction.opname in ("STORE_GLOBAL", "STORE_NAME"):
                defined.add(instruction.argval)
    return {each for each in used - defined if not hasattr(builtins, each)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _import(used: str, value: Any, home: str) -> str | None:
    """The statement that brings a name in elsewhere, if there is one."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {used}"
    module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(own, str) or module in ("__main__", home):
        return None
    if getattr(sys.modules.get(module), own, None) is not value:
        return None
    return f"from {module} import {own} as {used}"


def _refusal(name: str, what: str, names: Any) -> str:
    listed = ", ".join(f"`{each}`" for each in names)
    return f"`{name}` uses {what}: {listed}; a trial has only the function itself, so define them inside it"
