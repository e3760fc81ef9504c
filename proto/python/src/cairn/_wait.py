"""Waiting for an experiment, wherever it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _progress
from ._errors import (
    ExperimentFailed,
    FailureGroup,
    NotFoundError,
    ServerUnreachableError,
    UnavailableError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from typing_extensions import Self

#: How often `wait` looks, in seconds.
LOOK = 0.25


class Waited:
    """An experiment that can be waited for."""

    name: str

    def refresh(self) -> Mapping[str, Any]:
        """The whole experiment as Katib's resource, with a `cairn` block."""
        raise NotImplementedError

    def failures(self) -> list[FailureGroup]:
        """Failed trials grouped by cause, the largest group first."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None, *, progress: bool = True) -> Self:
        """Waits until the experiment is completed, or held with nothing running, and shows its progress.

        Raises `ExperimentFailed` with the grouped causes, and `WaitTimeoutError` after `timeout` seconds. An interrupt
        (Ctrl-C) only detaches: the search goes on, and `wait()` or `cairn.attach(name)` finds it again.
        """
        begin = time.monotonic()
        shown = _progress.start() if progress else None
        data: Mapping[str, Any] | None = None
        try:
            while True:
                data = self._looked(data)
                elapsed = time.monotonic() - begin
                if data is not None and _at_rest(data):
                    break
                if shown and data is not None:
                    shown.show(data, elapsed)
                if timeout is not None and elapsed >= timeout:
                    raise WaitTimeoutError(f"experiment `{self.name}` is not completed after {timeout:g} s; it goes on")
                time.sleep(LOOK if timeout is None else min(LOOK, max(timeout - elapsed, 0.0)))
        except KeyboardInterrupt:
            print(f"detached; experiment `{self.name}` goes on, and wait() shows it again", file=sys.stderr)
            return self
        finally:
            if shown:
                shown.close(data, time.monotonic() - begin)
        if data["cairn"]["state"] == "Failed":
            raise ExperimentFailed(self.name, data["cairn"]["message"], self.failures())
        return self

    def _looked(self, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """How it stands now, or stood when a server could last say."""
        try:
            return self.refresh()
        except (UnavailableError, ServerUnreachableError):
            if before is None:
                raise
            return before

    def _until_gone(self, timeout: float, *, every: float) -> None:
        """Waits until its name is free, looking every so many seconds."""
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            try:
                self.refresh()
            except NotFoundError:
                return
            time.sleep(every)
        raise WaitTimeoutError(f"experiment `{self.name}` is still being deleted after {timeout:g} s")


def _at_rest(data: Mapping[str, Any]) -> bool:
    state = data["cairn"]["state"]
    return state in ("Succeeded", "Failed", "Stopped") and not data["cairn"]["counters"]["running"]
