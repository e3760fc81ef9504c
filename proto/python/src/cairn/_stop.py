"""Being told to end, in trials that may go on from a checkpoint later.

SIGTERM ends a program wherever it is, in the middle of saving too. Where checkpoints are kept it is held back until the
program reports next: what it has saved by then is whole.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from types import FrameType


class Stopped(SystemExit):
    """Raised by `cairn.report` in a trial that is to end, or to wait and go on later.

    What lies in `cairn.trial().checkpoint_dir` when the process ends is what the trial goes on from. Nobody has to catch it:
    like `SystemExit`, which it is, it ends the process.
    """


class _Listener:
    """Whether this process was told to end; its children are told nothing by it."""

    def __init__(self) -> None:
        self.wanted = False
        self._listens = False

    def listen(self, folder: Path) -> None:
        """From now on SIGTERM is held back, where checkpoints are kept and nobody else listens for it."""
        if self._listens or threading.current_thread() is not threading.main_thread():
            return
        self._listens = True
        if _keeps_checkpoint(folder) and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._told)
            os.register_at_fork(after_in_child=_as_before)

    def _told(self, _signal: int, _frame: FrameType | None) -> None:
        self.wanted = True


def _as_before() -> None:
    listener.wanted = False
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _keeps_checkpoint(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "run.json").read_text())["run"]["keepCheckpoint"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


listener = _Listener()
