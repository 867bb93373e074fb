"""Polynomials proved negative in arrays: their Bernstein coefficients on every piece of an interval are."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

__all__ = ["never_positive"]

PIECES = 16
"""Parts that an interval is cut into before a polynomial's sign is read off."""

SURE = 1e-12
"""Share of the sum of its terms that a polynomial must be below 0 by."""


def never_positive(E: Real, reach: Real) -> NDArray[np.bool_]:
    """Which polynomials are proved negative on (0, reach]; False says nothing.

    Args:
        E: coefficients, constant term first, (polynomials, degree + 1).
        reach: ends, (polynomials,); all of them infinite, or none.

    Source: Lorentz, *Bernstein Polynomials* (a polynomial lies in the hull of its coefficients); Farouki 2012.

    Example:
        >>> never_positive(np.array([[-1.0, 0.5], [-1.0, 2.0]]), np.ones(2)).tolist()
        [True, False]
    """
    if len(reach) and np.isinf(reach[0]):  # r in (0, inf): both E(t) and its mirror image on (0, 1]
        return never_positive(E, np.ones(len(E))) & never_positive(E[:, ::-1], np.ones(len(E)))
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = E * reach[:, None] ** np.arange(E.shape[1])
        size = np.abs(scaled).sum(1)
        coefficients = np.einsum("pik,nk->npi", _bernstein(E.shape[1] - 1), scaled)
        return np.asarray((coefficients <= -SURE * size[:, None, None]).all((1, 2)) & np.isfinite(size))


@lru_cache(maxsize=64)
def _bernstein(degree: int) -> Real:
    """From powers on [0, 1] to the Bernstein coefficients on each of the pieces, (pieces, degree + 1, degree + 1)."""
    out = np.zeros((PIECES, degree + 1, degree + 1))
    width = 1 / PIECES
    for piece in range(PIECES):
        for k in range(degree + 1):  # t^k with t = (piece + s) / PIECES
            shifted = [comb(k, m) * (piece * width) ** (k - m) * width**m for m in range(k + 1)]
            for i in range(degree + 1):
                out[piece, i, k] = sum(comb(i, m) / comb(degree, m) * shifted[m] for m in range(min(i, k) + 1))
    return out
