"""HTTP/JSON with a Cairn server, over the standard library.

A request that has not reached the server is sent again; one that may have, only where sending it twice does no harm.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from ._errors import CairnError, Problem, ServerUnreachableError, api_error

#: Longest wait for a connection, in seconds.
CONNECT_TIMEOUT = 5.0
#: Longest silence of a server that has a request.
READ_TIMEOUT = 120.0
#: How long a server that does not answer is waited for.
PATIENCE = 20.0

T = TypeVar("T")


class Server(Protocol):
    """Where a server is, and how to get it back."""

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def token(self) -> str | None:
        """What it knows the caller by."""

    @property
    def ssl(self) -> ssl.SSLContext | None:
        """Whose certificates are trusted; nothing: those that this machine trusts."""

    def recover(self) -> None:
        """Called when nobody answers at `url`, before the next try; may change it."""


class NotSentError(Exception):
    """A request has not reached the server."""


class Client:
    """Speaks with one server."""

    def __init__(self, server: Server, patience: float = PATIENCE) -> None:
        self.server = server
        self.patience = patience

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """What is at a path, as JSON."""
        return json.loads(self.request("GET", path, query))

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """What is at a path, as text."""
        return self.request("GET", path, query).decode(errors="replace")

    def send(
        self,
        method: str,
        path: str,
        body: str | Mapping[str, Any] | list[Any] | None = None,
        query: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> Any:
        """Sends a body, a text as it is and else as JSON; `repeatable`: sending it twice has the effect of once."""
        text = body if isinstance(body, str) else json.dumps({} if body is None else body)
        kind = "application/yaml" if isinstance(body, str) else "application/json"
        answer = self.request(method, path, query, text.encode(), kind, repeatable)
        return json.loads(answer) if answer else None

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
        repeatable: bool = True,
    ) -> bytes:
        """The body of the answer; an error that the server tells is raised as what it is."""
        headers = {} if body is None else {"Content-Type": kind}

        def once() -> bytes:
            with self.open(method, path, query, body, headers) as response:
                return response.read()

        return self.patiently(once, repeatable)

    def patiently(self, once: Callable[[], T], repeatable: bool = True) -> T:
        """Does something with the server, again and again while nobody answers and it may be repeated."""
        give_up, pause = time.monotonic() + self.patience, 0.05
        while True:
            try:
                return once()
            except (NotSentError, OSError, http.client.HTTPException) as error:
                if isinstance(error, CairnError):
                    raise
                sent = not isinstance(error, NotSentError)
                if sent and not repeatable:
                    message = f"the server at {self.server.url} broke off; whether it has taken this in is not known"
                    raise ServerUnreachableError(message) from error
                if time.monotonic() + pause > give_up:
                    message = f"nobody answers at {self.server.url}: {error}"
                    raise ServerUnreachableError(message) from error
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
            self.server.recover()

    def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
    ) -> http.client.HTTPResponse:
        """One answer, its body still to be read. Raises what the server tells, or why it could not be asked."""
        at = urlsplit(self.server.url)
        host = at.hostname or ""
        connection = (
            http.client.HTTPSConnection(host, at.port, timeout=CONNECT_TIMEOUT, context=self.server.ssl)
            if at.scheme == "https"
            else http.client.HTTPConnection(host, at.port, timeout=CONNECT_TIMEOUT)
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSentError(str(error)) from error
        connection.sock.settimeout(timeout)
        sent = {"Accept": "*/*", "Connection": "close", **(headers or {})}
        if self.server.token:
            sent["Authorization"] = f"Bearer {self.server.token}"
        connection.request(method, at.path.rstrip("/") + path + _encoded(query), body, sent)
        response = connection.getresponse()
        if response.status >= 400:
            with response:
                raise _refused(response.status, response.read())
        return response


def encode(part: str | int) -> str:
    """A name as a part of a path."""
    return quote(str(part), safe="")


def _encoded(query: Mapping[str, Any] | None) -> str:
    wanted = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in (query or {}).items()
        if value is not None
    }
    return "?" + urlencode(wanted) if wanted else ""


#: Codes of answers that are not Cairn's own, such as those of a cluster's API server.
_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "invalid",
    429: "unavailable",
    503: "unavailable",
}


def _refused(status: int, body: bytes) -> CairnError:
    text = body.decode(errors="replace").strip()[:200]
    try:
        answer = json.loads(body)
        if answer.get("kind") == "Status":
            return api_error(_CODES.get(status, "internal"), str(answer["message"]))
        detail = answer["error"]
        problems = [Problem.read(problem) for problem in detail.get("problems", [])]
        return api_error(detail["code"], detail["message"], problems)
    except (ValueError, KeyError, TypeError, AttributeError):
        return api_error("internal", f"the server answered {status}: {text or 'nothing'}")
