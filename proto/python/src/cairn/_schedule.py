"""Schedules: experiments that are run again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._http import Client, encode
from ._server import connect


def schedules(*, namespace: str | None = None, server: str | None = None) -> list[Schedule]:
    """All scheduled experiments, by namespace and name."""
    client = connect(server)
    items = client.get("/api/v1/schedules", {"namespace": namespace})["items"]
    return [Schedule(client, item) for item in items]


class Schedule:
    """A scheduled experiment. Its runs are experiments of their own, called as it is with a number behind."""

    def __init__(self, client: Client, data: Mapping[str, Any]) -> None:
        self._client = client
        self.name: str = data["name"]
        self.namespace: str = data["namespace"]
        #: How it stood when it was last asked: `when`, `suspended`, `runs`, `active`, `last`, `next`, `missed`, `asked`.
        self.data = data

    def suspend(self) -> None:
        """Lets nothing begin by itself; what runs goes on."""
        self._say("suspend")

    def resume(self) -> None:
        """Lets it go on. Of the times that went by meanwhile the newest is made up for, within its deadline."""
        self._say("resume")

    def run_now(self) -> None:
        """Asks for a run, suspended or not; while another goes on, as `concurrency` says."""
        self._say("run")

    def __repr__(self) -> str:
        return f"<schedule {self.name}: {self.data['when']}, {self.data['runs']} runs>"

    def _say(self, word: str) -> None:
        path = f"/api/v1/schedules/{encode(self.name)}/{word}"
        # Asked twice, a run would be one run or two.
        query = {"namespace": self.namespace}
        self.data = self._client.send("POST", path, {}, query, repeatable=word != "run")
