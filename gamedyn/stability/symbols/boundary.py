"""Where a multiplier of a method can cross the circle `|zeta| = level`: one real polynomial, on any ray.

The multipliers are the roots of `chi(zeta, z) = sum_j a_j(z) zeta^j`. The Hermitian matrix of Schur and Cohn has as
many negative eigenvalues as there are multipliers outside the circle, and the determinant

    D(z) = |a_k|^(2k) prod_ij (1 - zeta_i conj(zeta_j) / level^2),

a polynomial in z and conj(z) with rational coefficients. Along a ray `z = r u` it is a real polynomial in r, and no
multiplier crosses the circle but at its roots. For one step, chi = Q zeta - P, it is `|Q|^2 - |P|^2 / level^2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from gamedyn.stability.symbols.polynomial import exactly, trimmed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["Boundary", "Gaussian", "circle_test"]

Gaussian = tuple[int, int]
"""A complex number with integer parts."""


@dataclass(frozen=True)
class Boundary:
    """D as coefficients of `z^a conj(z)^b`, symmetric: `weights[a][b]`.

    Attributes:
        weights: (degree + 1) rows of as many.
        errors: of the same shape: what the digits of inexact data cannot tell from 0; None where they are exact.
    """

    weights: tuple[tuple[Fraction, ...], ...]
    errors: tuple[tuple[Fraction, ...], ...] | None = None

    @classmethod
    def of(cls, rows: Sequence[Polynomial], level: Fraction, errors: Sequence[Polynomial] | None = None) -> Boundary:
        """Of the polynomial `sum_j rows[j](z) zeta^j`.

        Args:
            rows: coefficients of zeta^0, ..., zeta^k, polynomials in z.
            level: modulus of the circle.
            errors: what each coefficient of each row may be off by; None: exact.
        """
        k, degree = len(rows) - 1, max(map(len, rows)) - 1
        scaled = [_padded([x * level**j for x in p], degree) for j, p in enumerate(rows)]
        if k == 1:
            weights = _outer(scaled[1], scaled[1], scaled[0], scaled[0])
        else:
            weights = _interpolated(scaled, k * degree)
        if errors is None:
            return cls(weights)
        if k == 1:
            e = [_padded(x, degree) for x in errors]
            absolute = [[abs(x) for x in row] for row in scaled]
            off = _outer(absolute[1], e[1], [-x for x in absolute[0]], e[0])
            return cls(weights, tuple(tuple(x + off[b][a] for b, x in enumerate(r)) for a, r in enumerate(off)))
        size = k * k * max(map(max, errors)) * max(abs(x) for r in weights for x in r)
        return cls(weights, tuple(tuple(size for _ in r) for r in weights))

    def along(self, u: complex) -> Polynomial:
        """D(r u) in r, exactly for the two doubles of u: its sign is that of "all multipliers inside", or not."""
        x, y = Fraction(u.real), Fraction(u.imag)
        n = len(self.weights)
        powers = [(Fraction(1), Fraction(0))]
        for _ in range(n - 1):
            c, s = powers[-1]
            powers.append((c * x - s * y, c * y + s * x))
        square = [(x * x + y * y) ** m for m in range(n)]
        out, error = [Fraction(0)] * (2 * n - 1), [Fraction(0)] * (2 * n - 1)
        for a, row in enumerate(self.weights):
            for b in range(a + 1):
                if row[b]:
                    out[a + b] += (1 if a == b else 2) * row[b] * powers[a - b][0] * square[b]
                if self.errors is not None:
                    error[a + b] += (1 if a == b else 2) * self.errors[a][b]
        return trimmed(Fraction(0) if abs(c) <= e else c for c, e in zip(out, error, strict=True))

    def along_all(self, u: NDArray[np.complex128]) -> NDArray[np.float64]:
        """The same rounded, for many directions of modulus 1: (len(u), degree + 1)."""
        table, n = self._floats, len(self.weights)
        cosines = np.cos(np.outer(np.angle(u), np.arange(n)))
        cosines[:, 1:2] = u.real[:, None]
        out = np.zeros((len(u), 2 * n - 1))
        for a in range(n):
            for b in range(n):
                out[:, a + b] += table[a, b] * cosines[:, abs(a - b)]
        return out

    @cached_property
    def _floats(self) -> NDArray[np.float64]:
        return np.array(self.weights, dtype=float)


def _padded(p: Sequence[Fraction], degree: int) -> list[Fraction]:
    return [*p, *[Fraction(0)] * (degree + 1 - len(p))]


def _outer(
    a: Sequence[Fraction], b: Sequence[Fraction], c: Sequence[Fraction], d: Sequence[Fraction]
) -> tuple[tuple[Fraction, ...], ...]:
    """`a b^T - c d^T`."""
    return tuple(tuple(x * y - v * w for y, w in zip(b, d, strict=True)) for x, v in zip(a, c, strict=True))


def _interpolated(rows: Sequence[Sequence[Fraction]], degree: int) -> tuple[tuple[Fraction, ...], ...]:
    """The determinant as a polynomial in z and w = conj(z), from its values at whole numbers."""
    points = [Fraction((-1) ** i * ((i + 1) // 2)) for i in range(degree + 1)]
    at = [[exactly(tuple(p), x) for p in rows] for x in points]
    values = [[_determinant(_schur_cohn(a, b)) for b in at] for a in at]
    inverse = _vandermonde_inverse(points)
    half = _product(inverse, values)
    return tuple(map(tuple, _product(half, [list(c) for c in zip(*inverse, strict=True)])))


def _schur_cohn(a: list[Fraction], b: list[Fraction]) -> list[list[Fraction]]:
    """The matrix of Schur and Cohn, its conjugate factors from b."""
    k = len(a) - 1
    top_a, top_b = a[::-1], b[::-1]
    return [
        [
            sum((top_a[i - m] * top_b[j - m] - b[i - m] * a[j - m] for m in range(min(i, j) + 1)), Fraction(0))
            for j in range(k)
        ]
        for i in range(k)
    ]


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    m, out = [list(r) for r in rows], Fraction(1)
    for i in range(len(m)):
        pivot = next((r for r in range(i, len(m)) if m[r][i]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != i:
            m[i], m[pivot], out = m[pivot], m[i], -out
        out *= m[i][i]
        for r in range(i + 1, len(m)):
            if m[r][i]:
                f = m[r][i] / m[i][i]
                m[r] = [x - f * y for x, y in zip(m[r], m[i], strict=True)]
    return out


def _vandermonde_inverse(points: list[Fraction]) -> list[list[Fraction]]:
    """Row m: what the values at the points are weighted with in the coefficient of x^m."""
    n = len(points)
    columns = []
    for i, x in enumerate(points):
        basis, scale = [Fraction(1)], Fraction(1)
        for j, y in enumerate(points):
            if j != i:
                basis = [
                    (basis[m - 1] if m else Fraction(0)) - y * (basis[m] if m < len(basis) else Fraction(0))
                    for m in range(len(basis) + 1)
                ]
                scale *= x - y
        columns.append([c / scale for c in basis])
    return [[columns[i][m] for i in range(n)] for m in range(n)]


def _product(a: list[list[Fraction]], b: list[list[Fraction]]) -> list[list[Fraction]]:
    columns = list(zip(*b, strict=True))
    return [[sum((x * y for x, y in zip(r, c, strict=True)), Fraction(0)) for c in columns] for r in a]


def circle_test(rows: Sequence[Polynomial], z: tuple[Fraction, Fraction], level: Fraction) -> int:
    """Whether a multiplier at z lies outside the circle (1), all inside (-1), or all inside or on it (0): exactly.

    Args:
        rows: coefficients of zeta^0, ..., zeta^k, polynomials in z.
        z: real and imaginary part.
        level: modulus of the circle.

    Source: Schur 1918; Cohn 1922; Marden, Geometry of Polynomials, section 43.

    Example:
        >>> one = Fraction(1)
        >>> [circle_test([(-one, -one), (one,)], (Fraction(t), Fraction(0)), one) for t in (-1, -2, -3)]
        [-1, 0, 1]
    """
    p = [_at(c, z, level**j) for j, c in enumerate(rows)]
    scale = lcm(*(x.denominator for pair in p for x in pair))
    c: list[Gaussian] = [(int(a * scale), int(b * scale)) for a, b in p]
    if len(c) > 1 and c[-1] == (0, 0):  # a multiplier at infinity
        return 1
    on_circle = False
    while len(c) > 1:
        first, last = c[0], c[-1]
        gap = _squared(last) - _squared(first)
        if gap < 0:
            return 1
        reduced = [
            _minus(_times((last[0], -last[1]), x), _times(first, (y[0], -y[1])))
            for x, y in zip(c, c[::-1], strict=True)
        ][1:]
        if gap == 0:
            if any(x != (0, 0) for x in reduced):
                return 1  # the product of the roots has modulus 1, but they are not mirrored in the circle
            on_circle = True
            c = [(k * a, k * b) for k, (a, b) in enumerate(c)][1:]  # Cohn: all on the circle iff those of p' are inside
            continue
        c = reduced
    return 0 if on_circle else -1


def _at(p: Polynomial, z: tuple[Fraction, Fraction], factor: Fraction) -> tuple[Fraction, Fraction]:
    x, y = Fraction(0), Fraction(0)
    for c in reversed(p):
        x, y = x * z[0] - y * z[1] + c, x * z[1] + y * z[0]
    return x * factor, y * factor


def _squared(x: Gaussian) -> int:
    return x[0] * x[0] + x[1] * x[1]


def _times(x: Gaussian, y: Gaussian) -> Gaussian:
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


def _minus(x: Gaussian, y: Gaussian) -> Gaussian:
    return x[0] - y[0], x[1] - y[1]
