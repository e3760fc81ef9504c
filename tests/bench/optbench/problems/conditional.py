"""The suite `conditional`: parameters that mean something only for some values of others."""

from __future__ import annotations

import numpy as np

from optbench.problem import Problem
from optbench.problems import bbob
from optbench.problems.hpo import build, cross_validated
from optbench.space import Choice, Float, Int, Parameter, Point, Space

#: Evaluations.
BUDGET = 60


def problems() -> list[Problem]:
    """Choices with parameters of their own."""
    return [cash_digits(), cash_breast(), layers(), switch(), nested(), tree()]


def cash_digits() -> Problem:
    """Which model for the digits, and with what."""
    parameters: list[Parameter] = [
        Choice("model", ["knn", "svm", "tree", "logistic"]),
        Int("n_neighbors", 1, 60, log=True, when={"model": ["knn"]}),
        Choice("weights", ["uniform", "distance"], when={"model": ["knn"]}),
        Choice("kernel", ["rbf", "poly", "linear"], when={"model": ["svm"]}),
        Float("svm_C", 1e-3, 1e3, log=True, when={"model": ["svm"]}),
        Float("gamma", 1e-5, 1e1, log=True, when={"kernel": ["rbf", "poly"]}),
        Int("degree", 2, 5, when={"kernel": ["poly"]}),
        Int("max_depth", 1, 15, when={"model": ["tree"]}),
        Float("min_samples_leaf", 0.001, 0.3, log=True, when={"model": ["tree"]}),
        Float("logistic_C", 1e-4, 1e2, log=True, when={"model": ["logistic"]}),
    ]
    return _cash("conditional/cash-digits", "digits", "loss", parameters)


def cash_breast() -> Problem:
    """Which model for tumours, and with what."""
    parameters: list[Parameter] = [
        Choice("model", ["tree", "boost", "svm", "knn"]),
        Int("max_depth", 1, 15, when={"model": ["tree"]}),
        Float("min_samples_leaf", 0.001, 0.3, log=True, when={"model": ["tree"]}),
        Float("min_impurity_decrease", 1e-6, 0.5, log=True, when={"model": ["tree"]}),
        Int("n_estimators", 2, 25, log=True, when={"model": ["boost"]}),
        Float("learning_rate", 1e-4, 1e1, log=True, when={"model": ["boost"]}),
        Choice("kernel", ["rbf", "linear"], when={"model": ["svm"]}),
        Float("svm_C", 1e-3, 1e2, log=True, when={"model": ["svm"]}),
        Float("gamma", 1e-5, 1e1, log=True, when={"kernel": ["rbf"]}),
        Int("n_neighbors", 1, 60, log=True, when={"model": ["knn"]}),
        Choice("weights", ["uniform", "distance"], when={"model": ["knn"]}),
    ]
    return _cash("conditional/cash-breast", "breast", "loss", parameters)


def _cash(title: str, data: str, score: str, parameters: list[Parameter]) -> Problem:
    def truth(point: Point) -> float:
        own = {name.removeprefix("svm_").removeprefix("logistic_"): value for name, value in point.items()}
        model = str(own.pop("model"))
        return cross_validated(lambda: build(model, own, score), data, score)

    return Problem(title, data, Space(parameters), truth, BUDGET, dear=True)


def layers() -> Problem:
    """How many layers, each with a width and a rate of its own; more are better only if they fit."""
    counts = ["1", "2", "3", "4"]
    parameters: list[Parameter] = [Choice("layers", counts, ordered=True), Float("rate", 1e-5, 1.0, log=True)]
    for i in range(4):
        parameters.append(Int(f"width{i}", 4, 512, log=True, when={"layers": counts[i:]}))
        parameters.append(Float(f"dropout{i}", 0.0, 0.9, when={"layers": counts[i:]}))

    def truth(point: Point) -> float:
        n = int(point["layers"])
        misfit = sum(
            (np.log2(float(point[f"width{i}"])) - 8 + i) ** 2 / 8
            + 4 * (float(point[f"dropout{i}"]) - 0.2 - 0.1 * i) ** 2
            for i in range(n)
        )
        return float(2.0 / n + misfit / n**0.5 + 0.4 * (np.log10(float(point["rate"])) + 2 + 0.3 * n) ** 2 + 0.05 * n)

    return Problem("conditional/layers", "layers", Space(parameters), truth, BUDGET, optimum=0.7)


