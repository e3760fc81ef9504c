"""The problems that slow optimizers get: some of each suite but `batch`, and both sides of the split."""

from __future__ import annotations

#: Evaluations that they get, on each of these.
BUDGET = 50
NAMES = frozenset(
    (
        "bbob/sphere-10",
        "bbob/rosenbrock-rotated-5",
        "bbob/ellipsoid-5",
        "bbob/schwefel-2",
        "bbob/sharp-ridge-5",
        "mixed/levels-sphere-10",
        "mixed/log-ellipsoid-5",
        "mixed/select-5",
        "mixed/offsets-7",
        "mixed/interactions-10",
        "hpo/svm-digits-loss",
        "hpo/adam-wine-loss",
        "hpo/knn-diabetes-mse",
        "hpo/boost-breast-loss",
        "conditional/cash-digits",
        "conditional/switch",
        "noisy/sphere-5",
    )
)
