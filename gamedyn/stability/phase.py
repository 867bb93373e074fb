"""Numerical damping and phase error of rotations: the logarithm of the principal factor as an exact series."""

from __future__ import annotations

from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Delegated, ExponentialRosenbrock, LinearMultistep, Map, PredictorCorrector
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.amplification import rational_function
from gamedyn.stability.axis import decoupled
from gamedyn.stability.recurrence import recurrence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamedyn.methods import Method
    from gamedyn.stability.polynomial import Polynomial
    from gamedyn.stability.recurrence import Recurrence

__all__ = ["Phase", "dispersion", "dissipation", "log_root"]


class Phase(NamedTuple):
    """The leading term `coefficient * y^order` of an error on the imaginary axis.

    Attributes:
        order: exponent of y; None where the error is 0, or cannot be told from it.
        coefficient: exact, or of as many digits as the method's coefficients; 0 where the order is None.
    """

    order: int | None
    coefficient: Fraction


def dissipation(method: str | Method) -> Phase:
    """What a rotation is amplified by (coefficient above 0) or damped by (below 0) in one small step.

    The leading term of `log|R(iy)|`, y = h omega; of a multistep method that of its principal root. Exact series:
    where |R(iy)| = 1 for all y, the order is None.

    Args:
        method: a method whose modes decouple, or its name.

    Returns:
        (order, coefficient) of `coefficient * y^order`; even order.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Van der Houwen, Sommeijer 1987, SIAM J. Numer. Anal. 24; Durran, Numerical Methods for Fluid Dynamics, 2.3.

    Example:
        >>> for name in ("euler", "extragradient", "rk4", "gauss4"):
        ...     print(name, dissipation(name).order, dissipation(name).coefficient)
        euler 2 1/2
        extragradient 2 -1/2
        rk4 6 -1/144
        gauss4 None 0
    """
    return _leading(method, 0)


def dispersion(method: str | Method) -> Phase:
    """By how much a rotation is ahead (coefficient above 0) or behind (below 0) after one small step.

    The leading term of `arg R(iy) - s y`, y = h omega, s the method's clock; of a multistep method that of its
    principal root.

    Args:
        method: a method whose modes decouple, or its name.

    Returns:
        (order, coefficient) of `coefficient * y^order`; odd order; None for exponential methods.

    Raises:
        ArgumentError: for a method that needs blocks, a discrete map, or a method of another library.

    Source: Van der Houwen, Sommeijer 1987, SIAM J. Numer. Anal. 24; Durran, Numerical Methods for Fluid Dynamics, 2.3.

    Example:
        >>> dispersion("rk4"), dispersion("gauss4").coefficient
        (Phase(order=5, coefficient=Fraction(-1, 120)), Fraction(-1, 720))
    """
    return _leading(method, 1)


def _leading(method: str | Method, parity: int) -> Phase:
    """The first term of log R that is not log exp(s z)'s, even or odd."""
    chosen = decoupled(method)
    if isinstance(chosen, (ExponentialRosenbrock, Map, Delegated)):  # the last two are refused
        return Phase(None, Fraction(0))
    if isinstance(chosen, (LinearMultistep, PredictorCorrector)):
        r = recurrence(chosen)
        terms, order = log_root(r), chosen.order
        size = r.steps * (max(len(r.bottom), *map(len, r.tops)) - 1)
    else:
        R = rational_function(chosen)
        terms = (a - b for a, b in zip(_log(_padded(R.numerator)), _log(_padded(R.denominator)), strict=True))
        order, size = R.linear_order(), max(len(R.numerator), len(R.denominator)) - 1
    exact = chosen.digits is None
    scale = getattr(chosen, "time_scale", Fraction(1))
    # the curves R(z) and 1/R(-z) meet at most 2 size times at 0 unless they are one (Bezout): then nothing is damped
    last = 2 * size + 1 if parity == 0 else 4 * size + 4
    for m, term in enumerate(terms, 1):
        gap = term - (scale if m == 1 else 0)
        small = 0 if exact else tolerance_of(chosen.digits) * max(Fraction(1), scale) ** m
        if m % 2 == parity and m > order and abs(gap) > small:
            return Phase(m, gap * (-1) ** (m // 2))
        if m >= last and not (exact and parity):  # exact phases differ at last: exp is no algebraic function
            break
    return Phase(None, Fraction(0))


def _padded(p: Polynomial) -> Iterator[Fraction]:
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


def log_root(r: Recurrence) -> Iterator[Fraction]:
    """Coefficients of z, z^2, ... in `log zeta_1(z)`, the principal root of a recurrence.

    Raises:
        ArgumentError: if 1 is a double root at z = 0.

    Example:
        >>> from gamedyn.methods import get
        >>> terms = log_root(recurrence(get("ab2")))
        >>> [str(next(terms)) for _ in range(3)]
        ['1', '0', '-5/12']
    """
    return _log(_root(r))


def _root(r: Recurrence) -> Iterator[Fraction]:
    """The principal root as a series in z: `bottom zeta^k = sum_j tops[j] zeta^(k-1-j)`, `zeta(0) = 1`."""
    k = r.steps
    factors = [*(tuple(-x for x in top) for top in r.tops[::-1]), r.bottom]  # of zeta^0, ..., zeta^k
    slope = sum((j * p[0] for j, p in enumerate(factors)), Fraction(0))
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
            (c * powers[j][m - i] for j, p in enumerate(factors) for i, c in enumerate(p[: m + 1]) if c), Fraction(0)
        )
        new = -rest / slope
        for j in range(1, k + 1):
            powers[j][m] += j * new
        yield new
