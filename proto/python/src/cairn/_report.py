"""Inside a trial: who it is, and reporting what it has measured.

A reported value is first written to a file in the trial's folder and then sent. Values carry numbers, so that what is
sent again after a failure adds nothing; what a process of the same run could not send before it died, the next sends.
"""

from __future__ import annotations

import atexit
import codecs
import fcntl
import json
import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from ._errors import ApiError, UnavailableError
from ._http import Client, encode
from ._pod import as_text, print_measured
from ._server import NamedServer, read_address, token
from ._stop import Stopped, listener

#: Most values sent at once.
BATCH = 500
#: The longest pause between two tries, in seconds.
MAX_PAUSE = 2.0
#: How long the end of a process waits for a server that does not answer, in seconds; CAIRN_REPORT_WAIT says otherwise.
WAIT = 600.0
#: Exit code of a process that could not hand over what it has measured.
LOST = 75


@dataclass(frozen=True)
class TrialInfo:
    """The trial that this process belongs to."""

    name: str
    experiment: str
    namespace: str
    attempt: int
    #: Its folder.
    folder: Path
    #: What lies here when the process ends well is the trial's model.
    model_dir: Path
    #: Kept between attempts; holds the checkpoint to start from, if there is one.
    checkpoint_dir: Path
    #: Where its server was when it was started.
    server: str | None

    @property
    def is_beside_server(self) -> bool:
        """Whether it runs on its server's machine; in a pod what it prints is read."""
        return self.server is not None and (self.folder / "run.json").is_file()

    @property
    def metrics(self) -> list[str]:
        """The metrics that are wanted of it, the objective first."""
        try:
            wanted = json.loads((self.folder / "run.json").read_text())["run"]["metrics"]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [str(name) for name in wanted]


def trial() -> TrialInfo | None:
    """The trial that this process belongs to; `None` if Cairn has not started it."""
    env = os.environ
    if "CAIRN_TRIAL_DIR" not in env or "CAIRN_TRIAL_NAME" not in env:
        return None
    folder = Path(env["CAIRN_TRIAL_DIR"])
    return TrialInfo(
        name=env["CAIRN_TRIAL_NAME"],
        experiment=env.get("CAIRN_EXPERIMENT", ""),
        namespace=env.get("CAIRN_NAMESPACE", "default"),
        attempt=int(env.get("CAIRN_ATTEMPT", "1")),
        folder=folder,
        model_dir=Path(env.get("CAIRN_MODEL_DIR", folder / "model")),
        checkpoint_dir=Path(env.get("CAIRN_CHECKPOINT_DIR", folder / "checkpoint")),
        server=env.get("CAIRN_SERVER"),
    )


def report(value: Any, step: int | None = None) -> None:
    """Reports the objective, or several metrics as a dict. Without a step, values of a metric are counted from 0.

    Returns once the values are safe in a file; they are sent at once beside what the program does next, and its end
    waits until they have arrived. A program that Cairn has not started prints `name=value` instead.

    Raises `Stopped` in a trial that is to end, or to wait with its checkpoint and go on later: so save before you report.
    A trial that may wait has to name its steps, as it goes on counting where it was.
    """
    info = trial()
    if info is None or not info.is_beside_server:
        name = (info.metrics if info else [])[:1] or ["objective"]
        values = value if isinstance(value, Mapping) else {name[0]: value}
        print_measured(values, step)
        return
    listener.listen(info.folder)
    _reporter(info).report(value, step)
    if listener.wanted:
        raise Stopped(0)


def flush(timeout: float | None = None) -> bool:
    """Waits until everything that was reported has arrived; whether it has, within `timeout` seconds."""
    return True if _held is None else _held.flush(timeout)


