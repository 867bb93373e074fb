"""Multistep methods on `y' = lambda y` as exact recurrences, and Lookahead over them as exact rational functions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Union

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Lookahead, Partitioned, PredictorCorrector
from gamedyn.stability.polynomial import (
    Polynomial,
    RationalFunction,
    added,
    evaluate,
    multiplied,
    stability_function,
    trimmed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Multistep", "Recurrence", "dominant_root", "lookahead_function", "principal_root_sign", "recurrence"]

Multistep = Union[LinearMultistep, PredictorCorrector]

ONE: Polynomial = (Fraction(1),)
Z: Polynomial = (Fraction(0), Fraction(1))


@dataclass(frozen=True)
class Recurrence:
    """`y_{n+k} = sum_{j<k} tops[j](z) / bottom(z) y_{n+k-1-j}`: newest first.

    Its characteristic polynomial is `bottom(z) zeta^k - sum_j tops[j](z) zeta^(k-1-j)`.
    """

    tops: tuple[Polynomial, ...]
    bottom: Polynomial

    @property
    def steps(self) -> int:
        """K."""
        return len(self.tops)

    def row(self, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The coefficients at z, newest first, (..., k); infinite at a pole."""
        bottom = evaluate(self.bottom, z)
        pole = bottom == 0
        tops = np.stack([evaluate(p, z) for p in self.tops], -1)
        return np.where(pole[..., None], np.inf, tops / np.where(pole, 1, bottom)[..., None])


@lru_cache(maxsize=256)
def recurrence(method: Multistep) -> Recurrence:
    """The recurrence of a multistep or predictor-corrector method, once started."""
    if isinstance(method, LinearMultistep):
        k = method.steps
        tops = [trimmed((-method.alpha[j], method.beta[j])) for j in range(k - 1, -1, -1)]
        return Recurrence(tuple(tops), trimmed((Fraction(1), -method.beta[k])))
    k = method.steps
    predicted = _explicit_part(method.predictor, k)
    old = _explicit_part(method.corrector, k)
    newest = multiplied(Z, (method.corrector.beta[-1],))
    current = predicted
    for _ in range(method.corrections):
        current = [added(a, multiplied(newest, b)) for a, b in zip(old, current, strict=True)]
    return Recurrence(tuple(trimmed(p) for p in current), ONE)


def _explicit_part(method: LinearMultistep, steps: int) -> list[Polynomial]:
    """Coefficients of the k known values, newest first, padded to `steps`."""
    k = method.steps
    out: list[Polynomial] = [(-method.alpha[j], method.beta[j]) for j in range(k - 1, -1, -1)]
    return out + [(Fraction(0),)] * (steps - k)


