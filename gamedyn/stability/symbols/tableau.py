"""The symbol of methods that are a tableau: R(z) of Runge-Kutta and Rosenbrock methods, exactly."""

from __future__ import annotations

from fractions import Fraction
from math import factorial, lcm
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, tolerance_of
from gamedyn.stability.symbols.polynomial import divided, gcd, multiplied, trimmed
from gamedyn.stability.symbols.rational_function import RationalFunction
from gamedyn.stability.symbols.recurrence import Recurrence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamedyn.methods import LinearlyImplicit, RungeKutta
    from gamedyn.stability.symbols.polynomial import Polynomial

    Table = Sequence[Sequence[Fraction]]

__all__ = ["of_rational", "of_rosenbrock", "of_runge_kutta"]


def of_runge_kutta(method: RungeKutta) -> Recurrence:
    """`R(z) = det(I - zA + z 1 b^T) / det(I - zA)`.

    Source: Hairer, Wanner II, IV.3, proposition 3.2.
    """
    return _symbol(method.A, method.b, method.explicit, method.digits, method.time_scale)


def of_rosenbrock(method: LinearlyImplicit) -> Recurrence:
    """The same with the sum of the two tables for A, where W = J.

    Source: Hairer, Wanner II, IV.7, eq. (7.14).
    """
    rows = zip(method.A, method.gamma, strict=True)
    table = tuple(tuple(a + g for a, g in zip(r, s, strict=True)) for r, s in rows)
    return _symbol(table, method.b, False, method.digits, method.time_scale)


def of_rational(R: RationalFunction) -> Recurrence:
    """Of a stability function; every coefficient of inexact ones may be off by its digits, times the degree twice."""
    errors = None
    if R.digits is not None:
        count = max(len(R.numerator), len(R.denominator))
        largest = max(abs(x) for p in (R.numerator, R.denominator) for x in p)
        errors = (tolerance_of(R.digits) * largest * count * count,) * count
    return _trusted(R, errors)


def _symbol(A: Table, b: Sequence[Fraction], explicit: bool, digits: int | None, scale: Fraction) -> Recurrence:
    if explicit:
        R = RationalFunction(_snapped(_moments(A, b), digits, scale), digits=digits, time_scale=scale)
    else:
        moved = [[a - w for a, w in zip(r, b, strict=True)] for r in A]
        top, bottom = _reversed_characteristic(moved), _reversed_characteristic([list(r) for r in A])
        if digits is None:
            common = gcd(top, bottom)
            top, bottom = divided(top, common)[0], divided(bottom, common)[0]
        top, bottom = (trimmed(_rounded(x / bottom[0], digits) for x in p) for p in (top, bottom))
        R = RationalFunction(top, bottom, digits, scale)
    errors = None
    if digits is not None:
        degree = max(len(R.numerator), len(R.denominator))
        errors = tuple(tolerance_of(digits) * Fraction(x) for x in _spread(A, b, degree))
    return _trusted(R, errors)


def _trusted(R: RationalFunction, errors: Polynomial | None) -> Recurrence:
    """P and Q to their digits: what these cannot tell from 0 at the top is dropped, what belongs to exp is exp's."""
    if errors is None:
        return Recurrence((R.numerator,), R.denominator, rational=R, time_scale=R.time_scale)
    top, bottom = _above(R.numerator, errors), _above(R.denominator, errors)
    top = _as_exp(top, bottom, R.linear_order(), R.time_scale)
    return Recurrence((top,), bottom, digits=R.digits, errors=(errors, errors), rational=R, time_scale=R.time_scale)


def _moments(A: Table, b: Sequence[Fraction]) -> Polynomial:
    """`1 + sum_k z^k b^T A^(k-1) 1`: the stability function of an explicit method."""
    scale = lcm(*(x.denominator for r in (*A, b) for x in r))  # whole numbers: long tableaus have millions of products
    rows = [[int(a * scale) for a in r[:i]] for i, r in enumerate(A)]
    weights = [int(w * scale) for w in b]
    out, phi = [Fraction(1)], [1] * len(b)
    for k in range(1, len(b) + 1):
        out.append(Fraction(sum(map(mul, weights, phi)), scale**k))
        phi = [sum(map(mul, r, phi)) for r in rows]
    return trimmed(out)


def _snapped(p: Polynomial, digits: int | None, scale: Fraction) -> Polynomial:
    """Leading coefficients that are those of exp, to the digits of inexact data, made so: near 0 they cancel."""
    tolerance = tolerance_of(digits)
    out = list(p)
    for k, c in enumerate(p):
        exact = scale**k / factorial(k)
        if abs(c - exact) > tolerance:
            break
        out[k] = exact
    return tuple(out)


def _rounded(x: Fraction, digits: int | None) -> Fraction:
    """The simple fraction that an algebraic coefficient is, to its digits; 0 for what is below them."""
    if digits is None:
        return x
    simple = x.limit_denominator(10**6 if digits >= IRRATIONAL_DIGITS else 1)
    return simple if abs(x - simple) <= tolerance_of(digits) else x


def _reversed_characteristic(M: list[list[Fraction]]) -> Polynomial:
    """det(I - zM) by Faddeev and LeVerrier, exactly."""
    n = len(M)
    out = [Fraction(1)]
    B = [[Fraction(0)] * n for _ in range(n)]
    for k in range(1, n + 1):
        for i in range(n):
            B[i][i] += out[-1]
        B = [[sum((M[i][q] * B[q][j] for q in range(n) if M[i][q]), Fraction(0)) for j in range(n)] for i in range(n)]
        out.append(-sum((B[i][i] for i in range(n)), Fraction(0)) / k)
    return trimmed(out)


def _above(p: Polynomial, errors: Polynomial) -> Polynomial:
    """Without leading coefficients that are 0 to their error."""
    n = len(p)
    while n > 1 and abs(p[n - 1]) <= errors[n - 1]:
        n -= 1
    return p[:n]


def _as_exp(top: Polynomial, bottom: Polynomial, order: int, scale: Fraction) -> Polynomial:
    """P with its coefficients up to the order those of `exp(s z) Q(z)`."""
    exp = tuple(scale**k / factorial(k) for k in range(order + 1))
    exact = multiplied(exp, bottom)[: order + 1]
    return tuple(exact[k] if k < len(exact) else c for k, c in enumerate(top))


def _spread(A: Table, b: Sequence[Fraction], count: int) -> list[float]:
    """Bounds of `sum |d c_k / d entry|` over a tableau's entries, c_k the coefficients of P or Q.

    Those of `det(I - z M)` have the derivatives `-B_{k-1}` in Faddeev's and LeVerrier's method.
    """
    table, weights = np.array(A, dtype=float), np.array(b, dtype=float)
    out = np.zeros(len(b) + 1)
    for M in (table, table - weights):
        B, c = np.eye(len(b)), 1.0
        for k in range(1, len(b) + 1):
            out[k] = max(out[k], 2 * np.abs(B).sum())  # an entry of b enters a whole column: hence 2
            MB = M @ B
            c = -np.trace(MB) / k
            B = MB + c * np.eye(len(b))
    return [float(x) for x in out[:count]]
