"""Polynomials proved negative in arrays: their Bernstein coefficients on every piece of an interval are."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import comb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

__all__ = ["never_positive"]

PIECES = 16
"""Parts that an interval is cut into before a polynomial's sign is read off."""

SURE = 1e-12
"""Share of the sum of its terms that a polynomial must be below 0 by."""


def never_positive(E: Real, low: float, high: float) -> NDArray[np.bool_]:
    """Which polynomials are proved negative on (low, high]; False says nothing.

    Args:
        E: coefficients, constant term first, (polynomials, degree + 1).
        low: at least 0.
        high: above low; may be infinite.

    Source: Lorentz, *Bernstein Polynomials* (a polynomial lies in the hull of its coefficients); Farouki 2012.

    Example:
        >>> never_positive(np.array([[-1.0, 0.5], [-1.0, 2.0]]), 0.0, 1.0).tolist()
        [True, False]
        >>> never_positive(np.array([[1.0, -1.0], [-1.0, -1.0]]), 2.0, np.inf).tolist()
        [True, True]
    """
    E = E[:, : 1 + max(np.flatnonzero(E.any(0)), default=0)]  # what cancels at infinity has no say there
    powers = np.arange(E.shape[1])
    if low:
        E = E @ (comb(powers[:, None], powers) * low ** np.maximum(powers[:, None] - powers, 0))  # in x - low
    if np.isinf(high):  # x = low + s w, s in (0, inf): E(s) and its mirror image on (0, 1]
        E = E * (low or 1.0) ** powers
        return _on_unit(E) & _on_unit(E[:, ::-1])
    return _on_unit(E * (high - low) ** powers)


def _on_unit(E: Real) -> NDArray[np.bool_]:
    """Which are negative on [0, 1]."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(E).sum(1)
        coefficients = np.einsum("pik,nk->npi", _bernstein(E.shape[1] - 1), E)
        return np.asarray((coefficients <= -SURE * size[:, None, None]).all((1, 2)) & np.isfinite(size))


@lru_cache(maxsize=64)
def _bernstein(degree: int) -> Real:
    """From powers on [0, 1] to the Bernstein coefficients on each of the pieces, (pieces, degree + 1, degree + 1)."""
    out = np.zeros((PIECES, degree + 1, degree + 1))
    width = 1 / PIECES
    i = np.arange(degree + 1)
    to_bernstein = comb(i[:, None], i) / comb(degree, i)  # row i: weights of the powers 0 to i
    for piece in range(PIECES):  # t^k with t = (piece + s) / PIECES, in powers of s
        shift = comb(i, i[:, None]) * (piece * width) ** np.maximum(i - i[:, None], 0) * width ** i[:, None]
        out[piece] = to_bernstein @ shift
    return out