def dominant_root(method: Multistep, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The root of largest modulus of the characteristic polynomial at each z; infinite at a pole."""
    at = np.asarray(z, dtype=np.complex128)
    row = recurrence(method).row(at)
    pole = np.asarray(~np.isfinite(row).all(-1))
    k = row.shape[-1]
    companion = np.zeros((*at.shape, k, k), dtype=np.complex128)
    companion[..., 0, :] = np.where(pole[..., None], 0, row)
    companion[..., np.arange(1, k), np.arange(k - 1)] = 1
    roots = np.linalg.eigvals(companion)
    largest = np.take_along_axis(roots, np.abs(roots).argmax(-1)[..., None], -1)[..., 0]
    return np.where(pole, np.inf, largest).astype(np.complex128)


def principal_root_sign(method: Multistep) -> int:
    """Whether the principal root grows (1) or decays (-1) at z = i y, y = 0+; 0 where no term of its series tells.

    `zeta(z) = sum c_m z^m` solves the characteristic equation exactly; `|zeta(iy)|^2 = zeta(iy) zeta(-iy)`.
    """
    r, terms = recurrence(method), 2 * (method.order // 2 + 2) + 1
    c = [Fraction(1)]
    for m in range(1, terms):
        rest = _residual(r, [*c, Fraction(0)], m)
        probe = _residual(r, [*c, Fraction(1)], m)
        if probe == rest:  # a double root at z = 0
            return 0
        c.append(-rest / (probe - rest))
    for m in range(2, terms, 2):
        value = sum((c[i] * c[m - i] * (-1) ** (m - i) for i in range(m + 1)), Fraction(0)) * (-1) ** (m // 2)
        if value:
            return 1 if value > 0 else -1
    return 0


def _residual(r: Recurrence, zeta: list[Fraction], m: int) -> Fraction:
    """Coefficient of z^m in the characteristic polynomial at the series zeta."""
    power: Polynomial = ONE
    total: Polynomial = (Fraction(0),)
    for j in range(r.steps - 1, -1, -1):  # tops[j] goes with zeta^(k-1-j)
        total = added(total, tuple(-x for x in multiplied(r.tops[j], power)))
        power = multiplied(power, tuple(zeta))[: m + 1]
    total = added(total, multiplied(r.bottom, power))
    return total[m] if m < len(total) else Fraction(0)


@lru_cache(maxsize=64)
def lookahead_function(method: Lookahead) -> RationalFunction:
    """R(z) of Lookahead over a multistep method: `1 - alpha + alpha y_k(z)`, z = h lambda of an inner step."""
    inner = method.inner
    if isinstance(inner, Partitioned):
        raise ArgumentError("method", "Lookahead over a multistep method", method)
    first, values, slopes, bottom = _started(inner, method.k)
    scale = recurrence(inner).bottom
    while len(values) <= first + method.k:
        newest = _next_value(inner, values, slopes)
        values = [*(multiplied(v, scale) for v in values), newest]
        slopes = [*(multiplied(v, scale) for v in slopes), multiplied(Z, newest)]
        bottom = multiplied(bottom, scale)
    reached = multiplied((method.alpha,), values[first + method.k])
    top = added(multiplied((1 - method.alpha,), bottom), reached)
    over, under = (trimmed(x / bottom[0] for x in p) for p in (top, bottom))
    return RationalFunction(over, under, method.digits, method.time_scale)


def _started(method: Multistep, k: int) -> tuple[int, list[Polynomial], list[Polynomial], Polynomial]:
    """Where y_0 stands, values and slopes (z y) that the starting rule makes, oldest first, their denominator."""
    if isinstance(method.start, str):  # at rest: y_{-j} = y_0, v_{-j} = 0
        back = method.steps - 1
        return back, [ONE] * (back + 1), [(Fraction(0),)] * back + [Z], ONE
    R, values, bottom = stability_function(method.start), [ONE], ONE
    top, under = (tuple(x * method.time_scale**i for i, x in enumerate(p)) for p in (R.numerator, R.denominator))
    for _ in range(min(method.steps - 1, k)):
        newest = multiplied(values[-1], top)
        values = [*(multiplied(v, under) for v in values), newest]
        bottom = multiplied(bottom, under)
    return 0, values, [multiplied(Z, v) for v in values], bottom


def _next_value(method: Multistep, values: list[Polynomial], slopes: list[Polynomial]) -> Polynomial:
    """Numerator of the next value over the denominator so far times the recurrence's."""
    if isinstance(method, LinearMultistep):
        return _known_part(method, values, slopes)
    newest = _known_part(method.predictor, values, slopes)
    old = _known_part(method.corrector, values, slopes)
    for _ in range(method.corrections):
        newest = added(old, multiplied((Fraction(0), method.corrector.beta[-1]), newest))
    return newest


def _known_part(method: LinearMultistep, values: list[Polynomial], slopes: list[Polynomial]) -> Polynomial:
    total: Polynomial = (Fraction(0),)
    for a, b, v, f in zip(method.alpha[-2::-1], method.beta[-2::-1], values[::-1], slopes[::-1], strict=False):
        total = added(total, added(multiplied((-a,), v), multiplied((b,), f)))
    return total