def report_model(uri: str, sha256: str | None = None) -> None:
    """Says where the program has stored its model by itself. Without a digest it counts as unverified.

    A model that lies in `trial().model_dir` needs no word.
    """
    if sha256 is not None and (len(sha256) != 64 or not set(sha256.lower()) <= set("0123456789abcdef")):
        raise ValueError(f"`{sha256}` is no SHA-256: it has 64 hexadecimal digits")
    model = {"uri": uri} if sha256 is None else {"uri": uri, "sha256": sha256.lower()}
    info = trial()
    if info is None:
        print(f"model {uri}", flush=True)
        return
    with (info.folder / "artifacts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"model": model}, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


class _Spool:
    """Values of one source on disk: `report-<source>.jsonl`, and beside it how many of them have arrived."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self.source = path.stem[len("report-") :]
        self.items: list[dict[str, Any]] = []
        self._path, self._file = path, file
        self.arrived = 0

    @classmethod
    def create(cls, folder: Path) -> _Spool:
        """A spool of this process alone."""
        path = folder / f"report-{os.getpid()}-{time.time_ns():x}.jsonl"
        file = path.open("x", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        return cls(path, file)

    @classmethod
    def orphans(cls, folder: Path) -> list[_Spool]:
        """Spools of processes that are gone, with something in them that has not arrived."""
        found = []
        for path in sorted(folder.glob("report-*.jsonl")):
            file = path.open("r+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            spool = cls(path, file)
            spool._read()
            if spool.arrived < len(spool.items):
                found.append(spool)
            else:
                file.close()
        return found

    def append(self, items: list[dict[str, Any]]) -> None:
        """Keeps values: they outlive this process."""
        self._file.write("".join(json.dumps(item) + "\n" for item in items))
        self._file.flush()
        self.items += items

    def pending(self) -> list[dict[str, Any]]:
        """The next values to send."""
        return self.items[self.arrived : self.arrived + BATCH]

    def has_arrived(self, n: int) -> None:
        """The next `n` values have arrived, or are not wanted."""
        self.arrived += n
        self._path.with_suffix(".arrived").write_text(str(self.arrived))

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _read(self) -> None:
        for line in self._file:
            # A line that was cut off by the end of its process was never promised to anybody.
            if line.endswith("\n"):
                self.items.append(json.loads(line))
        try:
            self.arrived = int(self._path.with_suffix(".arrived").read_text())
        except (OSError, ValueError):
            self.arrived = 0


class _Reporter:
    """Writes values down and sends them, from a thread of its own."""

    def __init__(self, info: TrialInfo) -> None:
        self._info = info
        self._objective = (info.metrics or ["objective"])[0]
        self._counts: dict[str, int] = {}
        self._spool = _Spool.create(info.folder)
        self._open = [*_Spool.orphans(info.folder), self._spool]
        self._changed = threading.Condition()
        self._failure = ""
        # Connecting needs this codec; a child that is forked while the thread brings it in would never have it.
        codecs.lookup("idna")
        threading.Thread(target=self._send_all, name="cairn-report", daemon=True).start()

    def report(self, value: Any, step: int | None) -> None:
        values = value if isinstance(value, Mapping) else {self._objective: value}
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
        with self._changed:
            items: list[dict[str, Any]] = []
            for metric, measured in values.items():
                at = self._counts.get(metric, 0) if step is None else operator.index(step)
                seq = len(self._spool.items) + len(items) + 1
                items.append({"seq": seq, "metric": str(metric), "value": as_text(measured), "step": at, "time": now})
                self._counts[metric] = self._counts.get(metric, 0) + 1
            self._spool.append(items)
            self._changed.notify_all()

    def flush(self, timeout: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting(), timeout)

    def farewell(self) -> None:
        """The end of the process: waits for what has not arrived, and says so if it cannot."""
        if self.flush(1.0):
            return
        wait = float(os.environ.get("CAIRN_REPORT_WAIT", WAIT))
        _say(f"{self._waiting()} reported values have not arrived ({self._failure}); waiting up to {wait:g} s")
        if self.flush(wait):
            return
        _say(f"giving up; the values are kept in {self._info.folder}")
        sys.stdout.flush()
        os._exit(LOST)

    def _waiting(self) -> int:
        return sum(len(spool.items) - spool.arrived for spool in self._open)

    def _send_all(self) -> None:
        pause = 0.05
        while True:
            with self._changed:
                self._changed.wait_for(self._waiting)
                spool = next(spool for spool in self._open if spool.arrived < len(spool.items))
                batch = spool.pending()
            failure = self._send(spool.source, batch)
            with self._changed:
                self._failure = failure
                if not failure:
                    spool.has_arrived(len(batch))
                    if spool is not self._spool and spool.arrived == len(spool.items):
                        spool.close()
                        self._open.remove(spool)
                self._changed.notify_all()
            pause = 0.05 if not failure else min(pause * 2, MAX_PAUSE)
            if failure:
                time.sleep(pause)

    def _send(self, source: str, batch: list[dict[str, Any]]) -> str:
        """Sends values to wherever the server is now; why that has failed, or nothing."""
        body = json.dumps({"source": source, "attempt": self._info.attempt, "items": batch}).encode()
        path = f"/api/v1/trials/{encode(self._info.name)}/observations"
        headers = {"Content-Type": "application/json"}
        failure = ""
        for url in _addresses(self._info):
            try:
                with Client(NamedServer(url, token())).open("POST", path, None, body, headers, 30.0) as response:
                    response.read()
                return ""
            except UnavailableError as error:
                failure = str(error)
            except ApiError as error:
                if error.code == "internal":
                    failure = str(error)
                    continue
                # It will say the same next time.
                _say(f"the server does not take in what was reported: {error}")
                return ""
            except Exception as error:  # whatever it is: the thread lives on and tries again
                failure = f"{url}: {error}"
        return failure or "no server is known"


_held: _Reporter | None = None
_lock = threading.Lock()


def _reporter(info: TrialInfo) -> _Reporter:
    """The one of this process; a forked child has its own."""
    global _held
    with _lock:
        if _held is None:
            _held = _Reporter(info)
            _at_end(_held.farewell)
        return _held


def _at_end(call: Callable[[], None]) -> None:
    """Does something at the end of this process. Children of multiprocessing end without a word to `atexit`."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, call, exitpriority=0)
    else:
        atexit.register(call)


def _forked() -> None:
    """A forked child starts afresh: the threads of its parent, and what they held, are not there."""
    global _held, _lock
    _held, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forked)


def _addresses(info: TrialInfo) -> list[str]:
    """Where the server was when the trial began, then where the server of its folder is now."""
    known = [info.server] if info.server else []
    for folder in list(info.folder.parents)[:4]:
        url = read_address(folder)
        if url and url not in known:
            known.append(url)
    return known


def _say(text: str) -> None:
    print(f"cairn: {text}", file=sys.stderr, flush=True)
