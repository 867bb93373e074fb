"""Numerical damping and phase error of rotations: the logarithm of the principal factor as an exact series."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols import Recurrence, symbol
from gamedyn.stability.symbols.anchored import same_each_step

if TYPE_CHECKING:
    from gamedyn.methods import Method

__all__ = ["Phase", "dispersion", "dissipation"]


class Phase(NamedTuple):
    """The leading term `coefficient * y^order` of an error on the imaginary axis.

    Attributes:
        order: exponent of y; None where the error is 0, or cannot be distinguished from it.
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
    chosen, factors = same_each_step(method), symbol(method)
    if not isinstance(factors, Recurrence):
        return Phase(None, Fraction(0))
    size = factors.steps * (max(map(len, factors.rows)) - 1)
    order = chosen.order if factors.rational is None else factors.rational.linear_order()
    exact, scale = factors.digits is None, factors.time_scale
    # the curves R(z) and 1/R(-z) meet at most 2 size times at 0 unless they are one (Bezout): then nothing is damped
    last = 2 * size + 1 if parity == 0 else 4 * size + 4
    for m, term in enumerate(factors.logarithm(), 1):
        gap = term - (scale if m == 1 else 0)
        small = 0 if exact else tolerance_of(factors.digits) * max(Fraction(1), scale) ** m
        if m % 2 == parity and m > order and abs(gap) > small:
            return Phase(m, gap * (-1) ** (m // 2))
        if m >= last and not (exact and parity):  # exact phases differ at last: exp is no algebraic function
            break
    return Phase(None, Fraction(0))
