"""What is trained: a task has a grid of settings and tells a value after every step, smaller is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from curves.convolution import Convolution

SEED = 0
Settings = dict[str, float]


@dataclass(frozen=True)
class Task:
    """A grid and its training."""

    name: str
    metric: str
    steps: int
    grid: dict[str, list[float]]
    train: Callable[[Settings, int], Iterator[float]]


def mlp(settings: Settings, steps: int) -> Iterator[float]:
    """A multilayer perceptron on digits; a step is an epoch."""
    x, x_val, y, y_val = _digits()
    model = MLPClassifier(
        hidden_layer_sizes=(int(settings["hidden"]),),
        learning_rate_init=settings["learning_rate"],
        batch_size=int(settings["batch"]),
        alpha=settings["alpha"],
        random_state=SEED,
    )
    order = np.random.default_rng(SEED)
    for _ in range(steps):
        shuffled = order.permutation(len(y))
        # A call is one pass in batches of `batch`.
        model.partial_fit(x[shuffled], y[shuffled], classes=np.arange(10))
        yield _loss(y_val, model.predict_proba(x_val))


def convolution(settings: Settings, steps: int) -> Iterator[float]:
    """A small convolutional network on half of the digits, moved by up to a pixel, with noise; a step is an epoch."""
    x, x_val, y, y_val = (part[::2] for part in _moved(*_digits()))
    network = Convolution(int(settings["filters"]), int(settings["kernel"]), SEED)
    for _ in range(steps):
        network.epoch(x, y, settings["learning_rate"], settings["momentum"], int(settings["batch"]))
        yield _loss(y_val, network.predict(x_val))


def boosting(settings: Settings, steps: int) -> Iterator[float]:
    """Gradient boosting on diabetes; a step is a tree; the root mean square error in deviations of the target."""
    data = load_diabetes()
    x, x_val, y, y_val = train_test_split(data.data, data.target, test_size=0.35, random_state=SEED)
    model = GradientBoostingRegressor(
        learning_rate=settings["learning_rate"],
        max_depth=int(settings["depth"]),
        subsample=settings["subsample"],
        max_features=settings["features"],
        n_estimators=steps,
        random_state=SEED,
    )
    stages = model.fit(x, y).staged_predict(x_val)
    for foretold in stages:
        yield float(np.sqrt(np.mean((foretold - y_val) ** 2)) / y_val.std())


def sgd(settings: Settings, steps: int) -> Iterator[float]:
    """Logistic regression by gradient descent on breast cancer; a step is an epoch."""
    data = load_breast_cancer()
    x, x_val, y, y_val = train_test_split(data.data, data.target, test_size=0.4, random_state=SEED)
    scaler = StandardScaler().fit(x)
    x, x_val = scaler.transform(x), scaler.transform(x_val)
    model = SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        eta0=settings["learning_rate"],
        alpha=settings["alpha"],
        l1_ratio=settings["l1_ratio"],
        learning_rate="invscaling",
        power_t=settings["power"],
        random_state=SEED,
    )
    order = np.random.default_rng(SEED)
    for _ in range(steps):
        shuffled = order.permutation(len(y))
        model.partial_fit(x[shuffled], y[shuffled], classes=np.arange(2))
        yield _loss(y_val, model.predict_proba(x_val))


def _digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return tuple(train_test_split(x / 16.0, y, test_size=0.4, random_state=SEED, stratify=y))


def _moved(x: np.ndarray, x_val: np.ndarray, y: np.ndarray, y_val: np.ndarray) -> tuple[np.ndarray, ...]:
    chance = np.random.default_rng(SEED)

    def move(pictures: np.ndarray) -> np.ndarray:
        pictures = pictures.reshape(-1, 8, 8)
        moves = chance.integers(-1, 2, (len(pictures), 2))
        moved = np.stack([np.roll(p, tuple(m), (0, 1)) for p, m in zip(pictures, moves, strict=True)])
        return (moved + 0.2 * chance.standard_normal(moved.shape)).astype(np.float32)

    return move(x), move(x_val), y, y_val


def _loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The log-loss; where training has blown up, that of probabilities which are all wrong."""
    if not np.isfinite(probabilities).all():
        return -math.log(np.finfo(float).eps)
    return float(log_loss(truth, probabilities, labels=np.arange(probabilities.shape[1])))


TASKS = [
    Task(
        "boosting-diabetes",
        "root mean square error",
        81,
        {
            "learning_rate": [0.01, 0.02, 0.05, 0.1, 0.2, 0.4],
            "depth": [1, 2, 3, 4, 6],
            "subsample": [0.3, 0.6, 1],
            "features": [0.2, 0.5, 1],
        },
        boosting,
    ),
    Task(
        "sgd-cancer",
        "log-loss",
        81,
        {
            "learning_rate": [1e-4, 1e-3, 1e-2, 0.1, 1],
            "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 0.1],
            "l1_ratio": [0, 0.5, 1],
            "power": [0, 0.25, 0.5, 0.75],
        },
        sgd,
    ),
    Task(
        "mlp-digits",
        "log-loss",
        27,
        {
            "learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
            "hidden": [4, 8, 16, 32, 64],
            "batch": [32, 128, 512],
            "alpha": [1e-5, 1e-2, 1],
        },
        mlp,
    ),
    Task(
        "convolution-digits",
        "log-loss",
        27,
        {
            "learning_rate": [1e-3, 1e-2, 3e-2, 0.1, 0.3, 1],
            "filters": [4, 8],
            "kernel": [2, 3],
            "momentum": [0, 0.5, 0.9],
            "batch": [16, 64, 256],
        },
        convolution,
    ),
]
