"""Changes of an experiment, as server-sent events that go on where they were left."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._http import Client
from ._text import parse_time


@dataclass(frozen=True)
class Change:
    """Something that happened to an experiment."""

    #: Its number within the experiment, from 1 without gaps.
    seq: int
    at: datetime
    #: Such as `condition`, `trialCreated` or `trialEnded`.
    kind: str
    #: Number of the trial it is about.
    trial: int | None
    #: One line for people.
    text: str
    event: Mapping[str, Any]

    @property
    def is_end(self) -> bool:
        """Whether it says that the experiment has succeeded or failed."""
        ends = self.event.get("condition") in ("Succeeded", "Failed")
        return self.kind == "condition" and ends and self.event.get("status") == "True"


def changes(client: Client, path: str, query: Mapping[str, Any], after: int) -> Iterator[Change]:
    """Changes after a number, and those to come. Ends when the server ends the stream: ask whether to go on."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    # Read before anything is yielded, so that only the request itself is repeated.
    response = client.patiently(lambda: client.open("GET", path, query, None, headers))
    with response:
        try:
            for data in _events(response):
                yield _change(json.loads(data))
        except (OSError, http.client.HTTPException):
            return  # the server is gone; who asked knows the last number


def _events(lines: http.client.HTTPResponse) -> Iterator[str]:
    """The data of each whole event."""
    data: list[str] = []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].lstrip(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def _change(data: Mapping[str, Any]) -> Change:
    at = parse_time(data["at"])
    assert at is not None
    return Change(data["seq"], at, data["kind"], data.get("trial"), data["text"], data["event"])
