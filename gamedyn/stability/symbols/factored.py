"""Polynomials evaluated without cancellation: by their roots, where the powers cancel."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.arrays import complex_array
from gamedyn.stability.symbols.polynomial import evaluate, trimmed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.symbols.polynomial import Polynomial

    Complex = NDArray[np.complex128]

__all__ = ["accurately", "complex_roots"]

LOST = 1e-13
"""Relative error of Horner's rule above which the factors are multiplied instead."""

ROUNDS = 60
"""Iterations after which roots that still move are left as they are."""


def accurately(p: Polynomial, z: ArrayLike) -> Complex:
    """p(z) in complex128 with a small relative error away from its roots, however much its powers cancel.

    Example:
        >>> one = Fraction(1)
        >>> p = (one, -40 * one, 780 * one, -9880 * one, 91390 * one)  # the first terms of (1 - z)^40
        >>> complex(accurately(p, 0.5)) == complex(evaluate(p, 0.5))
        True
    """
    at = complex_array("z", z)
    value = np.asarray(evaluate(p, at))
    if len(p) <= 3:
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        size = evaluate(tuple(map(abs, p)), np.abs(at)).real
        cancelled = 2 * len(p) * np.finfo(float).eps * size > LOST * np.abs(value)
        cancelled &= np.isfinite(size)
    if cancelled.any() and len(p) > 5 and p[0]:
        roots, lead = complex_roots(trimmed(p))
        value = np.array(value)
        value[cancelled] = lead * np.prod(1 - at[cancelled][:, None] / roots, axis=-1)
    return value


@lru_cache(maxsize=256)
def complex_roots(p: Polynomial) -> tuple[Complex, float]:
    """The roots of p, none of them 0, to double precision, and p(0): `p(z) = p(0) prod (1 - z / root)`.

    Aberth's iteration, its Newton corrections from exact values: the coefficients may be as ill-conditioned as they
    like. A multiple root comes out as a cluster.

    Source: Aberth 1973, Math. Comp. 27.
    """
    c = trimmed(p)
    z: Complex = np.asarray(np.roots([float(x) for x in reversed(c)]), dtype=np.complex128)
    scale = lcm(*(x.denominator for x in c))
    whole = [int(x * scale) for x in c]
    moving = np.ones(len(z), dtype=bool)
    for _ in range(ROUNDS):
        for i in np.flatnonzero(moving):
            newton = _newton(whole, complex(z[i]))
            gaps = z[i] - np.delete(z, i)
            gaps = np.where(gaps == 0, 1e-300, gaps)
            move = newton / (1 - newton * (1 / gaps).sum()) if newton else 0
            moving[i] = abs(move) > 4e-16 * abs(z[i])
            z[i] -= move
        if not moving.any():
            break
    return np.asarray(z, dtype=np.complex128), float(c[0])


def _newton(c: list[int], z: complex) -> complex:
    """`p(z) / p'(z)`, each exact but for the same factor, and then rounded."""
    a, p = z.real.as_integer_ratio()
    b, q = z.imag.as_integer_ratio()
    bottom = max(p, q)  # powers of two
    a, b = a * (bottom // p), b * (bottom // q)
    x, y, dx, dy, scale = 0, 0, 0, 0, 1
    for coefficient in reversed(c):
        dx, dy = dx * a - dy * b + x * bottom, dx * b + dy * a + y * bottom
        x, y = x * a - y * b + coefficient * scale, x * b + y * a
        scale *= bottom
    size = max(abs(x), abs(y), abs(dx), abs(dy)).bit_length()
    shift = max(0, size - 1000)
    top = complex(float(Fraction(x, 1 << shift)), float(Fraction(y, 1 << shift)))
    slope = complex(float(Fraction(dx, 1 << shift)), float(Fraction(dy, 1 << shift)))
    return top / slope if slope else 0j
