"""Experiments: submitting one, finding it again, looking at it, and wishing something of it."""

from __future__ import annotations

import codecs
import http.client
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, overload
from urllib.parse import urlsplit

from . import _cluster, _frame, _html, _model, _progress, _promotion, _trial
from ._cluster import ClusterExperiment
from ._errors import (
    CairnError,
    CairnWarning,
    FailureGroup,
    NotFoundError,
    Problem,
)
from ._http import Client, encode
from ._plot import Plots
from ._promotion import Promotion
from .search import text as _written
from ._server import connect, own_namespace
from ._text import Text, number, to_yaml
from ._trial import BestTrial, Prediction, Trial
from ._wait import Waited
from ._watch import Change, changes

if TYPE_CHECKING:
    import pandas

#: A trial, its name or its number.
TrialLike = Union[Trial, str, int]

#: Most trials that a card's thin line is drawn of.
SPARK = 500


@overload
def submit(
    experiment: Mapping[str, Any] | str | Path,
    *,
    namespace: str | None = None,
    server: str | None = None,
    base_dir: str | Path | None = None,
    target: Literal["server"] = "server",
) -> Experiment: ...


@overload
def submit(
    experiment: Mapping[str, Any] | str | Path, *, namespace: str | None = None, target: Literal["cluster"]
) -> ClusterExperiment: ...


def submit(
    experiment: Mapping[str, Any] | str | Path,
    *,
    namespace: str | None = None,
    server: str | None = None,
    base_dir: str | Path | None = None,
    target: Literal["server", "cluster"] = "server",
) -> Experiment | ClusterExperiment:
    """Submits an Experiment: a dict, YAML as text, or the path of a file.

    The same name and spec again finds what is there; other budgets are an edit, at a server. Raises `InvalidError` with
    every problem, and `ConflictError` if the name exists with another spec. `base_dir` is the folder that relative paths of
    its trials start from: the file's own, else the working directory. With `target="cluster"` it becomes a resource of a
    cluster, with your own rights.
    """
    body, folder = _document(experiment)
    if target == "cluster":
        return _cluster.submit(experiment if isinstance(experiment, Mapping) else _cluster.read(body), namespace)
    client = connect(server)
    query = {"namespace": namespace or own_namespace(), "baseDir": _base_dir(client, base_dir, folder)}
    answer = client.send("POST", "/api/v1/experiments", body, query)
    for problem in answer["warnings"]:
        warnings.warn(str(Problem.read(problem)), CairnWarning, stacklevel=2)
    metadata = answer["experiment"]["metadata"]
    submitted = Experiment(client, metadata["name"], metadata["namespace"], answer["experiment"])
    submitted.notes = answer["notes"]
    return submitted


@overload
def attach(
    name: str, *, namespace: str | None = None, server: str | None = None, target: Literal["server"] = "server"
) -> Experiment: ...


@overload
def attach(name: str, *, namespace: str | None = None, target: Literal["cluster"]) -> ClusterExperiment: ...


def attach(
    name: str, *, namespace: str | None = None, server: str | None = None, target: Literal["server", "cluster"] = "server"
) -> Experiment | ClusterExperiment:
    """The experiment of a name, at a server or as a resource of a cluster. Raises `NotFoundError`."""
    if target == "cluster":
        return _cluster.attach(name, namespace)
    found = Experiment(connect(server), name, namespace or own_namespace())
    found.refresh()
    return found


def experiments(*, namespace: str | None = None, server: str | None = None) -> list[Experiment]:
    """All experiments, the newest first."""
    client = connect(server)
    items = client.get("/api/v1/experiments", {"namespace": namespace})["items"]
    return [Experiment(client, i["metadata"]["name"], i["metadata"]["namespace"], i) for i in items]


