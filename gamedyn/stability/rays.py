"""The steps at which a single mode decays: intervals along a ray, from its boundary crossings.

Along `z = r u`, |u| = 1, a method's amplification crosses 1 (or 1 + tolerance) only at the roots of a
polynomial. Between roots one sample decides. Nothing is bisected, so no interval is missed.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import ExponentialRosenbrock, LinearMultistep, Method, PredictorCorrector, RungeKutta
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.amplification import rational_function
from gamedyn.stability.eigenvalues import needs_blocks
from gamedyn.stability.polynomial import RationalFunction, derivative, evaluate, exactly
from gamedyn.stability.recurrence import dominant_root, principal_root_sign, recurrence
from gamedyn.stability.root_location import positive_roots
from gamedyn.stability.squarefree import boundary_polynomial, odd_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Interval", "ray_intervals", "scan_end"]

Interval = tuple[float, float]

CANCELLED = 256 * np.finfo(float).eps
"""Share of the sum of its terms below which a coefficient is rounding and taken as zero."""

ROOT_NOISE = 2e-14
"""A root modulus this close to the boundary says nothing."""


def ray_intervals(method: Method, direction: complex, tolerance: float = 0.0) -> list[Interval]:
    """Sorted, disjoint intervals of r in which the mode `z = r direction` does not grow.

    A point at which the boundary is touched from inside does not split an interval.

    Args:
        method: a method whose modes decouple: no blocks needed.
        direction: of modulus 1.
        tolerance: growth up to `1 + tolerance` a step counts as none.

    Raises:
        ArgumentError: for a partitioned method, or another whose modes do not decouple.

    Example:
        >>> from gamedyn.methods import get
        >>> ray_intervals(get("euler"), -1.0)
        [(0.0, 2.0)]
    """
    if needs_blocks(method):
        raise ArgumentError("method", "a method whose modes decouple", method)
    level, start = 1 + tolerance, 0
    if isinstance(method, ExponentialRosenbrock):  # |exp(z)|: what the flow does
        return [] if direction.real > 0 and not tolerance else [(0.0, _exponential_end(direction, level))]
    if isinstance(method, LinearMultistep):
        crossings, growth = _multistep_boundary(method, direction, level)
        start = 0 if tolerance else _start_sign(method, direction)
    elif isinstance(method, PredictorCorrector):
        start = 0 if tolerance else _first_sign(method, direction)
        crossings, growth = _scanned_boundary(method, direction, level, start)
    else:
        R = rational_function(method)
        if getattr(method, "digits", None) is None and not tolerance and 0 in (direction.real, direction.imag):
            crossings, growth = _exact_boundary(R, direction)
        else:
            crossings, growth = _rational_boundary(R, direction, level)
    found = _classified(np.unique(crossings), growth, start)
    if isinstance(method, RungeKutta) and method.explicit and method.needed > LONG:
        _verify(method, direction, level, found)
    return found


LONG = 15
"""Stages above which what was found is held against the method's own stages: high powers cancel."""


def _verify(method: RungeKutta, u: complex, level: float, found: list[Interval]) -> None:
    """Refuse intervals that the method itself, stage by stage, contradicts."""
    ends = [x for pair in found for x in pair if np.isfinite(x)]
    r = np.linspace(0, 1.5 * max(ends, default=4.0), 402)[1:-1]
    A, b = np.array(method.A, dtype=float), np.array(method.b, dtype=float)
    K = np.zeros((len(b), len(r)), dtype=complex)
    for i in range(len(b)):
        K[i] = r * u * (1 + A[i, :i] @ K[:i])
    size = np.abs(1 + b @ K)
    inside = np.zeros(len(r), dtype=bool)
    for low, high in found:
        inside |= (r >= low) & (r <= high)
    wrong = (inside & (size > level + 1e-6)) | (~inside & (size < level - 1e-6))
    if wrong.any():
        raise ArgumentError(
            "method",
            "a stability polynomial whose boundary double precision resolves",
            f"{method!r}, which contradicts what was found at h lambda = {r[wrong][0] * u:.4g}",
            "use fewer stages, or measure with gamedyn.spectrum.step_radius",
        )


def _exponential_end(direction: complex, level: float) -> float:
    return float(np.log(level) / direction.real) if direction.real > 0 else float("inf")


def _first_sign(method: PredictorCorrector, u: complex) -> int:
    """The sign at r = 0+ where rho has no other root on the unit circle."""
    if u.real:
        return 1 if u.real > 0 else -1
    return principal_root_sign(method)


SCAN_POINTS = 3000
"""How finely the boundary of a predictor-corrector region is looked for along a ray, up to `scan_end`."""

NEAR = 1 / 24
"""Share of the scan near 0 in which a growth that double precision cannot see is taken for that at 0+."""


