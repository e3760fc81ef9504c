"""The suite `mixed`: whole numbers, log scales and categories.

Where a BBOB function has coordinates that are whole numbers or levels, the optimum of the discrete problem is not
known in general; the best value that anyone has seen stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from optbench.problem import Problem, stream
from optbench.problems import bbob
from optbench.problems.continuous import family
from optbench.problems.transforms import Array
from optbench.space import Choice, Float, Int, Parameter, Point, Space


def problems() -> list[Problem]:
    """Numbers that are not all real, and names."""
    return [
        levels("mixed/levels-sphere-10", "sphere", floats=4, ints=[8, 8, 20], ordered=[5, 5, 7]),
        levels("mixed/levels-rastrigin-8", "rastrigin", floats=3, ints=[10, 20, 40], ordered=[5, 5]),
        levels("mixed/ints-rosenbrock-6", "rosenbrock", floats=0, ints=[21, 21, 21, 41, 41, 41], ordered=[]),
        levels("mixed/levels-weierstrass-6", "weierstrass", floats=3, ints=[10, 30], ordered=[6]),
        levels("mixed/ints-attractive-sector-8", "attractive-sector", floats=2, ints=[5, 10, 20, 50, 100], ordered=[9]),
        logs("mixed/log-ellipsoid-5", "ellipsoid", floats=3, ints=2),
        select(),
        offsets(),
        interactions("mixed/interactions-10", 8, 80),
        pest_control(),
        autocorrelation(),
    ]


def levels(
    title: str, name: str, floats: int, ints: Sequence[int], ordered: Sequence[int], budget: int | None = None
) -> Problem:
    """A BBOB function some of whose coordinates are whole numbers, or levels with names.

    `ints` and `ordered` hold the number of values of each.
    """
    parameters: list[Parameter] = [Float(f"x{i}", -5.0, 5.0) for i in range(floats)]
    parameters += [Int(f"n{i}", 0, n - 1) for i, n in enumerate(ints)]
    parameters += [Choice(f"level{i}", [f"l{j}" for j in range(n)], ordered=True) for i, n in enumerate(ordered)]
    space = Space(parameters)
    return Problem(title, family(name), space, on_units(space, name), budget or min(10 * len(space), 80))


def logs(title: str, name: str, floats: int, ints: int) -> Problem:
    """A BBOB function of the logarithms of its parameters."""
    parameters: list[Parameter] = [Float(f"x{i}", 10.0 ** -(i + 2), 10.0, log=True) for i in range(floats)]
    parameters += [Int(f"n{i}", 1, 4**i * 256, log=True) for i in range(ints)]
    space = Space(parameters)
    return Problem(title, family(name), space, on_units(space, name), budget=60)


def select() -> Problem:
    """A category decides which function the four numbers go to; the functions are scaled to be alike."""
    names = ("sphere", "rastrigin", "ellipsoid", "schwefel", "rosenbrock")
    weights = (1.0, 0.3, 1e-6, 10.0, 1e-3)
    functions = [bbob.instance(name, 4, "select").function for name in names]
    parameters: list[Parameter] = [Choice("which", list(names))]
    parameters += [Float(f"x{i}", -5.0, 5.0) for i in range(4)]

    def truth(point: Point) -> float:
        which = names.index(str(point["which"]))
        return 3.0 * which + weights[which] * functions[which](_numbers(point, "x", 4))

    return Problem("mixed/select-5", "select", Space(parameters), truth, budget=60, optimum=0.0)


def offsets() -> Problem:
    """Each of three names moves the best place of the numbers, and adds a cost of its own; one of 60 is best."""
    sizes = (5, 4, 3)
    rng = stream("mixed", "offsets")
    costs = [rng.permutation(np.arange(n) * 2.0) for n in sizes]
    moves = [rng.uniform(-1.3, 1.3, (n, 4)) for n in sizes]
    parameters: list[Parameter] = [Choice(f"c{i}", [f"v{j}" for j in range(n)]) for i, n in enumerate(sizes)]
    parameters += [Float(f"x{i}", -5.0, 5.0) for i in range(4)]

    def truth(point: Point) -> float:
        at = [int(str(point[f"c{i}"])[1:]) for i in range(3)]
        centre = sum((moves[i][at[i]] for i in range(3)), np.zeros(4))
        return float(sum(costs[i][at[i]] for i in range(3)) + np.sum((_numbers(point, "x", 4) - centre) ** 2))

    return Problem("mixed/offsets-7", "offsets", Space(parameters), truth, budget=70, optimum=0.0)


def interactions(title: str, n: int, budget: int) -> Problem:
    """Names of four values with costs for each and for neighbours together, and two numbers."""
    rng = stream("mixed", "interactions")
    single = rng.uniform(0, 1, (n, 4))
    pairs = rng.uniform(0, 1, (n - 1, 4, 4))
    parameters: list[Parameter] = [Choice(f"c{i}", ["a", "b", "c", "d"]) for i in range(n)]
    parameters += [Float("x0", -5.0, 5.0), Float("x1", 1e-3, 1e3, log=True)]

    def truth(point: Point) -> float:
        at = ["abcd".index(str(point[f"c{i}"])) for i in range(n)]
        names = sum(single[i, at[i]] for i in range(n)) + sum(pairs[i, at[i], at[i + 1]] for i in range(n - 1))
        x0, x1 = float(point["x0"]), np.log10(float(point["x1"]))
        return float(names + 0.1 * (x0 - 2 + at[0]) ** 2 + 0.2 * (x1 - 1 + at[-1] / 2) ** 2)

    return Problem(title, "interactions", Space(parameters), truth, budget)


def pest_control() -> Problem:
    """Which of four pesticides, or none, at each of 15 stations; pests spread, and get used to what is used often.

    After Oh, Tomczak, Gavves and Welling 2019, "Combinatorial Bayesian Optimization using the Graph Cartesian Product",
    section 5.1; chance is replaced by its means, so that the cost of a plan is one number.
    """
    rng = stream("mixed", "pest-control")
    stations = 15
    prices = np.array([0.0, 1.0, 0.8, 0.7, 0.5])
    control = np.array([0.0, 0.95, 0.85, 0.8, 0.65])
    spread = rng.beta(1.0, 30.0, stations) * 5
    parameters = [Choice(f"s{i:02}", ["none", "p1", "p2", "p3", "p4"]) for i in range(stations)]

    def truth(point: Point) -> float:
        pest, cost = 0.1, 0.0
        used = np.zeros(5)
        for i in range(stations):
            which = parameters[i].choices.index(str(point[f"s{i:02}"]))
            price = prices[which] * (1 - 0.2 * used[which] / stations)
            killed = control[which] * (0.9 ** used[which]) if which else 0.0
            pest = (pest + spread[i] * (1 - pest)) * (1 - killed)
            used[which] += 1
            cost += price + (3.0 * pest if pest > 0.1 else pest)
        return cost

    return Problem("mixed/pest-control-15", "pest-control", Space(parameters), truth, budget=100)


def autocorrelation() -> Problem:
    """Low autocorrelation of a binary sequence of length 20; its least energy is 26.

    Packebusch and Mertens 2016, J. Phys. A 49:165001, table 1. It has eight symmetries, and no slope leads to its
    optima.
    """
    n = 20
    parameters = [Choice(f"b{i:02}", ["down", "up"]) for i in range(n)]

    def truth(point: Point) -> float:
        s = np.array([1.0 if point[f"b{i:02}"] == "up" else -1.0 for i in range(n)])
        return float(sum(float(s[k:] @ s[:-k]) ** 2 for k in range(1, n)))

    return Problem("mixed/autocorrelation-20", "autocorrelation", Space(parameters), truth, budget=80, optimum=26.0)


def on_units(space: Space, name: str) -> Callable[[Point], float]:
    """A BBOB function of where a point lies in the unit cube of a space without conditions."""
    function = bbob.instance(name, len(space), "mixed").function

    def truth(point: Point) -> float:
        units = np.array([parameter.unit(point[parameter.name]) for parameter in space.parameters])
        return function(10 * units - 5)

    return truth


def _numbers(point: Point, prefix: str, n: int) -> Array:
    return np.array([float(point[f"{prefix}{i}"]) for i in range(n)])
