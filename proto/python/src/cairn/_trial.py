"""Trials as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from . import _html
from ._pod import typed
from ._text import number, parse_time


@dataclass(frozen=True)
class Model:
    """What a trial left as its model. `digest` is empty if nobody has verified it."""

    uri: str
    digest: str
    bytes: int
    format: str
    #: Whether the program has stored it itself, so that it is fetched there.
    elsewhere: bool = False
    #: When its files were removed, as better models are kept.
    removed: datetime | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Model:
        """A model as the server tells it."""
        said = {name: data[name] for name in ("uri", "digest", "bytes", "format", "elsewhere")}
        return cls(**said, removed=parse_time(data.get("removed")))


@dataclass(frozen=True)
class Prediction:
    """What an algorithm expects of an objective, in its own unit."""

    mean: float
    std: float

    @classmethod
    def read(cls, data: Mapping[str, float] | None) -> Prediction | None:
        """A prediction as the server tells it, if it does."""
        return cls(data["mean"], data["std"]) if data else None


@dataclass(frozen=True)
class Repeated:
    """Several runs of one point: how many were measured, the mean of their objectives, and its standard error."""

    runs: int
    mean: float
    std_error: float


@dataclass(frozen=True)
class Trial:
    """One evaluation of one point."""

    name: str
    value: float | None
    params: dict[str, Any]
    state: str
    idx: int
    reason: str = ""
    message: str = ""
    #: By metric: its smallest, largest and newest value as written.
    metrics: dict[str, dict[str, str]] = field(default_factory=dict)
    attempt: int = 0
    origin: str = "search"
    #: Number of the trial that it is a child of, such as the one whose checkpoint it began from.
    parent: int | None = None
    #: Steps that it has run until it waited or ended, where trials are judged while they run.
    steps: int | None = None
    notes: dict[str, str] = field(default_factory=dict)
    #: What was predicted of it before it ran, where the algorithm has a model.
    predicted: Prediction | None = None
    #: Of the best trial: all runs of its point, where points are run again.
    repeated: Repeated | None = None
    model: Model | None = None
    #: Folder of its newest run, on the server's machine.
    folder: Path | None = None
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(value={number(self.value)}, params={self.params!r}, trial={self.name!r})"

    def _repr_html_(self) -> str:
        rows = [("state", self.state), ("value", number(self.value))]
        rows += [(name, number(value) if isinstance(value, float) else value) for name, value in self.params.items()]
        if self.seconds is not None:
            rows.append(("seconds", number(self.seconds)))
        if self.model:
            rows.append(("model", self.model.uri))
        if self.message and self.state not in ("Succeeded", "Running", "Pending"):
            rows.append(("message", self.message))
        return _html.card(self.name, rows)


class BestTrial(Trial):
    """The best trial so far."""


def read(data: Mapping[str, Any], kinds: Mapping[str, str], kind: type[Trial] = Trial) -> Trial:
    """A trial as the server tells it; `kinds` are the types of the parameters by name."""
    model, repeated = data.get("model"), data.get("repeated")
    place = data.get("place")
    return kind(
        name=data["name"],
        value=data["value"],
        params={name: typed(kinds.get(name, ""), text) for name, text in data["parameters"].items()},
        state=data["state"],
        idx=data["idx"],
        reason=data["reason"],
        message=data["message"],
        metrics={metric.pop("name"): metric for metric in map(dict, data["metrics"])},
        attempt=data["attempt"],
        origin=data["origin"],
        parent=data.get("parent"),
        steps=data.get("steps"),
        notes=dict(data["notes"] or {}),
        predicted=Prediction.read(data.get("predicted")),
        repeated=Repeated(repeated["runs"], repeated["mean"], repeated["stdError"]) if repeated else None,
        model=Model.read(model) if model else None,
        folder=Path(place) if place else None,
        created=parse_time(data["created"]),
        started=parse_time(data["started"]),
        ended=parse_time(data["ended"]),
        seconds=data["seconds"],
    )


def kinds(spec: Mapping[str, Any]) -> dict[str, str]:
    """The types of a spec's parameters by name."""
    return {parameter["name"]: parameter["parameterType"] for parameter in spec.get("parameters", [])}
