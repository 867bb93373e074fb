"""The boundary locus: all z at which a multiplier of the step has modulus 1, and what is least along it.

Every family whose modes decouple has a characteristic polynomial `chi(zeta, z)`: `Q(z) zeta - P(z)` of one-step
methods, `rho(zeta) - z sigma(zeta)` of multistep ones. Discs and sectors that grow from where the method is stable
stay in its region until they meet a point of the locus `chi(exp(i t), z) = 0`: it is the first such point that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols import Recurrence, symbol

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gamedyn.methods import Method

__all__ = ["Locus", "Tangent", "boundary_locus"]

POINTS = 2000
"""Angles between 0 and pi, of a method whose locus is single-valued; others share them among their branches."""

NEAREST = 1e-4
"""Least angle: nearer to 0 the locus is known by its tangent."""

REFINED = 6
"""How many of the lowest valleys among the samples are followed to their ground."""


@dataclass(frozen=True)
class Tangent:
    """A multiplier on the unit circle at z = 0 (or infinity): `zeta = zeta_0 exp(slope z + curvature z^2 + ...)`.

    At infinity 1/z takes the place of z. A multiple one leaves like a root of z: its slope is infinite.
    """

    slope: complex
    curvature: complex


class Locus:
    """The boundary locus of a method, sampled, with its points for any angle of the multiplier.

    Args:
        method: a method whose modes decouple, not an exponential one.

    Attributes:
        angles: t of `zeta = exp(i t)`, from 0 to pi, increasing, (n,).
        points: z at which zeta is a multiplier, (n, d), complex; nan at infinity and for z = 0 itself.

    The polynomial is written in powers of zeta - 1, which are small where the locus passes through 0, so that small
    z have a small relative error there.

    Source: Hairer, Wanner II, V.1 (root locus curve); d > 1: the values of a multivalued function.

    Example:
        >>> from gamedyn.methods import get
        >>> locus = Locus(get("euler"))
        >>> bool(np.allclose(abs(1 + locus.points[1:]), 1))
        True
    """

    def __init__(self, method: Method) -> None:
        self._chi = _characteristic(method)
        degree = self._chi.shape[1] - 1
        n = max(400, POINTS // degree**2, POINTS // (2 * degree) if degree < 4 else 0)
        near = np.geomspace(NEAREST, np.pi / n, n // 5)
        self.angles = np.concatenate([[0.0], near[:-1], np.linspace(np.pi / n, np.pi, n)])
        coefficients = self._in_z(self.angles)
        points = _polished(coefficients, _roots(coefficients), 2)
        points[0, np.abs(points[0]) < np.abs(points[1]).min() / 2] = np.nan  # 0 itself
        self.points = points

    def _in_z(self, angles: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Coefficients of z^0, z^1, ... at each angle, (n, d + 1)."""
        less_one = 2j * np.sin(angles / 2) * np.exp(0.5j * angles)  # exp(i t) - 1 without cancellation
        return np.asarray(less_one[:, None] ** np.arange(self._chi.shape[0]) @ self._chi, dtype=np.complex128)

    def least(self, value: Callable[[NDArray[np.complex128]], NDArray[np.float64]]) -> float:
        """The least `value` on the locus; points at which it is nan do not count. inf if there is none.

        Args:
            value: a smooth function of z where it is not nan, vectorised.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            sampled = value(self.points)
        left = np.where(np.isnan(sampled), np.inf, sampled)
        best = np.inf
        for _ in range(REFINED):
            i, j = np.unravel_index(np.argmin(left), left.shape)
            if not np.isfinite(left[i, j]) or left[i, j] > best + 0.02 * abs(best):
                break
            best = min(best, float(left[i, j]), self._ground(int(i), complex(self.points[i, j]), value))
            rows = slice(max(0, int(i) - 3), int(i) + 4)
            close = np.abs(self.points[rows] - self.points[i, j]) <= 0.2 * np.abs(self.points[i, j])
            left[rows] = np.where(close, np.inf, left[rows])
        return best

    def _ground(self, i: int, start: complex, value: Callable[[NDArray[np.complex128]], NDArray[np.float64]]) -> float:
        """The least value on the branch through a sample, between the neighbouring angles."""
        t = self.angles
        low = t[i - 1] if i else -t[1]
        high = t[i + 1] if i + 1 < len(t) else 2 * t[i] - t[i - 1]

        def along(angle: float) -> float:
            z = _followed(self._in_z(np.array([angle]))[0].tolist(), start)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = float(value(np.array(z)))
            return 1e300 if np.isnan(found) else found

        found = minimize_scalar(along, bounds=(low, high), method="bounded", options={"xatol": 1e-13})
        return float(found.fun)

    def tangents(self, at_infinity: bool = False) -> tuple[Tangent, ...]:
        """The multipliers on the unit circle at z = 0, or at infinity, and how they leave it."""
        shifted = self._chi[:, ::-1] if at_infinity else self._chi
        chi = np.pad(shifted, ((0, max(0, 3 - shifted.shape[0])), (0, max(0, 3 - shifted.shape[1]))))
        rows = np.arange(len(chi))
        roots = np.roots(np.trim_zeros(chi[::-1, 0], "f")) if np.any(chi[1:, 0]) else np.array([])
        out = []
        for x in roots[np.abs(np.abs(roots + 1) - 1) < 1e-8]:
            zeta, powers = 1 + x, x**rows
            first = rows[1:] @ (chi[1:] * powers[:-1, None])
            by_zeta, by_zeta_z = first[0], first[1]
            second = (rows[2:] * rows[1:-1]) @ (chi[2:, 0] * powers[:-2])
            _, by_z, half_by_zz = powers @ chi[:, :3]
            if abs(by_zeta) <= 1e-6 * np.abs(chi).max():
                out.append(Tangent(complex(np.inf), complex(np.nan)))
                continue
            slope = -by_z / by_zeta
            bend = -(2 * half_by_zz + 2 * by_zeta_z * slope + second * slope**2) / by_zeta
            rate = slope / zeta
            out.append(Tangent(complex(rate), complex(bend / (2 * zeta) - rate**2 / 2)))
        return tuple(out)


@lru_cache(maxsize=64)
def boundary_locus(method: Method) -> Locus:
    """The locus of a method; it is kept."""
    return Locus(method)


def _characteristic(method: Method) -> NDArray[np.float64]:
    """Coefficients of `(zeta - 1)^i z^j` in the characteristic polynomial."""
    chosen = symbol(method)
    if not isinstance(chosen, Recurrence):
        raise ArgumentError("method", "a method whose multipliers are algebraic", method)
    rows = chosen.rows
    width, count, zero = max(map(len, rows)), len(rows), Fraction(0)
    padded = [(*r, *[zero] * (width - len(r))) for r in rows]
    shifted = [  # zeta^i = sum_m binom(i, m) (zeta - 1)^m
        [sum((comb(i, m) * padded[i][j] for i in range(m, count)), zero) for j in range(width)] for m in range(count)
    ]
    if abs(shifted[0][0]) <= tolerance_of(chosen.digits):
        shifted[0][0] = zero
    return np.array(shifted, dtype=float)


def _roots(coefficients: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Roots in z of many polynomials, (n, d); nan where the leading coefficient vanishes."""
    top = coefficients[:, -1:]
    lost = np.abs(top) <= 1e-13 * np.abs(coefficients).max(1, keepdims=True)
    monic = coefficients[:, :-1] / np.where(lost, 1, top)
    d = monic.shape[1]
    companion = np.zeros((len(monic), d, d), dtype=np.complex128)
    companion[:, 0, :] = -monic[:, ::-1]
    companion[:, np.arange(1, d), np.arange(d - 1)] = 1
    return np.where(lost, np.nan, np.linalg.eigvals(companion) if d > 1 else -monic)


def _polished(c: NDArray[np.complex128], z: NDArray[np.complex128], steps: int) -> NDArray[np.complex128]:
    """Newton steps on the roots z of the polynomials c; where the slope vanishes they stay."""
    for _ in range(steps):
        value, slope = np.zeros_like(z), np.zeros_like(z)
        with np.errstate(invalid="ignore", over="ignore"):  # roots at infinity
            for k in range(c.shape[1] - 1, -1, -1):
                slope = slope * z + value
                value = value * z + c[:, k : k + 1]
            step = value / np.where(slope == 0, np.inf, slope)
        z = z - np.where(np.isfinite(step), step, 0)
    return z


def _followed(coefficients: list[complex], z: complex) -> complex:
    """The root of one polynomial that Newton's method reaches from near it."""
    for _ in range(20):
        value, slope = 0j, 0j
        for c in reversed(coefficients):
            slope = slope * z + value
            value = value * z + c
        step = value / slope if slope else 0j
        z -= step
        if abs(step) <= 1e-15 * abs(z):
            break
    return z
