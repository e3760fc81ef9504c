"""What can go wrong, as one family of exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class CairnError(Exception):
    """Everything that this package raises by itself."""


class DamagedModelError(CairnError):
    """What was downloaded is not what the trial has left."""


class CairnWarning(UserWarning):
    """Something in an Experiment that is worth a second look."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what was sent, or worth knowing."""

    path: str
    message: str
    line: int | None = None
    hint: str | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Problem:
        """A problem as the server tells it."""
        return cls(data.get("path", ""), data.get("message", ""), data.get("line"), data.get("hint"))

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line is not None else ""
        text = f"{self.path}{line}: {self.message}" if self.path else self.message
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class ApiError(CairnError):
    """The server refused, or failed. `code` is its word for it; `problems` are the details."""

    code = "internal"

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.message = message
        self.problems = list(problems)
        super().__init__("\n  ".join([message, *map(str, self.problems)]))


class InvalidError(ApiError):
    """What was sent makes no sense; every problem is listed."""

    code = "invalid"


class NotFoundError(ApiError):
    """There is no such experiment, trial or thing."""

    code = "not_found"


class ConflictError(ApiError):
    """It contradicts what exists, such as another spec under the same name."""

    code = "conflict"


class UnauthorizedError(ApiError):
    """The server wants a token: CAIRN_TOKEN_FILE names the file that holds it."""

    code = "unauthorized"


class ForbiddenError(ApiError):
    """The server does not serve this host or origin."""

    code = "forbidden"


class UnavailableError(ApiError):
    """Something behind the server does not answer; trying later helps."""

    code = "unavailable"


class UnimplementedError(ApiError):
    """The server was built without it."""

    code = "unimplemented"


class InternalError(ApiError):
    """The server failed."""


_KINDS: dict[str, type[ApiError]] = {
    kind.code: kind
    for kind in (
        InvalidError,
        NotFoundError,
        ConflictError,
        UnauthorizedError,
        ForbiddenError,
        UnavailableError,
        UnimplementedError,
        InternalError,
    )
}


def api_error(code: str, message: str, problems: Sequence[Problem] = ()) -> ApiError:
    """The exception of a code."""
    return _KINDS.get(code, InternalError)(message, problems)


class ServerUnreachableError(CairnError, ConnectionError):
    """No server answers at the address."""


class ServerNotStartedError(CairnError):
    """A server could not be started here."""


class SourceError(CairnError, TypeError):
    """A function cannot be shipped to trials."""


class SpaceExhaustedError(CairnError):
    """Every point of the search space has been tried."""


class WaitTimeoutError(CairnError, TimeoutError):
    """The time given to `wait` is over; the experiment goes on."""


class MissingDependencyError(CairnError, ImportError):
    """An optional package is needed for this."""


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed alike."""

    cause: str
    count: int
    of: int
    pattern: str
    trials: tuple[str, ...]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> FailureGroup:
        """A group as the server tells it."""
        return cls(data["cause"], data["count"], data["of"], data["pattern"], tuple(data["trials"]))

    def __str__(self) -> str:
        pattern = f", all with {self.pattern}" if self.pattern else ""
        return f"{self.count} of {self.of} failed alike: {self.cause}{pattern}"


class ExperimentFailed(CairnError):  # noqa: N818 (reads as what happened)
    """An experiment has failed. `groups` holds the causes of its failed trials, the most frequent first."""

    def __init__(self, name: str, message: str, groups: Sequence[FailureGroup]) -> None:
        self.name = name
        self.groups = list(groups)
        lines = [f"experiment `{name}` has failed: {message}"]
        for group in self.groups[:3]:
            lines.append(f"  {group}")
            if group.trials:
                lines.append(f"    see: exp.logs({group.trials[0]!r})")
        if len(self.groups) > 3:
            lines.append(f"  and {len(self.groups) - 3} more causes: exp.failures()")
        super().__init__("\n".join(lines))
