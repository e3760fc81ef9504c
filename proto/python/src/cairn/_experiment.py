"""Experiments: submitting one, finding it again, looking at it, and wishing something of it."""

from __future__ import annotations

import codecs
import http.client
import json
import math
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, overload
from urllib.parse import urlsplit

from . import _frame, _html, _progress, _trial
from ._errors import (
    CairnError,
    CairnWarning,
    ExperimentFailed,
    FailureGroup,
    NotFoundError,
    Problem,
    ServerUnreachableError,
    UnavailableError,
    WaitTimeoutError,
)
from ._http import Client, encode
from ._plot import Plots
from .search import text as _written
from ._server import connect
from ._text import Text, number, to_yaml
from ._trial import BestTrial, Prediction, Trial
from ._watch import Change, changes

if TYPE_CHECKING:
    import pandas

#: A trial, its name or its number.
TrialLike = Union[Trial, str, int]

#: How often `wait` looks, in seconds.
LOOK = 0.25
#: Most trials that a card's thin line is drawn of.
SPARK = 500


def submit(
    experiment: Mapping[str, Any] | str | Path,
    *,
    namespace: str = "default",
    server: str | None = None,
    base_dir: str | Path | None = None,
) -> Experiment:
    """Submits an Experiment: a dict, YAML as text, or the path of a file.

    The same name and spec again finds what is there; other budgets are an edit. Raises `InvalidError` with every
    problem, and `ConflictError` if the name exists with another spec. `base_dir` is the folder that relative paths of
    its trials start from: the file's own, else the working directory.
    """
    body, folder = _document(experiment)
    client = connect(server)
    query = {"namespace": namespace, "baseDir": _base_dir(client, base_dir, folder)}
    answer = client.send("POST", "/api/v1/experiments", body, query)
    for problem in answer["warnings"]:
        warnings.warn(str(Problem.read(problem)), CairnWarning, stacklevel=2)
    metadata = answer["experiment"]["metadata"]
    submitted = Experiment(client, metadata["name"], metadata["namespace"], answer["experiment"])
    submitted.notes = answer["notes"]
    return submitted


def attach(name: str, *, namespace: str = "default", server: str | None = None) -> Experiment:
    """The experiment of a name. Raises `NotFoundError`."""
    found = Experiment(connect(server), name, namespace)
    found.refresh()
    return found


def experiments(*, namespace: str | None = None, server: str | None = None) -> list[Experiment]:
    """All experiments, the newest first."""
    client = connect(server)
    items = client.get("/api/v1/experiments", {"namespace": namespace})["items"]
    return [Experiment(client, i["metadata"]["name"], i["metadata"]["namespace"], i) for i in items]


