"""Promotions and models: how the best trial becomes the champion of a model, and goes on being it or not."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._errors import CairnError, NotFoundError, WaitTimeoutError
from ._http import Client, encode
from ._server import connect, own_namespace

if TYPE_CHECKING:
    from ._trial import Trial

#: How often `wait` looks, in seconds.
LOOK = 0.25
#: How many labels are sent at a time.
AT_ONCE = 1000


def models(*, namespace: str | None = None, server: str | None = None) -> list[RegisteredModel]:
    """All models that have a champion, by name."""
    client = connect(server)
    items = client.get("/api/v1/models", {"namespace": namespace})["items"]
    return [RegisteredModel(client, item) for item in items]


def model(name: str, *, namespace: str | None = None, server: str | None = None) -> RegisteredModel:
    """The model of a name. Raises `NotFoundError`."""
    client = connect(server)
    path = f"/api/v1/models/{encode(name)}"
    return RegisteredModel(client, client.get(path, {"namespace": namespace or own_namespace()}))


def promote(
    client: Client, experiment: str, namespace: str, trial: Trial | str | int | None, model: str | None, by: str | None
) -> Promotion:
    """Wants the promotion of a trial."""
    named = None if trial is None else str(getattr(trial, "name", trial))
    body = {"experiment": experiment, "trial": named, "model": model, "by": by or _person()}
    return Promotion(client, client.send("POST", "/api/v1/promotions", body, {"namespace": namespace}))


class Promotion:
    """A promotion. What it shows is asked anew each time; losing this object loses nothing."""

    def __init__(self, client: Client, data: Mapping[str, Any]) -> None:
        self._client = client
        self._data = data
        #: Model and number, such as `digits/3`.
        self.name = str(data["name"])
        self.namespace = str(data["namespace"])

    def refresh(self) -> Mapping[str, Any]:
        """The whole promotion as the server has it: state, stage, message, evidence, approval, version."""
        self._data = self._client.get(self._path(), {"namespace": self.namespace})
        return self._data

    @property
    def state(self) -> str:
        """`planned`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`, `superseded`, `skipped`, `rollingBack`,
        `rolledBack` or `rollbackFailed`."""
        return str(self.refresh()["state"])

    @property
    def message(self) -> str:
        """Why it is in its state, in a sentence."""
        return str(self.refresh()["message"])

    @property
    def evidence(self) -> Mapping[str, Any]:
        """What speaks for it: digest of the data, what candidate and champion reached, how they compare."""
        evidence: Mapping[str, Any] = self.refresh()["evidence"]
        return evidence

    @property
    def rollout(self) -> Mapping[str, Any] | None:
        """How far requests have moved to the candidate: share, requests, errors, guards. None before it is served."""
        rollout: Mapping[str, Any] | None = self.refresh().get("rollout")
        return rollout

    def wait(self, timeout: float | None = None) -> Promotion:
        """Waits until it has ended, or waits for a person. Raises `WaitTimeoutError` after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            data = self.refresh()
            if data["ended"] or (data.get("waitsFor") == "approval" and not data["heeding"]):
                return self
            if end is not None and time.monotonic() >= end:
                raise WaitTimeoutError(f"promotion {self.name} is not over after {timeout:g} s; it goes on")
            time.sleep(LOOK)

    def approve(self, reason: str = "", by: str | None = None) -> Promotion:
        """Agrees to it, for the digest that this object has shown last. Raises `ConflictError` with why it may not be."""
        return self._say("approve", {"reason": reason, "by": by or _person(), "digest": self._data["digest"]})

    def cancel(self, reason: str = "", by: str | None = None) -> Promotion:
        """Ends it; the champion stays."""
        return self._say("cancel", {"reason": reason, "by": by or _person()})

    def finish(self, reason: str = "", by: str | None = None) -> Promotion:
        """Gives its candidate all requests now, as it may while a share of them goes to it."""
        return self._say("finish", {"reason": reason, "by": by or _person()})

    def __repr__(self) -> str:
        return f"Promotion({self.name!r}, {self._data['state']}: {self._data['message']})"

    def _path(self) -> str:
        model, number = self.name.rsplit("/", 1)
        return f"/api/v1/promotions/{encode(model)}/{number}"

    def _say(self, word: str, body: Mapping[str, Any]) -> Promotion:
        self._data = self._client.send("POST", f"{self._path()}/{word}", dict(body), {"namespace": self.namespace})
        return self


class RegisteredModel:
    """A model with its versions, as it stood when it was asked for."""

    def __init__(self, client: Client, data: Mapping[str, Any]) -> None:
        self._client = client
        self.name = str(data["name"])
        self.namespace = str(data["namespace"])
        #: The versions as the server has them, the newest first.
        self.versions: list[Mapping[str, Any]] = data["versions"]
        #: Its address, the same whatever its version; None where it is not served.
        self.url: str | None = data.get("url")
        #: Its servers with their shares of the requests in percent.
        self.servers: list[Mapping[str, Any]] = data.get("servers", [])
        #: The version that is champion.
        self.champion: Mapping[str, Any] = _champion(data)

    def rollback(self, to: int | None = None, by: str | None = None) -> Promotion:
        """Makes an earlier version champion again: the one before, unless `to` names one. Nothing is deleted."""
        body = {"to": to, "by": by or _person()}
        data = self._client.send("POST", self._path("/rollback"), body, {"namespace": self.namespace})
        return Promotion(self._client, data)

    def stop(self, reason: str = "", by: str | None = None) -> RegisteredModel:
        """Ends its servers; who asks is told so. The champion stays, and `start` or the next promotion serves it again."""
        body = {"reason": reason, "by": by or _person()}
        data = self._client.send("POST", self._path("/stop"), body, {"namespace": self.namespace})
        return RegisteredModel(self._client, data)

    def start(self, by: str | None = None) -> Promotion:
        """Serves the champion again, after `stop`."""
        return self.rollback(to=int(self.champion["number"]), by=by)

    def watch(self) -> Mapping[str, Any]:
        """Requests, errors, latencies, quality and drift of each version that is served, as the server has them now."""
        found: Mapping[str, Any] = self._client.get(self._path("/watch"), {"namespace": self.namespace})
        return found

    def feedback(self, labels: Mapping[str, Any]) -> Mapping[str, Any]:
        """Says what is true of requests that were answered: labels by the `x-request-id` of each answer, a list where it had
        several rows. Returns how many `joined`, and the ids that were `known` already, `unknown`, or `refused`."""
        body = [{"requestId": request, "label": label} for request, label in labels.items()]
        found: dict[str, Any] = {}
        for start in range(0, max(1, len(body)), AT_ONCE):
            part = body[start : start + AT_ONCE]
            told = self._client.send("POST", self._path("/feedback"), part, {"namespace": self.namespace})
            for what, value in told.items():
                found[what] = found[what] + value if what in found else value
        return found

    def promotions(self) -> list[Promotion]:
        """Its promotions, the newest first."""
        query = {"namespace": self.namespace, "model": self.name}
        return [Promotion(self._client, item) for item in self._client.get("/api/v1/promotions", query)["items"]]

    def _path(self, rest: str) -> str:
        return f"/api/v1/models/{encode(self.name)}{rest}"

    def __repr__(self) -> str:
        reached = self.champion.get("value")
        value = "" if reached is None else f", {self.champion['metric']} {reached}"
        return f"RegisteredModel({self.name!r}, champion {self.champion['number']} of {len(self.versions)}{value})"


def _champion(data: Mapping[str, Any]) -> Mapping[str, Any]:
    for version in data["versions"]:
        if version["champion"]:
            found: Mapping[str, Any] = version
            return found
    raise NotFoundError(f"model `{data['name']}` has no champion")


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise CairnError("nobody knows who you are here; say it with `by=`") from error