def scan_end(method: PredictorCorrector, level: float = 1.0) -> float:
    """A radius outside of which some root of a predictor-corrector method exceeds `level`.

    If none of the k roots does, the j-th coefficient of the monic characteristic polynomial is at most
    `binom(k, j) level^j` in modulus (Vieta); it is a polynomial in z, which is larger beyond its Cauchy radius.

    Example:
        >>> from gamedyn.methods import get
        >>> round(scan_end(get("pece_ab2_am3")), 12)
        2.4
    """
    r, ends = recurrence(method), []
    for j, top in enumerate(r.tops, 1):
        sizes = [abs(float(x)) for x in top]
        if len(top) > 1:
            sizes[0] += comb(r.steps, j) * level**j
            roots = np.roots([sizes[-1], *(-x for x in sizes[-2::-1])])
            ends.append(float(roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].max()))
    return min(ends)


def _scanned_boundary(
    method: PredictorCorrector, u: complex, level: float, start: int
) -> tuple[NDArray[np.float64], Callable[[float], int]]:
    """Changes of sign on an even grid, refined by Brent's method."""

    def excess(r: float) -> float:
        return abs(complex(dominant_root(method, np.asarray(r * u)))) - level

    end = 1.0123456789 * scan_end(method, level)  # an odd number: limits are often round ones
    grid = np.linspace(0, end, SCAN_POINTS + 1)[1:]
    values = np.abs(dominant_root(method, (grid * u).astype(np.complex128))) - level
    noise = (np.abs(values) <= 1e-12) & (grid < NEAR * end)
    signs = np.where(noise, start, np.sign(values))
    found = [0.0] if start and signs[0] != start else []
    for i in np.flatnonzero(signs[1:] * signs[:-1] < 0):
        low, high = grid[i], grid[i + 1]
        if not noise[i] and not noise[i + 1]:
            found.append(float(brentq(excess, low, high, xtol=1e-15, rtol=1e-14)))
    crossings = np.array([x for x in found if x > 0])

    def growth(r: float) -> int:
        value = excess(r)
        return 0 if abs(value) <= 1e-12 else int(np.sign(value))

    return crossings, growth


def _classified(crossings: NDArray[np.float64], growth: Callable[[float], int], start: int) -> list[Interval]:
    """Join the gaps between crossings in which nothing grows.

    Near 0 rounding hides the sign of a gap: it is then `start`, the sign at 0+; where that is unknown (0),
    the next gap's.
    """
    ends = [0.0, *crossings.tolist(), np.inf]
    signs = []
    for low, high in pairwise(ends):
        inside = 0.5 * (low + high) if np.isfinite(high) else 2 * low + 1
        signs.append(growth(inside))
    for i, sign in enumerate(signs):
        if sign or not start:
            break
        signs[i] = start
    last = len(signs) - 1
    for i in range(last - 1, -1, -1):
        if signs[i] == 0 and ends[i + 1] < 1e-2:
            signs[i] = signs[i + 1]
    out: list[Interval] = []
    for (low, high), sign in zip(pairwise(ends), signs, strict=True):
        if sign <= 0 and out and out[-1][1] == low:
            out[-1] = (out[-1][0], high)
        elif sign <= 0:
            out.append((low, high))
    return out


def _exact_boundary(R: RationalFunction, u: complex) -> tuple[NDArray[np.float64], Callable[[float], int]]:
    """On an axis, from exact coefficients: crossings are the roots of odd multiplicity, touches are not seen."""
    E = boundary_polynomial(R.numerator, R.denominator, u)
    if not any(E):  # |R| = 1 along the whole axis
        return np.array([]), lambda _: 0
    odd = odd_part(E)
    c = np.array([float(x) for x in odd])
    roots = np.roots(c[::-1])
    real = roots.real[(roots.real > 1e-9) & (np.abs(roots.imag) <= 1e-7 * np.abs(roots))]
    slope = derivative(odd)

    def refined(x: Fraction) -> float:
        for _ in range(3):  # Newton steps in exact arithmetic: expanded coefficients cancel
            x = Fraction(float(x - exactly(odd, x) / exactly(slope, x)))
        return float(x)

    def growth(r: float) -> int:
        value = exactly(odd, Fraction(r))
        return (value > 0) - (value < 0)

    near = [Fraction(refined(Fraction(float(x)))) for x in real]
    return np.array([float(x) for x in positive_roots(odd, near)]), growth


def _rational_boundary(
    R: RationalFunction, direction: complex, level: float
) -> tuple[NDArray[np.float64], Callable[[float], int]]:
    """Roots and sign of `E(r) = |P(r u)|^2 - level^2 |Q(r u)|^2`."""
    top, top_size = _squared_modulus(R.numerator, direction)
    bottom, bottom_size = _squared_modulus(R.denominator, direction)
    E, size = np.zeros(max(len(top), len(bottom))), np.zeros(max(len(top), len(bottom)))
    E[: len(top)] += top
    E[: len(bottom)] -= level**2 * bottom
    size[: len(top)] += top_size
    size[: len(bottom)] += level**2 * bottom_size
    E[np.abs(E) <= CANCELLED * size] = 0.0
    nonzero = np.flatnonzero(E)
    if nonzero.size == 0:  # |R| = level along the whole ray
        return np.array([]), lambda _: 0
    inner = E[nonzero[0] : nonzero[-1] + 1]
    roots = np.roots(inner[::-1])
    near = (roots.real > 0) & (np.abs(roots.imag) <= 1e-6 * np.abs(roots))
    terms = np.arange(len(inner))

    def growth(r: float) -> int:
        parts = inner * r**terms
        value = parts.sum()
        return 0 if abs(value) <= 1e-12 * np.abs(parts).sum() else int(np.sign(value))

    return _polished(R, roots.real[near], direction, level), growth


