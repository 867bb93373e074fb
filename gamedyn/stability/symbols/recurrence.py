"""The symbol of every method whose multipliers are roots of `chi(zeta, z)`, a polynomial in both: of all but exp."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols._symbol import Symbol
from gamedyn.stability.symbols.bernstein import never_positive
from gamedyn.stability.symbols.boundary import Boundary, circle_test
from gamedyn.stability.symbols.factored import accurately
from gamedyn.stability.symbols.polynomial import derivative, evaluate
from gamedyn.stability.symbols.real_roots import positive_roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from gamedyn.stability.symbols.polynomial import Polynomial
    from gamedyn.stability.symbols.rational_function import RationalFunction

    Complex = NDArray[np.complex128]

__all__ = ["Recurrence", "at_matrix"]

SURE = 1e-6
"""Distance of the largest computed multiplier from the circle beyond which its side needs no exact arithmetic."""

SHORT = 40
"""Coefficients up to which a double is tried first: the roots of long polynomials cost more than one exact value."""


class Recurrence(Symbol):
    """`bottom(z) y_{n+k} = sum_{j<k} tops[j](z) y_{n+k-1-j}`: newest first. For k = 1, `R = tops[0] / bottom`.

    Args:
        tops: numerators of the coefficients, newest first.
        bottom: their common denominator.
        digits: decimals that the coefficients are trusted to; None: exact.
        errors: bounds of the errors of the rows of `chi`, see `rows`; None: exact.
        time_scale: the method's clock.
        rational: R(z) as it is shown.
        linear: rho and sigma, of a linear multistep method.
    """

    def __init__(
        self,
        tops: Sequence[Polynomial],
        bottom: Polynomial,
        *,
        digits: int | None = None,
        errors: Sequence[Polynomial] | None = None,
        time_scale: Fraction = Fraction(1),
        rational: RationalFunction | None = None,
        linear: tuple[Polynomial, Polynomial] | None = None,
    ) -> None:
        self.tops, self.bottom = tuple(tops), bottom
        self.digits, self.errors, self.time_scale = digits, errors, time_scale
        self.rational, self.linear = rational, linear

    @property
    def steps(self) -> int:
        """How many past values enter, k."""
        return len(self.tops)

    @cached_property
    def rows(self) -> tuple[Polynomial, ...]:
        """Coefficients of zeta^0, ..., zeta^k in chi, polynomials in z."""
        return (*(tuple(-x for x in p) for p in reversed(self.tops)), self.bottom)

    def row(self, z: ArrayLike) -> Complex:
        """The coefficients at z, newest first, (..., k); infinite at a pole."""
        bottom = accurately(self.bottom, z)
        pole = np.asarray(bottom == 0)
        tops = np.stack([accurately(p, z) for p in self.tops], -1)
        return np.where(pole[..., None], np.inf, tops / np.where(pole, 1, bottom)[..., None])

    def multipliers(self, z: ArrayLike) -> Complex:
        """See `Symbol.multipliers`."""
        row = self.row(z)
        k = row.shape[-1]
        if k == 1:
            return row
        pole = np.asarray(~np.isfinite(row).all(-1))
        companion = np.zeros((*row.shape[:-1], k, k), dtype=np.complex128)
        companion[..., 0, :] = np.where(pole[..., None], 0, row)
        companion[..., np.arange(1, k), np.arange(k - 1)] = 1
        return np.where(pole[..., None], np.inf, np.linalg.eigvals(companion))

    def factor(self, z: ArrayLike) -> Complex:
        """See `Symbol.factor`."""
        found = self.multipliers(z)
        return np.take_along_axis(found, np.abs(found).argmax(-1)[..., None], -1)[..., 0]

    def contains(self, z: Complex) -> NDArray[np.bool_]:
        """See `Symbol.contains`; for several steps by the criterion of Schur and Cohn, which needs no roots."""
        return roots_in_disc(np.stack([accurately(p, z) for p in self.rows[::-1]]))

    def slope(self, z: complex) -> float:
        """See `Symbol.slope`: by differentiating chi."""
        zeta = complex(self.factor(z))
        at = [complex(evaluate(p, z)) for p in self.rows]
        by_zeta = sum((k * c * zeta ** (k - 1) for k, c in enumerate(at) if k), 0j)
        by_z = sum((complex(evaluate(derivative(p), z)) * zeta**k for k, p in enumerate(self.rows)), 0j)
        if abs(by_zeta) <= 1e-6 * sum(abs(c) * max(k, 1) for k, c in enumerate(at)) and self.steps > 1:
            return float("inf")
        return (-z * by_z / (by_zeta * zeta)).real

    @lru_cache(maxsize=8)  # noqa: B019  (symbols are kept as long as their methods)
    def boundary(self, level: Fraction) -> Boundary:
        """Where a multiplier can cross `|zeta| = level`."""
        return Boundary.of(self.rows, level, self.errors)

    def crossings(self, u: complex, level: float) -> list[float]:
        """See `Symbol.crossings`: the roots of one exact polynomial; none is missed."""
        D = self.boundary(Fraction(level)).along(u)
        return positive_roots(D) if any(D) else self._meetings(u, level)

    def _meetings(self, u: complex, level: float) -> list[float]:
        """Where multipliers leave the circle in pairs, on a ray along which D is 0: leapfrog's on the imaginary axis.

        They meet there: zeta is a critical point of rho / sigma.
        """
        if self.linear is None:
            return []
        alpha, beta = (np.array([float(x) for x in c]) for c in self.linear)
        k = np.arange(len(alpha))
        critical = np.convolve((alpha * k)[1:], beta) - np.convolve(alpha, (beta * k)[1:])
        zeta = np.roots(critical[::-1])
        zeta = zeta[np.abs(np.abs(zeta) - level) < 1e-5 * level]
        z = np.polyval(alpha[::-1], zeta) / np.polyval(beta[::-1], zeta) * np.conj(u)
        return sorted(z.real[(z.real > 0) & (np.abs(z.imag) <= 1e-6 * np.abs(z))].tolist())

    def sign(self, r: float, u: complex, level: float) -> int:
        """See `Symbol.sign`."""
        if max(map(len, self.rows)) <= SHORT:
            excess = float(np.abs(self.factor(r * u))) - level
            if abs(excess) > SURE * level and np.isfinite(excess):
                return 1 if excess > 0 else -1
        at = Fraction(r) * Fraction(u.real), Fraction(r) * Fraction(u.imag)
        return circle_test(self.rows, at, Fraction(level))

    def decays(self, modes: Complex, low: float, high: float) -> NDArray[np.bool_]:
        """See `Symbol.decays`: D / r > 0 on the whole interval, and all multipliers are inside somewhere in it."""
        size = np.abs(modes)
        if not self._strong:
            return np.zeros(len(modes), dtype=bool)
        E = -self.boundary(Fraction(1)).along_all(modes / size)[:, 1:]
        with np.errstate(over="ignore", invalid="ignore"):
            unit = 1.0 if low == 0 and np.isinf(high) else size[:, None]  # all of a ray: no step sets the scale
            proved = never_positive(E * unit ** np.arange(E.shape[1]), low, high)
        if low and proved.any():
            middle = 2 * low if np.isinf(high) else (low + high) / 2
            proved[proved] = np.abs(self.factor(middle * modes[proved])) < 1
        return proved

    @cached_property
    def _strong(self) -> bool:
        """Whether at z = 0 all multipliers but 1 are well inside the circle."""
        found = self.multipliers(0.0)
        return bool(np.sort(np.abs(found))[:-1].max(initial=0.0) < 1 - 1e-6 and abs(np.abs(found).max() - 1) < 1e-9)

    def matrix(self, Z: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Symbol.matrix`."""
        top = np.hstack([at_matrix(p, Z) for p in self.tops])
        if len(self.bottom) > 1:
            top = np.linalg.solve(at_matrix(self.bottom, Z), top).astype(np.float64)
        out = np.eye(self.steps * len(Z), k=-len(Z))
        out[: len(Z)] = top
        return out

    def logarithm(self) -> Iterator[Fraction]:
        """See `Symbol.logarithm`.

        Raises:
            ArgumentError: if 1 is a double root at z = 0.
        """
        if self.steps > 1:
            return _log(_principal(self.rows))
        pairs = zip(_log(_endless(self.tops[0])), _log(_endless(self.bottom)), strict=True)
        return (a - b for a, b in pairs)

    def at_infinity(self) -> float:
        """See `Symbol.at_infinity`: the largest root of the leading coefficients."""
        small = tolerance_of(self.digits)
        degree = max(len(p) for p in self.rows) - 1
        lead = [p[degree] if len(p) > degree and abs(p[degree]) > small else Fraction(0) for p in self.rows]
        if not lead[-1]:
            return float("inf")
        return float(np.abs(np.roots([float(x) for x in reversed(lead)])).max(initial=0.0))

    def plain(self) -> dict[str, Any]:
        """See `Symbol.plain`."""
        if self.steps == 1:
            return {"kind": "rational", "numerator": _floats(self.tops[0]), "denominator": _floats(self.bottom)}
        others = np.sort(np.abs(self.multipliers(0.0)))[:-1]
        return {
            "kind": "recurrence",
            "tops": [_floats(p) for p in self.tops],
            "bottom": _floats(self.bottom),
            "parasitic": bool(np.any(others > 1 - 1e-6)),
        }


