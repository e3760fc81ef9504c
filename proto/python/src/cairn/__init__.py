"""Cairn from notebooks and programs: hyperparameter searches over real training runs.

    import cairn

    def train(lr, layers):
        return (lr - 0.1) ** 2 + layers

    exp = cairn.tune(train, {"lr": cairn.search.float(1e-3, 1, log=True), "layers": cairn.search.int(1, 4)})
    exp.best()

Without a server named in CAIRN_SERVER, one is started for this folder and found again by everybody who works here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import search
from ._cluster import ClusterExperiment
from ._errors import (
    ApiError,
    CairnError,
    CairnWarning,
    ConflictError,
    DamagedModelError,
    ExperimentFailed,
    FailureGroup,
    ForbiddenError,
    InternalError,
    InvalidError,
    MissingDependencyError,
    NotFoundError,
    Problem,
    ServerNotStartedError,
    ServerUnreachableError,
    SourceError,
    SpaceExhaustedError,
    UnauthorizedError,
    UnavailableError,
    UnimplementedError,
    WaitTimeoutError,
)
from ._experiment import Experiment, attach, experiments, submit
from ._plot import Plot
from ._promotion import Promotion, RegisteredModel, model, models
from ._report import TrialInfo, flush, report, report_model, trial
from ._schedule import Schedule, schedules
from ._server import stop_server
from ._stop import Stopped
from ._trial import BestTrial, Model, Prediction, Repeated, Trial
from ._tune import tune
from ._watch import Change

if TYPE_CHECKING:
    from ._study import Study, Suggested

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "BestTrial",
    "CairnError",
    "CairnWarning",
    "Change",
    "ClusterExperiment",
    "ConflictError",
    "DamagedModelError",
    "Experiment",
    "ExperimentFailed",
    "FailureGroup",
    "ForbiddenError",
    "InternalError",
    "InvalidError",
    "MissingDependencyError",
    "Model",
    "NotFoundError",
    "Plot",
    "Prediction",
    "Problem",
    "Promotion",
    "RegisteredModel",
    "Repeated",
    "Schedule",
    "ServerNotStartedError",
    "ServerUnreachableError",
    "SourceError",
    "SpaceExhaustedError",
    "Stopped",
    "Study",
    "Suggested",
    "Trial",
    "TrialInfo",
    "UnauthorizedError",
    "UnavailableError",
    "UnimplementedError",
    "WaitTimeoutError",
    "attach",
    "experiments",
    "flush",
    "model",
    "models",
    "report",
    "report_model",
    "schedules",
    "search",
    "stop_server",
    "submit",
    "trial",
    "tune",
]


def __getattr__(name: str) -> Any:
    # What needs gRPC is brought in when it is used.
    if name in ("Study", "Suggested"):
        from . import _study

        return getattr(_study, name)
    raise AttributeError(f"module `cairn` has no attribute `{name}`")