def switch() -> Problem:
    """One of four functions, each with numbers of its own."""
    names = {
        "sphere": (2, 1.0, 4.0),
        "rosenbrock": (3, 0.01, 0.0),
        "rastrigin": (2, 0.2, 1.0),
        "ellipsoid": (4, 1e-4, 2.0),
    }
    functions = {name: bbob.instance(name, d, "switch").function for name, (d, _, _) in names.items()}
    parameters: list[Parameter] = [Choice("which", list(names))]
    for name, (d, _, _) in names.items():
        parameters += [Float(f"{name}{i}", -5.0, 5.0, when={"which": [name]}) for i in range(d)]

    def truth(point: Point) -> float:
        which = str(point["which"])
        d, weight, offset = names[which]
        return offset + weight * functions[which](np.array([float(point[f"{which}{i}"]) for i in range(d)]))

    return Problem("conditional/switch", "switch", Space(parameters), truth, BUDGET, optimum=0.0)


def nested() -> Problem:
    """Choices within choices within choices, where what looks bad at first has the best within."""
    parameters: list[Parameter] = [
        Choice("a", ["plain", "deep"]),
        Float("plain", 0.0, 1.0, when={"a": ["plain"]}),
        Choice("b", ["left", "middle", "right"], when={"a": ["deep"]}),
        Float("left", 0.0, 1.0, when={"b": ["left"]}),
        Choice("c", ["on", "off"], when={"b": ["middle", "right"]}),
        Float("on", 1e-4, 1.0, log=True, when={"c": ["on"]}),
        Int("off", 0, 30, when={"c": ["off"]}),
        Float("common", -1.0, 1.0),
    ]

    def truth(point: Point) -> float:
        shared = 2 * (float(point["common"]) - 0.3) ** 2
        if point["a"] == "plain":
            return shared + 1.0 + 4 * (float(point["plain"]) - 0.7) ** 2
        if point["b"] == "left":
            return shared + 1.5 + (float(point["left"]) - 0.2) ** 2
        penalty = 0.0 if point["b"] == "right" else 0.8
        if point["c"] == "on":
            return float(shared + penalty + 0.7 * (np.log10(float(point["on"])) + 1.5) ** 2)
        return shared + penalty + 0.5 + 0.01 * (int(point["off"]) - 7) ** 2

    return Problem("conditional/nested", "nested", Space(parameters), truth, BUDGET, optimum=0.0)


def tree() -> Problem:
    """A tree of two levels with four leaves; its least value is 0.1.

    Jenatton, Archambeau, Gonzalez and Seeger 2017, "Bayesian Optimization with Tree-structured Dependencies",
    section 5.1.
    """
    parameters: list[Parameter] = [
        Choice("x1", ["0", "1"]),
        Choice("x2", ["0", "1"], when={"x1": ["0"]}),
        Choice("x3", ["0", "1"], when={"x1": ["1"]}),
        Float("x4", -1.0, 1.0, when={"x2": ["0"]}),
        Float("x5", -1.0, 1.0, when={"x2": ["1"]}),
        Float("x6", -1.0, 1.0, when={"x3": ["0"]}),
        Float("x7", -1.0, 1.0, when={"x3": ["1"]}),
        Float("r8", 0.0, 1.0, when={"x1": ["0"]}),
        Float("r9", 0.0, 1.0, when={"x1": ["1"]}),
    ]

    def truth(point: Point) -> float:
        leaf = {("0", "0"): "x4", ("0", "1"): "x5", ("1", "0"): "x6", ("1", "1"): "x7"}[
            str(point["x1"]), str(point["x2" if point["x1"] == "0" else "x3"])
        ]
        offset = {"x4": 0.1, "x5": 0.2, "x6": 0.3, "x7": 0.4}[leaf]
        return float(point[leaf]) ** 2 + offset + float(point["r8" if point["x1"] == "0" else "r9"])

    return Problem("conditional/tree", "tree", Space(parameters), truth, BUDGET, optimum=0.1)
