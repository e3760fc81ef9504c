"""What the BBOB functions are made of.

Hansen, Finck, Ros and Auger 2009, "Real-parameter black-box optimization benchmarking 2009: noiseless functions
definitions", INRIA RR-6829, section 0.2. `x` has length d; all results have its shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def ramp(d: int) -> Array:
    """(i - 1) / (d - 1) for i from 1 to d."""
    return np.arange(d) / max(d - 1, 1)


def scales(alpha: float, d: int) -> Array:
    """The diagonal of Lambda^alpha: conditions of a length from 1 to sqrt(alpha)."""
    return alpha ** (0.5 * ramp(d))


def oscillate(x: Array) -> Array:
    """T_osz: smooth, irregular bumps that keep order and sign."""
    with np.errstate(divide="ignore"):
        xhat = np.where(x == 0, 0.0, np.log(np.abs(x)))
    c1 = np.where(x > 0, 10.0, 5.5)
    c2 = np.where(x > 0, 7.9, 3.1)
    bent: Array = np.sign(x) * np.exp(xhat + 0.049 * (np.sin(c1 * xhat) + np.sin(c2 * xhat)))
    return bent


def skew(x: Array, beta: float) -> Array:
    """T_asy^beta: stretches the positive side."""
    positive = np.maximum(x, 0.0)
    return np.where(x > 0, positive ** (1.0 + beta * ramp(len(x)) * np.sqrt(positive)), x)


def rotation(d: int, rng: np.random.Generator) -> Array:
    """An orthogonal matrix, uniformly distributed. Shape (d, d)."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    turned: Array = q * np.sign(np.diag(r))
    return turned