class Experiment:
    """An experiment at a server. What it shows is asked anew each time; losing this object loses nothing."""

    def __init__(self, client: Client, name: str, namespace: str, data: Mapping[str, Any] | None = None) -> None:
        self._client = client
        self._data: Mapping[str, Any] = data or {}
        self.name = name
        self.namespace = namespace
        #: What was decided for you when it was submitted.
        self.notes: list[str] = []

    # How it stands.

    def refresh(self) -> Mapping[str, Any]:
        """The whole experiment as Katib's resource, with a `cairn` block."""
        self._data = self._client.get(self._path(), self._query())
        return self._data

    @property
    def state(self) -> str:
        """`Created`, `Running`, `Stopping`, `Stopped`, `Restarting`, `Succeeded`, `Failed` or `Deleting`."""
        return str(self.refresh()["cairn"]["state"])

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec with all defaults."""
        spec: Mapping[str, Any] = (self._data or self.refresh())["spec"]
        return spec

    @property
    def objective(self) -> str:
        """Name of the metric that is optimised."""
        return str((self._data or self.refresh())["cairn"]["objective"])

    @property
    def direction(self) -> str:
        """`minimize` or `maximize`."""
        return str((self._data or self.refresh())["cairn"]["direction"])

    @property
    def yaml(self) -> str:
        """The Experiment as YAML: submitting it again finds this one."""
        data = self.refresh()
        metadata = {"name": self.name, "namespace": self.namespace}
        document = {"apiVersion": data["apiVersion"], "kind": data["kind"], "metadata": metadata, "spec": data["spec"]}
        return Text(to_yaml(document))

    def explain(self, subject: TrialLike | None = None) -> str:
        """Explains a trial, a field such as `spec.maxTrialCount`, or why nothing happens."""
        wanted = subject.name if isinstance(subject, Trial) else subject
        answer = self._client.get(self._path("/explain"), self._query(subject=wanted))
        return Text("\n".join([answer["subject"], *answer["lines"]]))

    def failures(self) -> list[FailureGroup]:
        """Failed trials grouped by cause, the largest group first."""
        groups = self._client.get(self._path("/failures"), self._query())["groups"]
        return [FailureGroup.read(group) for group in groups]

    # Its trials.

    def best(self) -> BestTrial | None:
        """The best trial so far, if one has a value."""
        try:
            data = self._client.get(self._path("/best"), self._query())
        except NotFoundError:
            self.refresh()  # raises if it is the experiment that is not there
            return None
        best = _trial.read(data, self._kinds(), BestTrial)
        assert isinstance(best, BestTrial)
        return best

    def predicted_best(self) -> tuple[Trial, Prediction] | None:
        """The trial that the algorithm believes the best, with what it expects there: noise misleads it less than the best
        value seen. `None` where the algorithm has no model."""
        data = self._client.get(self._path("/best/predicted"), self._query())
        expected = Prediction.read(data["predicted"])
        return (_trial.read(data["trial"], self._kinds()), expected) if expected else None

    def trial(self, trial: str | int) -> Trial:
        """One trial by name or number."""
        return _trial.read(self._client.get(self._path(f"/trials/{encode(trial)}"), self._query()), self._kinds())

    def trials(self, where: str | None = None, sort: str | None = None) -> pandas.DataFrame:
        """All trials as a DataFrame, or those of a condition such as `lr > 0.1 and state = Succeeded`.

        `sort` is a field, a parameter or a metric, with a leading `-` largest first. Inactive parameters are missing.
        """
        return _frame.trials(self._trials(where=where, sort=sort), self.spec)

    def observations(self, trial: TrialLike, metric: str | None = None) -> pandas.DataFrame:
        """What was measured of a trial, in the order of writing."""
        return _frame.observations(self._observations(trial, metric))

    @overload
    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: Literal[False] = False) -> str: ...

    @overload
    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: Literal[True]) -> Iterator[str]: ...

    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: bool = False) -> str | Iterator[str]:
        """What a trial has printed; with `follow`, pieces of it until its run has ended."""
        path = self._path(f"/trials/{encode(_name(trial))}/logs")
        query = self._query(attempt=attempt)
        return self._follow(path, query) if follow else Text(self._client.text(path, query))

    def enqueue(self, **params: Any) -> None:
        """Puts a point in the queue: it is tried next.

        Parameters that are left out are as in the best trial so far; before there is one, they take their defaults.
        """
        body = {"parameters": {name: _written(value) for name, value in params.items()}}
        self._client.send("POST", self._path("/trials"), body, self._query(), repeatable=False)

    def stop_trial(self, trial: TrialLike) -> None:
        """Ends a trial; it becomes Killed."""
        self._client.send("POST", self._path(f"/trials/{encode(_name(trial))}/stop"), None, self._query())

    def retry_trial(self, trial: TrialLike) -> None:
        """Evaluates a trial's point once more, as a new trial."""
        path = self._path(f"/trials/{encode(_name(trial))}/retry")
        self._client.send("POST", path, None, self._query(), repeatable=False)

    @property
    def plot(self) -> Plots:
        """Its plots: `history()`, `curves()` and `parallel()`."""
        return Plots(self)

    # Waiting and wishing.

    def wait(self, timeout: float | None = None, *, progress: bool = True) -> Experiment:
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

    def watch(self, after: int = 0) -> Iterator[Change]:
        """Its changes after a number, and those to come, until it is completed or deleted.

        Lost connections are taken up again after the last change seen, also at a server that was started anew.
        """
        while True:
            try:
                for change in changes(self._client, self._path("/events"), self._query(), after):
                    after = change.seq
                    yield change
                    if change.is_end and self._is_over(after):
                        return
            except NotFoundError:
                return

    def stop(self, *, now: bool = False) -> None:
        """Holds it: running trials finish, or with `now` end and get another attempt later."""
        self._client.send("POST", self._path("/stop"), {"now": now}, self._query())

    def resume(self) -> None:
        """Lets it go on after `stop`."""
        self._client.send("POST", self._path("/resume"), None, self._query())

    def edit(
        self,
        *,
        max_trials: int | None = None,
        parallel: int | None = None,
        max_failed_trials: int | None = None,
        max_duration: str | timedelta | None = None,
        max_gpu_hours: float | None = None,
        max_cost: float | None = None,
    ) -> None:
        """Changes budgets; what is left out stays. A completed experiment goes on if they allow it."""
        if isinstance(max_duration, timedelta):
            max_duration = f"{math.ceil(max_duration.total_seconds())}s"
        budgets = {
            "maxTrialCount": max_trials,
            "parallelTrialCount": parallel,
            "maxFailedTrialCount": max_failed_trials,
            "maxDuration": max_duration,
            "maxGpuHours": max_gpu_hours,
            "maxCost": max_cost,
        }
        body = {name: value for name, value in budgets.items() if value is not None}
        self._client.send("PATCH", self._path(), body, self._query(), repeatable=False)

    def edit_space(self, experiment: Mapping[str, Any] | str | Path) -> None:
        """Searches in another space from now on: that of an Experiment as `submit` takes it, which may differ from this one
        in parameters and constraints, and in its template where parameters come or go. A new parameter needs a default,
        which the trials so far are taken to have had. What was found stays; the algorithm hears of the trials that lie in
        the new space."""
        body, _ = _document(experiment)
        self._client.send("POST", self._path("/space"), body, self._query(), repeatable=False)
        self.refresh()

    def delete(self, *, timeout: float = 60.0) -> None:
        """Ends everything of it and forgets it; returns once its name is free."""
        self._client.send("DELETE", self._path(), None, self._query(), repeatable=False)
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            try:
                self.refresh()
            except NotFoundError:
                return
            time.sleep(0.05)
        raise WaitTimeoutError(f"experiment `{self.name}` is still being deleted after {timeout:g} s")

    # How it looks.

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, namespace={self.namespace!r})"

    def _repr_html_(self) -> str:
        try:
            data = self.refresh()
            items = self._trials(limit=SPARK)
        except CairnError as error:
            return _html.card(self.name, [("error", str(error))])
        block, (done, total) = data["cairn"], _progress.counts(data)
        rows = [("best", "none yet")]
        if block["bestTrial"]:
            rows = [("best", f"{block['objective']} {number(block['bestValue'])}"), ("trial", block["bestTrial"])]
        rows.append(("trials", f"{done} of {total}" if total else str(done)))
        rows += [(word, str(n)) for word, n in block["counters"].items() if n and word not in ("total", "succeeded")]
        rows.append(("why", block["waiting"] or block["message"]))
        values = [item["value"] for item in items if item["value"] is not None]
        return _html.card(self.name, rows, block["state"], _html.sparkline(best_so_far(values, block["direction"])))

    # Below the surface.

    def _path(self, rest: str = "") -> str:
        return f"/api/v1/experiments/{encode(self.name)}{rest}"

    def _query(self, **more: Any) -> dict[str, Any]:
        return {"namespace": self.namespace, **more}

    def _kinds(self) -> dict[str, str]:
        return _trial.kinds(self.spec)

    def _trials(self, where: str | None = None, sort: str | None = None, limit: int = 0) -> list[dict[str, Any]]:
        query = self._query(where=where, sort=sort, limit=limit)
        items: list[dict[str, Any]] = self._client.get(self._path("/trials"), query)["items"]
        return items

    def _observations(self, trial: TrialLike, metric: str | None = None) -> list[dict[str, Any]]:
        path = self._path(f"/trials/{encode(_name(trial))}/observations")
        items: list[dict[str, Any]] = self._client.get(path, self._query(metric=metric))["items"]
        return items

    def _looked(self, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """How it stands now, or stood when a server could last say."""
        try:
            return self.refresh()
        except (UnavailableError, ServerUnreachableError):
            if before is None:
                raise
            return before

    def _is_over(self, seq: int) -> bool:
        data = self.refresh()["cairn"]
        return data["state"] in ("Succeeded", "Failed") and data["lastSeq"] <= seq

    def _follow(self, path: str, query: Mapping[str, Any]) -> Iterator[str]:
        read, decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            wanted = {**query, "from": read, "follow": True}
            response = self._client.patiently(partial(self._client.open, "GET", path, wanted))
            with response:
                try:
                    while piece := response.read1(65536):
                        read += len(piece)
                        yield decoder.decode(piece)
                    if response.isclosed():
                        return
                except (OSError, http.client.HTTPException):
                    continue  # the server is gone; read on at the next


def best_so_far(values: list[float], direction: str) -> list[float]:
    """The best of each beginning of a list."""
    better = max if direction == "maximize" else min
    best: list[float] = []
    for value in values:
        best.append(value if not best else better(best[-1], value))
    return best


def _name(trial: TrialLike) -> str | int:
    return trial.name if isinstance(trial, Trial) else trial


def _at_rest(data: Mapping[str, Any]) -> bool:
    state = data["cairn"]["state"]
    return state in ("Succeeded", "Failed", "Stopped") and not data["cairn"]["counters"]["running"]


def _document(experiment: Mapping[str, Any] | str | Path) -> tuple[str, Path]:
    if isinstance(experiment, Mapping):
        return json.dumps(experiment, ensure_ascii=False), Path.cwd()
    if isinstance(experiment, str) and ("\n" in experiment or experiment.lstrip().startswith("{")):
        return experiment, Path.cwd()
    path = Path(experiment)
    try:
        return path.read_text(encoding="utf-8"), path.resolve().parent
    except OSError as error:
        raise CairnError(f"{path} cannot be read: {error.strerror or error}") from error


def _base_dir(client: Client, named: str | Path | None, folder: Path) -> str | None:
    """Where relative paths start; unknown on another machine."""
    if named is not None:
        return str(Path(named).absolute())
    host = urlsplit(client.server.url).hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return str(folder) if here else None
