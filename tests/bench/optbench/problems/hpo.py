"""The suite `hpo`: models of scikit-learn on data sets that it ships.

The models, their spaces and the data sets follow Bayesmark (Turner and Eriksson 2019). They are made cheap: parts of
the larger data sets, three folds, few trees and epochs. The folds are fixed and models have fixed seeds, so a point
has one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from optbench.problem import Problem
from optbench.space import Choice, Float, Int, Parameter, Point, Space

#: Values are kept in these bounds: a diverged model is bad, not infinitely bad.
WORST = {"error": 1.0, "loss": 20.0, "mse": 10.0, "mae": 10.0}
#: Model, data set and score of each problem. `ridge` is the elastic net, `adam` and `sgd` are networks.
CHOSEN = (
    ("tree", "digits", "error"),
    ("forest", "digits", "loss"),
    ("svm", "digits", "loss"),
    ("knn", "diabetes", "mse"),
    ("ridge", "diabetes", "mae"),
    ("boost", "diabetes", "mse"),
    ("adam", "wine", "loss"),
    ("sgd", "wine", "loss"),
    ("logistic", "wine", "loss"),
    ("svm", "breast", "loss"),
    ("tree", "breast", "loss"),
    ("boost", "breast", "loss"),
    ("forest", "iris", "loss"),
    ("adam", "iris", "loss"),
)


def problems() -> list[Problem]:
    """Models to tune."""
    return [named("-".join(each)) for each in CHOSEN]


@cache
def named(name: str) -> Problem:
    """The problem of a model, a data set and a score: `svm-digits-loss`."""
    model, data, score = name.split("-")

    def truth(point: Point) -> float:
        return cross_validated(lambda: build(model, point, score), data, score)

    return Problem(f"hpo/{name}", data, Space(SPACES[model]), truth, budget=50, dear=True)


def cross_validated(make: Callable[[], Any], data: str, score: str) -> float:
    """The mean score of three fixed folds; smaller is better."""
    x, y, folds = load(data)
    scores = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for train, test in folds:
            try:
                model = make().fit(x[train], y[train])
                scores.append(scored(model, x[test], y[test], score))
            except ValueError:  # weights that have overflowed
                scores.append(WORST[score])
    mean = float(np.mean(scores))
    return min(mean, WORST[score]) if np.isfinite(mean) else WORST[score]


def scored(model: Any, x: Any, y: Any, score: str) -> float:
    """One of: share of errors, log loss, mean squared error, mean absolute error."""
    if score == "error":
        return float(np.mean(model.predict(x) != y))
    if score == "loss":
        own = model.predict_proba(x)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
        return float(-np.mean(np.log(np.clip(own, 1e-9, 1.0))))
    misses = model.predict(x) - y
    return float(np.mean(misses**2) if score == "mse" else np.mean(np.abs(misses)))


@cache
def load(data: str) -> tuple[Any, Any, list[tuple[Any, Any]]]:
    """Standardised features, labels (numbers standardised too), and three folds; at most 300 rows."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold

    x, y = getattr(datasets, {"breast": "load_breast_cancer"}.get(data, f"load_{data}"))(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(y))[:300]
    x, y = x[chosen], y[chosen]
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    if data == "diabetes":
        return x, (y - y.mean()) / y.std(), list(KFold(3, shuffle=True, random_state=0).split(x))
    return x, y, list(StratifiedKFold(3, shuffle=True, random_state=0).split(x, y))