def roots_in_disc(p: Complex) -> NDArray[np.bool_]:
    """Whether all roots of `p[0] zeta^k + ... + p[k]` are in the closed disc, (points,).

    `p -> (conj(p_0) p - p_k p*) / zeta`, p* the reversed conjugate, keeps the number of roots in the disc where
    `|p_0| > |p_k|`, and some root is outside where `|p_0| < |p_k|`.

    Args:
        p: coefficients, leading one first, (k + 1, points).

    Source: Schur 1918; Cohn 1922; Henrici, Applied and Computational Complex Analysis I, theorem 6.8b.
    """
    inside = np.ones(p.shape[1], dtype=bool)
    while len(p) > 1:
        inside &= _squared(p[0]) >= _squared(p[-1])
        if len(p) == 2:
            break
        p = np.conj(p[0]) * p[:-1] - p[-1] * np.conj(p[:0:-1])
        p /= np.maximum(np.abs(p).max(0), 1e-300)  # sizes square with every reduction
    return inside


def _squared(x: Complex) -> NDArray[np.float64]:
    return np.asarray(x.real**2 + x.imag**2)


def _floats(p: Polynomial) -> list[float]:
    return [float(x) for x in p]


def at_matrix(p: Polynomial, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    """p(Z), by Horner's rule."""
    eye = np.eye(len(Z))
    out: NDArray[np.float64] = np.zeros_like(eye)
    for c in reversed(p):
        out = out @ Z + float(c) * eye
    return out


def _endless(p: Polynomial) -> Iterator[Fraction]:
    yield from p
    while True:
        yield Fraction(0)


def _log(series: Iterator[Fraction]) -> Iterator[Fraction]:
    """Coefficients of z, z^2, ... in the logarithm of a power series that begins with 1: `f' = f (log f)'`."""
    c, logs = [next(series)], [Fraction(0)]
    for m in count(1):
        c.append(next(series))
        inner = sum((j * logs[j] * c[m - j] for j in range(1, m)), Fraction(0))
        logs.append(c[m] - inner / m)
        yield logs[m]


def _principal(rows: tuple[Polynomial, ...]) -> Iterator[Fraction]:
    """The principal root as a series in z: `sum_j rows[j](z) zeta^j = 0`, `zeta(0) = 1`."""
    k = len(rows) - 1
    slope = sum((j * p[0] for j, p in enumerate(rows)), Fraction(0))
    if not slope:
        raise ArgumentError("method", "a simple root of rho at 1", "a double one", "check alpha: it is not zero-stable")
    powers = [[Fraction(1)] for _ in range(k + 1)]  # of zeta
    yield Fraction(1)
    for m in count(1):
        powers[0].append(Fraction(0))
        for j in range(1, k + 1):  # zeta^j as if the new coefficient were 0
            old, root = powers[j - 1], powers[1]
            known = sum((old[i] * root[m - i] for i in range(1, m)), Fraction(0)) if j > 1 else Fraction(0)
            powers[j].append(known + (old[m] if j > 1 else 0))
        rest = sum(
            (c * powers[j][m - i] for j, p in enumerate(rows) for i, c in enumerate(p[: m + 1]) if c), Fraction(0)
        )
        new = -rest / slope
        for j in range(1, k + 1):
            powers[j][m] += j * new
        yield new
