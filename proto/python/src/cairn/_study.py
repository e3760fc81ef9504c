"""Ask and tell: the search without trials of Cairn's own, straight from the suggestion service."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import urlsplit

from . import search
from ._errors import InvalidError, MissingDependencyError, ServerUnreachableError, SpaceExhaustedError
from ._rules import Rule, RuleWatch
from ._server import connect
from ._tune import direction_of

if TYPE_CHECKING:
    from ._http import Server

#: How many events travel in one message of a history.
CHUNK = 1000
#: Longest wait for an answer, in seconds.
TIMEOUT = 120.0
#: Seeds stay below what every reader of JSON holds exactly.
SEED_BITS = 53


@dataclass
class Suggested:
    """A point to try. `value` is what was told of it: its main objective, or `None`."""

    idx: int
    params: dict[str, Any]
    #: What the algorithm wrote beside it.
    notes: dict[str, str] = field(default_factory=dict)
    #: Share of the budget it should get, where the algorithm gives shares.
    fidelity: float | None = None
    state: str = "Running"
    values: dict[str, float] = field(default_factory=dict)
    value: float | None = None


class Study:
    """A search whose points you evaluate yourself.

        study = cairn.Study({"x": cairn.search.float(-1, 1)}, direction="minimize", seed=1)
        for _ in range(20):
            trial = study.ask()
            study.tell(trial, trial.params["x"] ** 2)
        study.best

    The service remembers nothing that matters: this object holds the whole history and sends it again when asked to.
    With the same seed, points and order of `tell`, the suggestions are the same.
    """

    def __init__(
        self,
        space: Mapping[str, search.Parameter],
        *,
        direction: str = "minimize",
        objectives: Mapping[str, str] | None = None,
        algorithm: str = "auto",
        settings: Mapping[str, Any] | None = None,
        early_stopping: str | None = None,
        early_stopping_settings: Mapping[str, Any] | None = None,
        constraints: Sequence[str] = (),
        seed: int | None = None,
        max_trials: int = 0,
        parallel: int = 1,
        name: str = "study",
        server: str | None = None,
    ) -> None:
        """`objectives` names metrics with their directions, the main one first: `{"accuracy": "maximize"}`."""
        search.specs(space)
        self.space = dict(space)
        directions = {"objective": direction} if objectives is None else dict(objectives)
        self.objectives = {metric: direction_of(word) for metric, word in directions.items()}
        self.seed = secrets.randbits(SEED_BITS) if seed is None else seed
        self.trials: list[Suggested] = []
        self._wire = _Wire(connect(server).server)
        pb = self._wire.pb
        self._study = pb.Study(
            name=name,
            parameters=[_parameter(pb, each, parameter) for each, parameter in self.space.items()],
            constraints=list(constraints),
            objectives=[pb.Objective(metric=m, maximize=d == "maximize") for m, d in self.objectives.items()],
            algorithm=pb.Algorithm(name=algorithm, settings=_texts(settings)),
            early_stopping=early_stopping and pb.Algorithm(name=early_stopping, settings=_texts(early_stopping_settings)),
            seed=self.seed,
            max_trials=max_trials,
            parallel=parallel,
        )
        self._suggestions: list[Any] = []
        self._curves: dict[int, list[Any]] = {}
        self._watches: dict[int, RuleWatch] = {}
        self._events: list[Any] = []
        self._prefix = pb.Prefix()
        self._lock = threading.RLock()
        self._wire.call("Validate", pb.ValidateRequest(study=self._study))

    @overload
    def ask(self) -> Suggested: ...

    @overload
    def ask(self, n: int) -> list[Suggested]: ...

    def ask(self, n: int | None = None) -> Suggested | list[Suggested]:
        """The next point to try; or up to `n` of them at once, fewer when the space is exhausted.

        Raises `SpaceExhaustedError` if one is asked for and none is left.
        """
        with self._lock:
            first = len(self.trials)
            reply = self._ask(first, 1 if n is None else n)
            fresh = [self._suggested(first + i, each) for i, each in enumerate(reply.suggestions)]
            self.trials += fresh
            rules = [Rule.read(rule) for rule in reply.rules]
            main, direction = next(iter(self.objectives.items()))
            self._watches.update((trial.idx, RuleWatch(rules, main, direction)) for trial in fresh)
            self._suggestions += reply.suggestions
        if n is not None:
            return fresh
        if not fresh:
            raise SpaceExhaustedError("every point of this space has been tried")
        return fresh[0]

    def report(self, trial: Suggested | int, value: float | Mapping[str, float], step: int) -> bool:
        """What a running trial has reached at a step; steps rise. Whether it should stop, by the rules of early stopping.

        A trial that stops is told with `stopped_early=True`.
        """
        with self._lock:
            held = self._running(trial)
            values = self._named(value)
            costs = self._costs(values)
            if costs is None:
                raise ValueError(f"{value!r} is not finite")
            reported = self._wire.pb.Reported(trial=held.idx, step=step, costs=costs)
            self._curves.setdefault(held.idx, []).append(self._wire.pb.HistoryEvent(reported=reported))
            return self._watches[held.idx].look(values)

    def tell(
        self, trial: Suggested | int, value: float | Mapping[str, float] | None = None, *, stopped_early: bool = False
    ) -> None:
        """How a trial ended: its objective, or a value for each objective; nothing if it has failed.

        A value that is not finite counts as a failure. A trial is told once.
        """
        pb = self._wire.pb
        with self._lock:
            held = self._running(trial)
            values = {} if value is None else self._named(value)
            costs = self._costs(values) if values else None
            held.values, held.value = values, next(iter(values.values())) if costs is not None else None
            held.state = "Failed" if costs is None else "EarlyStopped" if stopped_early else "Succeeded"
            outcome = {"Failed": pb.Ended.OUTCOME_FAILED, "EarlyStopped": pb.Ended.OUTCOME_EARLY_STOPPED}.get(
                held.state, pb.Ended.OUTCOME_SUCCEEDED
            )
            ended = pb.Ended(trial=held.idx, outcome=outcome, costs=costs or [])
            self._events.append(pb.HistoryEvent(started=self._trial(held.idx)))
            self._events += self._curves.pop(held.idx, [])
            del self._watches[held.idx]
            self._events.append(pb.HistoryEvent(ended=ended))

    @property
    def best(self) -> Suggested | None:
        """The best trial by the first objective."""
        ended = [trial for trial in self.trials if trial.value is not None]
        sign = -1.0 if next(iter(self.objectives.values())) == "maximize" else 1.0
        return min(ended, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def _ask(self, first: int, n: int) -> Any:
        pb = self._wire.pb
        running = [self._trial(trial.idx) for trial in self.trials if trial.state == "Running"]
        request = pb.AskRequest(study=self._study, running=running, first_idx=first, n=n)

        def since(prefix: Any) -> Any:
            request.prefix.CopyFrom(prefix)
            del request.events[:]
            request.events.extend(self._events[prefix.seq :])
            return request

        reply = self._wire.call("Ask", since(self._prefix), missing_is_none=True)
        if reply is None:
            # The service has forgotten the history: it is sent again.
            loaded = self._wire.call("Load", lambda: self._history(), stream=True)
            reply = self._wire.call("Ask", since(loaded.prefix))
        self._prefix = reply.prefix
        return reply

    def _history(self) -> Iterator[Any]:
        pb = self._wire.pb
        yield pb.LoadRequest(study=self._study, events=self._events[:CHUNK])
        for begin in range(CHUNK, len(self._events), CHUNK):
            yield pb.LoadRequest(events=self._events[begin : begin + CHUNK])

    def _trial(self, idx: int) -> Any:
        return self._wire.pb.Trial(idx=idx, suggestion=self._suggestions[idx])

    def _running(self, trial: Suggested | int) -> Suggested:
        idx = trial if isinstance(trial, int) else trial.idx
        if not 0 <= idx < len(self.trials):
            raise ValueError(f"there is no trial {idx}; ask for one first")
        held = self.trials[idx]
        if held.state != "Running":
            raise ValueError(f"trial {idx} has already ended: {held.state}")
        return held

    def _named(self, value: float | Mapping[str, float]) -> dict[str, float]:
        """Values by objective, in the order of the study."""
        if not isinstance(value, Mapping):
            if len(self.objectives) > 1:
                raise ValueError(f"this study has {len(self.objectives)} objectives; tell a dict with all of them")
            return {next(iter(self.objectives)): float(value)}
        missing = [metric for metric in self.objectives if metric not in value]
        if missing:
            raise ValueError(f"the objective `{missing[0]}` is missing")
        return {metric: float(value[metric]) for metric in self.objectives}

    def _costs(self, values: Mapping[str, float]) -> list[float] | None:
        """Smaller is better; `None` if one is not finite."""
        if not all(math.isfinite(value) for value in values.values()):
            return None
        return [-value if self.objectives[m] == "maximize" else value for m, value in values.items()]

    def _suggested(self, idx: int, suggestion: Any) -> Suggested:
        params = {}
        for (name, parameter), value in zip(self.space.items(), suggestion.values):
            kind = value.WhichOneof("kind")
            if kind == "choice":
                params[name] = list(parameter.values.values())[value.choice]
            elif kind is not None:
                params[name] = getattr(value, kind)
        fidelity = suggestion.fidelity if suggestion.HasField("fidelity") else None
        return Suggested(idx, params, dict(suggestion.notes), fidelity)


class _Wire:
    """Calls of `cairn.v1.Search` at a server that may move."""

    def __init__(self, server: Server) -> None:
        try:
            import grpc

            from ._proto import search_pb2, search_pb2_grpc
        except ImportError as error:
            raise MissingDependencyError("a Study needs gRPC: `pip install 'cairn[grpc]'`") from error
        self.pb: Any = search_pb2
        self._grpc: Any = grpc
        self._stubs: Any = search_pb2_grpc
        self._server = server
        self._url, self._stub, self._channel = "", None, None  # type: str, Any, Any

    def call(self, method: str, request: Any, missing_is_none: bool = False, stream: bool = False) -> Any:
        """One call, made again at a server that was started anew. A prefix that is not held is `None` if wanted so."""
        for attempt in (1, 2):
            try:
                sent = request() if stream else request
                return getattr(self._connected(), method)(sent, timeout=TIMEOUT, metadata=self._metadata())
            except self._grpc.RpcError as error:
                code, codes = error.code(), self._grpc.StatusCode
                if code == codes.FAILED_PRECONDITION and missing_is_none:
                    return None
                if code == codes.INVALID_ARGUMENT:
                    raise InvalidError(error.details()) from None
                if code != codes.UNAVAILABLE or attempt == 2:
                    message = f"the suggestion service at {self._server.url} failed: {error.details()}"
                    raise ServerUnreachableError(message) from error
                self._server.recover()

    def _connected(self) -> Any:
        if self._stub is None or self._url != self._server.url:
            if self._channel is not None:
                self._channel.close()
            self._url = self._server.url
            at = urlsplit(self._url)
            options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
            address = at.netloc if at.port else f"{at.netloc}:{443 if at.scheme == 'https' else 80}"
            if at.scheme == "https":
                self._channel = self._grpc.secure_channel(address, self._grpc.ssl_channel_credentials(), options)
            else:
                self._channel = self._grpc.insecure_channel(address, options)
            self._stub = self._stubs.SearchStub(self._channel)
        return self._stub

    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._server.token}")] if self._server.token else []


def _texts(settings: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: search.text(value) for name, value in (settings or {}).items()}


def _parameter(pb: Any, name: str, parameter: search.Parameter) -> Any:
    feasible = parameter.feasible
    log = pb.DISTRIBUTION_LOG_UNIFORM if feasible.get("distribution") == "logUniform" else pb.DISTRIBUTION_UNIFORM
    message = pb.Parameter(name=name, when=[_condition(pb, parent, wanted) for parent, wanted in _when(parameter)])
    if parameter.kind == "double":
        message.float.CopyFrom(pb.FloatDomain(min=float(feasible["min"]), max=float(feasible["max"]), distribution=log))
        if "step" in feasible:
            message.float.step = float(feasible["step"])
    elif parameter.kind == "int":
        step = int(feasible.get("step", 1))
        message.int.CopyFrom(pb.IntDomain(min=int(feasible["min"]), max=int(feasible["max"]), step=step, distribution=log))
    elif parameter.kind == "discrete":
        message.discrete.values.extend(feasible["list"])
    else:
        message.categorical.CopyFrom(pb.CategoricalDomain(choices=feasible["list"], ordered=parameter.ordered))
    if parameter.default is not None:
        message.default = search.text(parameter.default)
    if parameter.prior:
        message.prior.CopyFrom(pb.Prior(**parameter.prior))
    return message


def _when(parameter: search.Parameter) -> list[tuple[str, Any]]:
    return list(parameter.spec("").get("when", {}).items())


def _condition(pb: Any, parent: str, wanted: Any) -> Any:
    if isinstance(wanted, Mapping):
        return pb.Condition(parent=parent, **{bound: float(value) for bound, value in wanted.items()})
    return pb.Condition(parent=parent, one_of=wanted if isinstance(wanted, list) else [wanted])