class Experiment(Waited):
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

    def trials(self, where: str | None = None, sort: str | None = None, front: str | None = None) -> pandas.DataFrame:
        """All trials as a DataFrame, or those of a condition such as `lr > 0.1 and state = Succeeded`.

        `sort` is a field, a parameter or a metric, with a leading `-` largest first. `front` names metrics or fields, with
        commas between them: only trials that no other beats in the objective and all of these (the Pareto front), the
        smaller the better, with a leading `-` the larger. Inactive parameters are missing.
        """
        return _frame.trials(self._trials(where=where, sort=sort, front=front), self.spec)

    def observations(self, trial: TrialLike, metric: str | None = None) -> pandas.DataFrame:
        """What was measured of a trial, in the order of writing."""
        return _frame.observations(self._observations(trial, metric))

    def architecture(self, trial: TrialLike | None = None) -> dict[str, Any]:
        """The architecture of a trial, the best unless one is named, as `graphs` of nodes and edges, and drawn as `text`,
        `svg` and `dot`. A `CairnError` says so of a trial that is none."""
        wanted = None if trial is None else _name(trial)
        answer: dict[str, Any] = self._client.get(self._path("/architecture"), self._query(trial=wanted))
        return answer

    @overload
    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: Literal[False] = False) -> str: ...

    @overload
    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: Literal[True]) -> Iterator[str]: ...

    def logs(self, trial: TrialLike, attempt: int | None = None, *, follow: bool = False) -> str | Iterator[str]:
        """What a trial has printed; with `follow`, pieces of it until its run has ended."""
        path = self._path(f"/trials/{encode(_name(trial))}/logs")
        query = self._query(attempt=attempt)
        return self._follow(path, query) if follow else Text(self._client.text(path, query))

    def download_model(self, trial: TrialLike, to: str | Path) -> Path:
        """Downloads the model that a trial has left into a new folder, every file compared with its digest."""
        base = self._path(f"/trials/{encode(_name(trial))}/model")
        model = self.trial(_name(trial)).model
        return _model.download(self._client, base, self._query(), model.digest if model else "", Path(to))

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

    def promote(self, trial: TrialLike | None = None, *, model: str | None = None, by: str | None = None) -> Promotion:
        """Makes a trial, the best unless one is named, the champion of a model, by the way of `spec.promotion`.

        `model` is that of `spec.promotion` unless named; `by` is who wants it, you unless named. What comes of it is
        said by the promotion: `experiment.promote().wait().state`.
        """
        return _promotion.promote(self._client, self.name, self.namespace, trial, model, by)

    def delete(self, *, timeout: float = 60.0) -> None:
        """Ends everything of it and forgets it; returns once its name is free."""
        self._client.send("DELETE", self._path(), None, self._query(), repeatable=False)
        self._until_gone(timeout, every=0.05)

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
        rows += _judged(block)
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

    def _trials(
        self, where: str | None = None, sort: str | None = None, limit: int = 0, front: str | None = None
    ) -> list[dict[str, Any]]:
        query = self._query(where=where, sort=sort, limit=limit, front=front)
        items: list[dict[str, Any]] = self._client.get(self._path("/trials"), query)["items"]
        return items

    def _observations(self, trial: TrialLike, metric: str | None = None) -> list[dict[str, Any]]:
        path = self._path(f"/trials/{encode(_name(trial))}/observations")
        items: list[dict[str, Any]] = self._client.get(path, self._query(metric=metric))["items"]
        return items

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


def _judged(block: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where trials stand that are judged while they run, and what that has spared."""
    steps = block.get("steps")
    if not steps:
        return []
    of = f" of {steps['whole']}" if steps["whole"] else ""
    rows = [("steps", f"ran {steps['run']}{of}; best found at step {steps['atBest']}")]
    saved = [
        f"{timedelta(seconds=round(steps[word]))} of {what}"
        for word, what in (("savedRunSeconds", "runs"), ("savedGpuSeconds", "GPUs"))
        if steps.get(word)
    ]
    if saved:
        rows.append(("saved by stopping early", "about " + ", ".join(saved)))
    for rung in block.get("rungs", []):
        counts = ", ".join(f"{rung[word]} {word}" for word in ("reached", "promoted", "paused", "stopped"))
        rows.append((f"rung at step {rung['step']}", counts))
    return rows


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