def _polished(R: RationalFunction, r: NDArray[np.float64], u: complex, level: float) -> NDArray[np.float64]:
    """Newton steps on |P|^2 - level^2 |Q|^2, whose expanded coefficients lose digits at many stages."""
    for _ in range(3):
        value, slope = np.zeros_like(r), np.zeros_like(r)
        for p, factor in ((R.numerator, 1.0), (R.denominator, -(level**2))):
            at = evaluate(p, r * u)
            value += factor * np.abs(at) ** 2
            slope += factor * 2 * np.real(np.conj(at) * evaluate(derivative(p), r * u) * u)
        step = value / np.where(slope == 0, np.inf, slope)
        r = np.where(np.abs(step) <= 1e-5 * r, r - step, r)  # a larger one: a tangency, left as it is
    return r


def _squared_modulus(p: tuple[object, ...], u: complex) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients in r of |p(r u)|^2, and the sums of the moduli of their terms."""
    c = [float(x) for x in p]  # type: ignore[arg-type]
    cosines = [1.0, u.real]  # cos(m arg u), exact where u is +-1 or +-i
    while len(cosines) < len(c):
        cosines.append(2 * u.real * cosines[-1] - cosines[-2])
    out, size = np.zeros(2 * len(c) - 1), np.zeros(2 * len(c) - 1)
    for i, a in enumerate(c):
        for j, b in enumerate(c):
            out[i + j] += a * b * cosines[abs(i - j)]
            size[i + j] += abs(a * b)
    return out, size


def _start_sign(method: LinearMultistep, u: complex) -> int:
    """Whether the mode grows (1) or not (-1) at r = 0+, exactly; 0 where it is neutral, or rho has more unit roots.

    The boundary leaves 0 along the imaginary axis; the side it takes is the sign of
    `Re(rho(zeta) conj(sigma(zeta))) = sum_m g_m cos(m t)`, from the first of `sum_m g_m (-m^2)^j` that is not 0.
    """
    alpha, beta, k = method.alpha, method.beta, method.steps
    parasitic = np.roots(np.cumsum([float(a) for a in reversed(alpha)])[:-1])
    if np.any(np.abs(parasitic) > 1 - 1e-6):
        return 0
    if u.real:
        return 1 if u.real > 0 else -1
    g = [
        sum((alpha[j + m] * beta[j] + alpha[j] * beta[j + m] for j in range(k + 1 - m)), Fraction(0))
        for m in range(k + 1)
    ]
    g[0] /= 2
    for j in range(k + 1):
        moment = sum((x * (-m * m) ** j for m, x in enumerate(g)), Fraction(0))
        if abs(moment) > tolerance_of(method.digits):
            return -1 if moment > 0 else 1
    return 0


def _multistep_boundary(
    method: LinearMultistep, u: complex, level: float
) -> tuple[NDArray[np.float64], Callable[[float], int]]:
    """Values of r at which a root has modulus `level`: `Im(rho(zeta) / sigma(zeta) / u) = 0` on that circle.

    With `conj(zeta) = level^2 / zeta` this is a polynomial of degree 2k in zeta.
    """
    k = method.steps
    alpha, beta = (np.array([float(x) for x in c]) for c in (method.alpha, method.beta))
    powers = level ** (2 * np.arange(k + 1))
    mirrored_rho, mirrored_sigma = (alpha * powers)[::-1], (beta * powers)[::-1]
    F = np.convolve(alpha, mirrored_sigma) * np.conj(u) - np.convolve(mirrored_rho, beta) * u
    F = np.where(np.abs(F) <= CANCELLED * np.abs(F).max(), 0.0, F)
    # where roots leave the circle in pairs, zeta is a critical point of rho / sigma (leapfrog, whose F vanishes)
    steps = np.arange(k + 1)
    critical = np.convolve((alpha * steps)[1:], beta) - np.convolve(alpha, (beta * steps)[1:])
    roots = np.concatenate([np.roots(F[::-1]), np.roots(critical[::-1])])
    zeta = roots[np.abs(np.abs(roots) - level) < 1e-5 * level]
    zeta = level * zeta / np.abs(zeta)
    sigma = evaluate(method.beta, zeta)
    zeta, sigma = zeta[np.abs(sigma) > 1e-12], sigma[np.abs(sigma) > 1e-12]
    z = evaluate(method.alpha, zeta) / sigma * np.conj(u)
    on_ray = (z.real > 0) & (np.abs(z.imag) <= 1e-4 * np.abs(z))

    def growth(r: float) -> int:
        excess = abs(complex(dominant_root(method, np.asarray(r * u)))) - level
        return 0 if abs(excess) <= ROOT_NOISE else int(np.sign(excess))

    return z.real[on_ray], growth
