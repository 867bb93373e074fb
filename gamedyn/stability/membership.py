"""Whether points lie in the region of absolute stability: fast on whole grids, no roots computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import ExponentialRosenbrock, LinearMultistep, Method, PredictorCorrector, get
from gamedyn.stability.amplification import rational_function
from gamedyn.stability.eigenvalues import needs_blocks
from gamedyn.stability.polynomial import evaluate
from gamedyn.stability.recurrence import recurrence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["is_stable", "roots_in_disc"]

FAR = 1e12
"""Beyond this a point stands for infinity in its quadrant, or on its axis: powers of it overflow."""

CHUNK = 1 << 16
"""Points at a time: what is worked on stays in the cache."""


def is_stable(method: str | Method, z: ArrayLike) -> NDArray[np.bool_]:
    """Whether the mode `z = h lambda` does not grow: `|R(z)| <= 1`, or all characteristic roots in the unit disc.

    Multistep methods by the criterion of Schur and Cohn, which needs no roots: on the boundary itself, a set of
    measure zero, rounding decides.

    Args:
        method: a method whose modes decouple, or its name.
        z: values of h*lambda, any shape.

    Returns:
        As z, bool.

    Raises:
        ArgumentError: for a method that needs blocks.

    Source: Schur 1918; Cohn 1922; Henrici, Applied and Computational Complex Analysis I, theorem 6.8b.

    Example:
        >>> is_stable("bdf3", [-1.0, 1j, 3j]).tolist()
        [True, False, True]
    """
    chosen = get(method)
    try:
        at = np.asarray(z, dtype=np.complex128)
    except (TypeError, ValueError):
        raise ArgumentError("z", "complex numbers", type(z).__name__) from None
    if np.isnan(at).any():
        raise ArgumentError("z", "complex numbers", "nan among them")
    if needs_blocks(chosen):
        raise ArgumentError("method", "a method that eigenvalues determine", chosen, "use step_matrix with blocks")
    flat = at.reshape(-1)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(flat.real), np.abs(flat.imag))
        flat = np.where(size > FAR, np.sign(flat.real) * FAR + 1j * np.sign(flat.imag) * FAR, flat)
    parts = [_decided(chosen, flat[i : i + CHUNK]) for i in range(0, max(len(flat), 1), CHUNK)]
    return np.concatenate(parts).reshape(at.shape)


def _decided(method: Method, z: NDArray[np.complex128]) -> NDArray[np.bool_]:
    if isinstance(method, ExponentialRosenbrock):
        return np.asarray(z.real <= 0)
    if isinstance(method, (LinearMultistep, PredictorCorrector)):
        r = recurrence(method)
        highest = [evaluate(r.bottom, z), *(-evaluate(p, z) for p in r.tops)]
        return roots_in_disc(np.stack(highest))
    R = rational_function(method)
    return np.asarray(_squared(evaluate(R.numerator, z)) <= _squared(evaluate(R.denominator, z)))


def _squared(x: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.asarray(x.real**2 + x.imag**2)


def roots_in_disc(p: NDArray[np.complex128], margin: float = 0.0) -> NDArray[np.bool_]:
    """Whether all roots of `p[0] zeta^k + ... + p[k]` are in the closed disc, (points,).

    `p -> (conj(p_0) p - p_k p*) / zeta`, p* the reversed conjugate, keeps the number of roots in the disc where
    `|p_0| > |p_k|`, and some root is outside where `|p_0| < |p_k|`.

    Args:
        p: coefficients, leading one first, (k + 1, points).
        margin: share by which `|p_0|` must exceed `|p_k|`: above 0 a root near the circle counts as outside.
    """
    inside = np.ones(p.shape[1], dtype=bool)
    while len(p) > 1:
        inside &= (1 - margin) ** 2 * _squared(p[0]) >= _squared(p[-1])
        p = np.conj(p[0]) * p[:-1] - p[-1] * np.conj(p[:0:-1])
        p /= np.maximum(np.abs(p).max(0), 1e-300)  # sizes square with every reduction
    return inside
