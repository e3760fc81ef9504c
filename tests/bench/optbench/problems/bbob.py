"""The BBOB functions, from their definitions.

Hansen, Finck, Ros and Auger 2009, INRIA RR-6829; the numbers at the functions are its own. All live on [-5, 5]^d. What
keeps optimizers inside that box is left out where it is zero in it. Instances are our own: the places of optima and
the rotations come from named streams, so values are not those of the COCO platform.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from optbench.problem import stream
from optbench.problems.transforms import Array, oscillate, ramp, rotation, scales, skew

#: A function of x whose least value is 0.
Function = Callable[[Array], float]
#: Where the argument of Schwefel's function is best, and what it is there.
SCHWEFEL_BEST = 4.2096874633
SCHWEFEL_VALUE = 4.189828872724339


@dataclass(frozen=True)
class Instance:
    """A function with its optimum: `function(x_opt)` is 0."""

    function: Function
    x_opt: Array


@dataclass(frozen=True)
class Parts:
    """What chance decides about an instance."""

    d: int
    rng: np.random.Generator
    x_opt: Array
    r: Array
    q: Array


def instance(name: str, d: int, key: str = "") -> Instance:
    """A function of this module in d dimensions. `key` makes other instances of the same function."""
    rng = stream("bbob", name, d, key)
    x_opt = np.round(rng.uniform(-4, 4, d), 4)
    return FUNCTIONS[name](Parts(d, rng, x_opt, rotation(d, rng), rotation(d, rng)))


def sphere(p: Parts) -> Instance:
    """f1."""
    return Instance(lambda x: _squares(x - p.x_opt), p.x_opt)


def ellipsoid(p: Parts) -> Instance:
    """f2: condition 1e6 along the axes."""
    weights = 10 ** (6 * ramp(p.d))
    return Instance(lambda x: float(weights @ oscillate(x - p.x_opt) ** 2), p.x_opt)


def rastrigin(p: Parts) -> Instance:
    """f3: about 10^d optima in rows along the axes."""
    lengths = scales(10, p.d)
    return Instance(lambda x: _waves(lengths * skew(oscillate(x - p.x_opt), 0.2)), p.x_opt)


def bueche_rastrigin(p: Parts) -> Instance:
    """f4: f3 with a structure that deceives: every other coordinate is ten times steeper above the optimum."""
    odd = np.arange(p.d) % 2 == 0
    x_opt = np.where(odd, np.abs(p.x_opt), p.x_opt)
    lengths = 10 ** (0.5 * ramp(p.d))

    def function(x: Array) -> float:
        z = oscillate(x - x_opt)
        return _waves(z * np.where(odd & (z > 0), 10 * lengths, lengths))

    return Instance(function, x_opt)


def linear_slope(p: Parts) -> Instance:
    """f5: the optimum is a corner of the box."""
    x_opt = 5 * np.where(p.x_opt >= 0, 1.0, -1.0)
    slopes = np.sign(x_opt) * 10 ** ramp(p.d)
    return Instance(lambda x: float(np.sum(5 * np.abs(slopes) - slopes * x)), x_opt)


def attractive_sector(p: Parts) -> Instance:
    """f6: only a hypercone of about 2^-d of the space has low values."""
    turn = p.q @ np.diag(scales(10, p.d)) @ p.r

    def function(x: Array) -> float:
        z = turn @ (x - p.x_opt)
        steep = np.where(z * p.x_opt > 0, 100.0, 1.0)
        return float(oscillate(np.array([_squares(steep * z)]))[0] ** 0.9)

    return Instance(function, p.x_opt)


def step_ellipsoid(p: Parts) -> Instance:
    """f7: plateaus."""
    turn = scales(10, p.d)[:, None] * p.r
    weights = 10 ** (2 * ramp(p.d))

    def function(x: Array) -> float:
        zhat = turn @ (x - p.x_opt)
        stepped = np.where(np.abs(zhat) > 0.5, np.floor(0.5 + zhat), np.floor(0.5 + 10 * zhat) / 10)
        return 0.1 * max(abs(float(zhat[0])) / 1e4, float(weights @ (p.q @ stepped) ** 2))

    return Instance(function, p.x_opt)


def rosenbrock(p: Parts) -> Instance:
    """f8: a bent valley."""
    x_opt = 0.75 * p.x_opt
    stretch = max(1.0, np.sqrt(p.d) / 8)
    return Instance(lambda x: _valley(stretch * (x - x_opt) + 1), x_opt)


def rosenbrock_rotated(p: Parts) -> Instance:
    """f9."""
    stretch = max(1.0, np.sqrt(p.d) / 8)
    x_opt = p.r.T @ np.full(p.d, 0.5) / stretch
    return Instance(lambda x: _valley(stretch * p.r @ x + 0.5), x_opt)


def ellipsoid_rotated(p: Parts) -> Instance:
    """f10."""
    weights = 10 ** (6 * ramp(p.d))
    return Instance(lambda x: float(weights @ oscillate(p.r @ (x - p.x_opt)) ** 2), p.x_opt)


def discus(p: Parts) -> Instance:
    """f11: one direction is a thousand times more sensitive than all others."""
    weights = np.where(np.arange(p.d) == 0, 1e6, 1.0)
    return Instance(lambda x: float(weights @ oscillate(p.r @ (x - p.x_opt)) ** 2), p.x_opt)


def bent_cigar(p: Parts) -> Instance:
    """f12: a narrow ridge."""
    weights = np.where(np.arange(p.d) == 0, 1.0, 1e6)
    return Instance(lambda x: float(weights @ (p.r @ skew(p.r @ (x - p.x_opt), 0.5)) ** 2), p.x_opt)


def sharp_ridge(p: Parts) -> Instance:
    """f13: not differentiable along a ridge."""
    turn = p.q @ np.diag(scales(10, p.d)) @ p.r

    def function(x: Array) -> float:
        z = turn @ (x - p.x_opt)
        return float(z[0] ** 2 + 100 * np.linalg.norm(z[1:]))

    return Instance(function, p.x_opt)


def different_powers(p: Parts) -> Instance:
    """f14: sensitivities that part ways near the optimum."""
    powers = 2 + 4 * ramp(p.d)
    return Instance(lambda x: float(np.sqrt(np.sum(np.abs(p.r @ (x - p.x_opt)) ** powers))), p.x_opt)


def rastrigin_rotated(p: Parts) -> Instance:
    """f15."""
    turn = p.r @ np.diag(scales(10, p.d)) @ p.q
    return Instance(lambda x: _waves(turn @ skew(oscillate(p.r @ (x - p.x_opt)), 0.2)), p.x_opt)


def weierstrass(p: Parts) -> Instance:
    """f16: rugged, and its optimum is not unique."""
    turn = p.r @ np.diag(scales(0.01, p.d)) @ p.q
    halves, threes = 0.5 ** np.arange(12), 3.0 ** np.arange(12)
    least = float(halves @ np.cos(np.pi * threes))

    def function(x: Array) -> float:
        z = turn @ oscillate(p.r @ (x - p.x_opt))
        sums = np.cos(2 * np.pi * np.outer(z + 0.5, threes)) @ halves
        return float(10 * max(float(np.mean(sums)) - least, 0.0) ** 3)

    return Instance(function, p.x_opt)


def schaffers(p: Parts) -> Instance:
    """f17: F7 of Schaffer, with frequency and height that change."""
    return _schaffers(p, 10)


def schaffers_ill(p: Parts) -> Instance:
    """f18: f17 with condition 1000."""
    return _schaffers(p, 1000)


def griewank_rosenbrock(p: Parts) -> Instance:
    """f19: a bent valley full of hills."""
    stretch = max(1.0, np.sqrt(p.d) / 8)
    x_opt = p.r.T @ np.full(p.d, 0.5) / stretch

    def function(x: Array) -> float:
        z = stretch * p.r @ x + 0.5
        s = 100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2
        return float(10 * np.mean(s / 4000 - np.cos(s)) + 10)

    return Instance(function, x_opt)


def schwefel(p: Parts) -> Instance:
    """f20: the best optima are near the corners of an area that is not searched further out."""
    signs = np.where(p.x_opt >= 0, 1.0, -1.0)
    x_opt = signs * SCHWEFEL_BEST / 2
    twice = 2 * np.abs(x_opt)
    lengths = scales(10, p.d)

    def function(x: Array) -> float:
        zhat = 2 * signs * x
        zhat[1:] += 0.25 * (2 * signs * x - twice)[:-1]
        z = 100 * (lengths * (zhat - twice) + twice)
        outside = np.maximum(0, np.abs(z / 100) - 5)
        return float(-np.mean(z * np.sin(np.sqrt(np.abs(z)))) / 100 + SCHWEFEL_VALUE + 100 * _squares(outside))

    return Instance(function, x_opt)


def gallagher(p: Parts) -> Instance:
    """f21: 101 peaks, whose heights and shapes are random."""
    n = 101
    peaks = p.rng.uniform(-5, 5, (n, p.d))
    peaks[0] = p.x_opt
    heights = np.concatenate([[10.0], 1.1 + 8 * np.arange(n - 1) / (n - 2)])
    alphas = np.concatenate([[1000.0], p.rng.permutation(1000.0 ** (2 * np.arange(n - 1) / (n - 2)))])
    shapes = np.array([p.rng.permutation(scales(alpha, p.d)) / alpha**0.25 for alpha in alphas])
    turned = peaks @ p.r.T

    def function(x: Array) -> float:
        distances = np.sum(shapes * (p.r @ x - turned) ** 2, axis=1)
        best = np.max(heights * np.exp(-distances / (2 * p.d)))
        return float(oscillate(np.array([10 - best]))[0] ** 2)

    return Instance(function, p.x_opt)


def _schaffers(p: Parts, condition: float) -> Instance:
    lengths = scales(condition, p.d)

    def function(x: Array) -> float:
        z = lengths * (p.q @ skew(p.r @ (x - p.x_opt), 0.5))
        s = np.sqrt(z[:-1] ** 2 + z[1:] ** 2)
        return float(np.mean(np.sqrt(s) * (1 + np.sin(50 * s**0.2) ** 2)) ** 2)

    return Instance(function, p.x_opt)


def _squares(z: Array) -> float:
    return float(z @ z)


def _waves(z: Array) -> float:
    return float(10 * (len(z) - np.sum(np.cos(2 * np.pi * z))) + z @ z)


def _valley(z: Array) -> float:
    return float(np.sum(100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2))


#: The functions by name.
FUNCTIONS: dict[str, Callable[[Parts], Instance]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        sphere,
        ellipsoid,
        rastrigin,
        bueche_rastrigin,
        linear_slope,
        attractive_sector,
        step_ellipsoid,
        rosenbrock,
        rosenbrock_rotated,
        ellipsoid_rotated,
        discus,
        bent_cigar,
        sharp_ridge,
        different_powers,
        rastrigin_rotated,
        weierstrass,
        schaffers,
        schaffers_ill,
        griewank_rosenbrock,
        schwefel,
        gallagher,
    )
}
