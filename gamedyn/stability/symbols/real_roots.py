"""The positive roots of an exact polynomial: isolated without rounding, so that none is missed or invented.

Descartes' rule of signs on intervals: of the polynomial carried to (0, inf) by a Moebius map, no variation of signs is
no root, one variation is one root, more ask for two halves. Integers throughout.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from math import lcm
from typing import TYPE_CHECKING

from scipy.optimize import brentq

from gamedyn.stability.symbols.polynomial import derivative, divided, gcd, trimmed
from gamedyn.stability.symbols.squarefree import is_squarefree

if TYPE_CHECKING:
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["positive_roots", "sign_at"]

NEAR = 64
"""Share of itself to which a root is known before Brent's method takes over: values of one size, no underflow."""

FINEST = 48
"""Halvings of an octave after which what is left of an interval counts as one point."""


def positive_roots(p: Polynomial) -> list[float]:
    """The distinct positive roots, sorted, to rounding.

    Args:
        p: coefficients, constant term first, not all 0.

    Source: Descartes 1637; Collins, Akritas 1976, SYMSAC (bisection by the rule of signs).

    Example:
        >>> positive_roots((Fraction(-6), Fraction(11), Fraction(-6), Fraction(1)))
        [1.0, 2.0, 3.0]
        >>> positive_roots((Fraction(4), Fraction(-4), Fraction(1)))  # 2, twice
        [2.0]
    """
    p = trimmed(p)
    while len(p) > 1 and p[0] == 0:
        p = p[1:]
    if not _variations(p):
        return []
    if not is_squarefree(p):
        p = divided(p, gcd(p, derivative(p)))[0]
    c = _integers(p)
    low, high = _bounds(c)
    found, todo = [], [(Fraction(2) ** low, Fraction(2) ** high)]
    while todo:
        a, b = todo.pop()
        count = _variations(_carried(c, a, b))
        if count == 1:
            found.append(_root(c, a, b))
        elif count and b - a <= a / 2**FINEST:  # roots that are one in double precision
            found.append(float(a))
        elif count:
            middle = (a + b) / 2 if b <= 2 * a else Fraction(2) ** ((_log2(a) + _log2(b)) // 2)
            if _signed(c, middle) == 0:
                found.append(float(middle))
            todo += [(a, middle), (middle, b)]
    return sorted(set(found))


def sign_at(p: Polynomial, x: float) -> int:
    """The sign of p at a double: -1, 0 or 1, exactly.

    Example:
        >>> sign_at((Fraction(-2), Fraction(0), Fraction(1)), 2**0.5)  # the double is above the root
        1
    """
    return _signed(_integers(p), Fraction(x))


def _integers(p: Polynomial) -> list[int]:
    """A positive multiple with integer coefficients."""
    scale = lcm(*(x.denominator for x in p))
    return [x.numerator * (scale // x.denominator) for x in p]


def _signed(c: list[int], x: Fraction) -> int:
    value = _value(c, x.numerator, x.denominator)
    return (value > 0) - (value < 0)


def _value(c: list[int], top: int, bottom: int) -> int:
    """`p(top / bottom) bottom^n`."""
    out, scale = 0, 1
    for x in reversed(c):
        out = out * top + x * scale
        scale *= bottom
    return out


def _variations(c: list[int] | Polynomial) -> int:
    signs = [x > 0 for x in c if x]
    return sum(a != b for a, b in pairwise(signs))


def _carried(c: list[int], a: Fraction, b: Fraction) -> list[int]:
    """`(1 + x)^n p((a + b x) / (1 + x))`, up to a positive factor: (a, b) becomes (0, inf)."""
    scale = lcm(a.denominator, b.denominator)
    low, width = int(a * scale), int((b - a) * scale)
    n = len(c) - 1
    over = [x * scale ** (n - k) for k, x in enumerate(c)]  # of p(x / scale)
    moved = _shifted([x * low**k for k, x in enumerate(over)])  # of y, x = low (1 + y)
    stretched = [x * width**k * low ** (n - k) for k, x in enumerate(moved)]  # y = (width / low) s
    return _shifted(stretched[::-1])


def _shifted(c: list[int]) -> list[int]:
    """Coefficients of p(x + 1)."""
    out, top = [], c[::-1]
    while top:
        top = list(accumulate(top))
        out.append(top.pop())
    return out


def _bounds(c: list[int]) -> tuple[int, int]:
    """Exponents of two between which all positive roots lie (Lagrange, Fujiwara)."""

    def above(x: list[int]) -> int:
        lead, n = abs(x[-1]).bit_length() - 1, len(x) - 1
        sizes = [-(-(abs(v).bit_length() - lead) // (n - k)) for k, v in enumerate(x[:-1]) if v]
        return 1 + max(sizes)

    return -above(c[::-1]), above(c)


def _log2(x: Fraction) -> int:
    """Of a power of two."""
    return x.numerator.bit_length() - x.denominator.bit_length()


def _root(c: list[int], a: Fraction, b: Fraction) -> float:
    """The only root in (a, b), to rounding; the ends may be roots themselves."""
    slope = [k * x for k, x in enumerate(c)][1:]
    left = _signed(c, a) or _signed(slope, a)
    ends = 0, 0
    while b - a > a / 2**FINEST and (0 in ends or b - a > a / NEAR):
        middle = (a + b) / 2
        sign = _signed(c, middle)
        if sign == 0:
            return float(middle)
        a, b = (middle, b) if sign == left else (a, middle)
        ends = _signed(c, a), _signed(c, b)
    if 0 in ends:
        return float(a + b) / 2
    degree = len(c) - 1
    scale = max(abs(_value(c, x.numerator, x.denominator)) / Fraction(x.denominator) ** degree for x in (a, b))

    def relative(x: float) -> float:
        top, bottom = x.as_integer_ratio()
        return float(_value(c, top, bottom) * scale.denominator / (scale.numerator * bottom**degree))

    return float(brentq(relative, float(a), float(b), xtol=5e-324, rtol=1e-15))