def build(model: str, point: Point, score: str) -> Any:
    """The model with its parameters from a point."""
    from sklearn import ensemble, linear_model, neighbors, neural_network, svm, tree

    kind = "Regressor" if score in ("mse", "mae") else "Classifier"
    p: dict[str, Any] = dict(point)
    if model == "tree":
        return getattr(tree, f"DecisionTree{kind}")(**p, random_state=0)
    if model == "forest":
        p["bootstrap"] = p["bootstrap"] == "yes"
        return getattr(ensemble, f"RandomForest{kind}")(**p, n_estimators=8, random_state=0)
    if model == "boost":
        return getattr(ensemble, f"AdaBoost{kind}")(**p, random_state=0)
    if model == "knn":
        return getattr(neighbors, f"KNeighbors{kind}")(**p)
    if model == "svm":
        return _Margins(svm.SVC(**p)) if score == "loss" else svm.SVC(**p)
    if model == "ridge":
        return linear_model.ElasticNet(**{**p, "fit_intercept": p["fit_intercept"] == "yes"}, max_iter=200)
    if model == "logistic":
        weights = None if p.pop("class_weight", "none") == "none" else "balanced"
        return linear_model.LogisticRegression(**p, class_weight=weights, max_iter=50)
    p["hidden_layer_sizes"] = (p["hidden_layer_sizes"],)
    return neural_network.MLPClassifier(solver=model, **p, max_iter=12, random_state=0)


class _Margins:
    """A support vector machine whose margins, doubled, are taken as log odds: probabilities without a second fit."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, x: Any, y: Any) -> _Margins:
        self.model.fit(x, y)
        self.classes_ = self.model.classes_
        return self

    def predict_proba(self, x: Any) -> Any:
        margins = self.model.decision_function(x)
        if margins.ndim == 1:
            margins = np.stack([np.zeros_like(margins), margins], axis=1)
        odds = np.exp(2 * (margins - margins.max(axis=1, keepdims=True)))
        return odds / odds.sum(axis=1, keepdims=True)


_TREE: list[Parameter] = [
    Int("max_depth", 1, 15),
    Float("min_samples_split", 0.01, 0.99),
    Float("min_samples_leaf", 0.01, 0.49),
    Float("min_weight_fraction_leaf", 0.01, 0.49),
    Float("max_features", 0.01, 0.99),
    Float("min_impurity_decrease", 1e-6, 0.5, log=True),
]
_NETWORK: list[Parameter] = [
    Int("hidden_layer_sizes", 10, 100),
    Float("alpha", 1e-5, 1e1, log=True),
    Int("batch_size", 10, 100),
    Float("learning_rate_init", 1e-5, 1e-1, log=True),
]
SPACES: dict[str, list[Parameter]] = {
    "tree": [*_TREE, Choice("splitter", ["best", "random"])],
    "forest": [*_TREE, Choice("bootstrap", ["no", "yes"])],
    "svm": [
        Float("C", 1e-2, 1e3, log=True),
        Float("gamma", 1e-5, 1e1, log=True),
        Float("tol", 1e-5, 1e-1, log=True),
        Choice("kernel", ["rbf", "poly", "sigmoid"]),
    ],
    "knn": [
        Int("n_neighbors", 1, 60, log=True),
        Float("p", 1.0, 4.0),
        Choice("weights", ["uniform", "distance"]),
        Int("leaf_size", 10, 50),
    ],
    "boost": [Int("n_estimators", 2, 25, log=True), Float("learning_rate", 1e-4, 1e1, log=True)],
    "ridge": [
        Float("alpha", 1e-4, 1e1, log=True),
        Float("l1_ratio", 0.0, 1.0),
        Choice("fit_intercept", ["no", "yes"]),
        Float("tol", 1e-5, 1e-1, log=True),
    ],
    "logistic": [
        Float("C", 1e-3, 1e3, log=True),
        Float("tol", 1e-5, 1e-1, log=True),
        Choice("class_weight", ["balanced", "none"]),
    ],
    "adam": [
        *_NETWORK,
        Float("beta_1", 0.5, 0.99),
        Float("beta_2", 0.9, 0.999999),
        Float("epsilon", 1e-9, 1e-6, log=True),
        Choice("activation", ["relu", "tanh", "logistic"]),
    ],
    "sgd": [
        *_NETWORK,
        Float("power_t", 0.1, 0.9),
        Float("momentum", 0.001, 0.999),
        Choice("learning_rate", ["constant", "invscaling"]),
        Choice("activation", ["relu", "tanh", "logistic"]),
    ],
}
