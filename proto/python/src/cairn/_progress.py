"""Live progress: one line on a terminal, a display that changes in a notebook, a line a minute elsewhere."""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from . import _html
from ._text import number, span

#: How often a line is written where there is no terminal, in seconds.
LINE = 60.0


class Progress(Protocol):
    """Something that shows how an experiment stands."""

    def show(self, data: Mapping[str, Any], elapsed: float) -> None:
        """Shows the experiment as the API has it."""

    def close(self, data: Mapping[str, Any] | None, elapsed: float) -> None:
        """Shows it for the last time."""


def start() -> Progress:
    """What suits the place where this runs."""
    if _in_notebook():
        return _Notebook()
    return _Terminal() if sys.stderr.isatty() else _Lines()


def describe(data: Mapping[str, Any], elapsed: float) -> str:
    """How an experiment stands, in one line."""
    block = data["cairn"]
    done, total = counts(data)
    parts = [f"{data['metadata']['name']} {done}/{total}" if total else f"{data['metadata']['name']} {done}"]
    if block["bestTrial"]:
        parts.append(f"best {block['objective']} {number(block['bestValue'])} ({block['bestTrial']})")
    counters = block["counters"]
    named = {"running": "running", "failed": "failed", "earlyStopped": "stopped early", "metricsUnavailable": "unmeasured"}
    parts.append(", ".join(f"{counters[key]} {word}" for key, word in named.items() if counters[key]))
    if block["waiting"] and not counters["running"]:
        parts.append(block["waiting"])
    if block["state"] not in ("Created", "Running", "Restarting"):
        parts.append(block["state"])
    left = f"<{span(elapsed / done * (total - done))}" if done and total > done and elapsed > 1 else ""
    parts.append(span(elapsed) + left)
    return " | ".join(part for part in parts if part)


def counts(data: Mapping[str, Any]) -> tuple[int, int]:
    """How many trials have ended, and how many there may be (0: as many as it takes)."""
    counters = data["cairn"]["counters"]
    done = counters["total"] - counters["pending"] - counters["running"]
    return done, data["spec"].get("maxTrialCount") or 0


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


class _Terminal:
    def show(self, data: Mapping[str, Any], elapsed: float) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{describe(data, elapsed)[:width]}\x1b[K")
        sys.stderr.flush()

    def close(self, data: Mapping[str, Any] | None, elapsed: float) -> None:
        if data is not None:
            self.show(data, elapsed)
        sys.stderr.write("\n")
        sys.stderr.flush()


class _Lines:
    def __init__(self) -> None:
        self._next = time.monotonic() + LINE

    def show(self, data: Mapping[str, Any], elapsed: float) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE
            print(describe(data, elapsed), file=sys.stderr, flush=True)

    def close(self, data: Mapping[str, Any] | None, elapsed: float) -> None:
        if data is not None:
            print(describe(data, elapsed), file=sys.stderr, flush=True)


class _Notebook:
    def __init__(self) -> None:
        self._id: str | None = None

    def show(self, data: Mapping[str, Any], elapsed: float) -> None:
        display: Any = importlib.import_module("IPython.display")

        text = describe(data, elapsed)
        bundle = {"text/plain": text, "text/html": _html.bar(*counts(data), text)}
        if self._id is None:
            handle = display.display(bundle, raw=True, display_id=True)
            self._id = handle.display_id
        else:
            display.update_display(bundle, raw=True, display_id=self._id)

    def close(self, data: Mapping[str, Any] | None, elapsed: float) -> None:
        if data is not None:
            self.show(data, elapsed)
