"""What one step does to a single mode `y' = lambda y`: its factor, and how fast that changes with the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import (
    Delegated,
    ExponentialRosenbrock,
    LinearMultistep,
    Lookahead,
    Map,
    Method,
    PredictorCorrector,
    get,
)
from gamedyn.stability.eigenvalues import needs_blocks
from gamedyn.stability.polynomial import RationalFunction, derivative, evaluate, stability_function
from gamedyn.stability.recurrence import dominant_root, lookahead_function, recurrence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.polynomial import Polynomial

__all__ = ["amplification", "log_slope", "multiplier", "rational_function"]


def rational_function(method: Method) -> RationalFunction:
    """The rational factor of a one-step method: R(z), or that of Lookahead over a multistep method.

    Raises:
        ArgumentError: if there is none.
    """
    if isinstance(method, (Delegated, Map)):
        raise ArgumentError("method", "a method whose coefficients gamedyn holds", method.name)
    return lookahead_function(method) if isinstance(method, Lookahead) else stability_function(method)


def multiplier(method: Method, z: ArrayLike) -> NDArray[np.complex128]:
    """R(z), exp(z), or the characteristic root of largest modulus: the factor of one step, complex.

    Raises:
        ArgumentError: for a method whose factor eigenvalues do not determine.
    """
    at = np.asarray(z, dtype=np.complex128)
    if needs_blocks(method):
        raise ArgumentError("method", "a method that eigenvalues determine", method, "use step_matrix with blocks")
    if isinstance(method, (LinearMultistep, PredictorCorrector)):
        return dominant_root(method, at)
    if isinstance(method, ExponentialRosenbrock):
        return np.exp(at)
    return np.asarray(rational_function(method)(at), dtype=np.complex128)


def amplification(method: str | Method, z: ArrayLike) -> NDArray[np.float64]:
    """|R(z)|, or the largest modulus of a characteristic root: the growth of one step on `y' = lambda y`.

    Args:
        method: a method that treats players and parts of J alike, or its name.
        z: values of h*lambda, any shape.

    Returns:
        As z, float64; at most 1 inside the region of absolute stability.

    Raises:
        ArgumentError: for a partitioned method, or another that needs blocks.

    Example:
        >>> float(amplification("euler", -2.0)), round(float(amplification("bdf2", 1j)), 4)
        (1.0, 0.9333)
    """
    return np.asarray(np.abs(multiplier(get(method), z)))


def log_slope(method: Method, z: complex) -> float:
    """`d ln rho / d ln h` at `z = h lambda`; infinite at a double root, where two roots part like a square root."""
    if isinstance(method, ExponentialRosenbrock):
        return float(np.real(z))
    if isinstance(method, (LinearMultistep, PredictorCorrector)):
        return _root_slope(method, z)
    R = rational_function(method)
    top = evaluate(derivative(R.numerator), z) / evaluate(R.numerator, z)
    bottom = evaluate(derivative(R.denominator), z) / evaluate(R.denominator, z)
    return float(np.real(z * (top - bottom)))


def _root_slope(method: LinearMultistep | PredictorCorrector, z: complex) -> float:
    """Of the dominant root, by differentiating the characteristic polynomial."""
    r, zeta = recurrence(method), complex(dominant_root(method, np.asarray(z)))
    powers: list[tuple[Polynomial, float, int]] = [(r.bottom, 1.0, r.steps)]
    powers += [(p, -1.0, r.steps - 1 - j) for j, p in enumerate(r.tops)]
    by_zeta = sum((s * complex(evaluate(p, z)) * k * zeta ** (k - 1) for p, s, k in powers if k), 0j)
    by_z = sum((s * complex(evaluate(derivative(p), z)) * zeta**k for p, s, k in powers), 0j)
    size = sum(float(np.abs(evaluate(p, z))) * max(k, 1) for p, _, k in powers)
    if abs(by_zeta) <= 1e-6 * size:
        return float("inf")
    return (-z * by_z / (by_zeta * zeta)).real
