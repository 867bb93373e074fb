"""Where the roots of an exact polynomial lie: the unit disc, the left half-plane, an interval. Nothing is rounded."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from gamedyn.stability.symbols.polynomial import derivative, divided, exactly, gcd, trimmed
from gamedyn.stability.symbols.squarefree import is_squarefree, odd_part

if TYPE_CHECKING:
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["hurwitz", "nonnegative", "root_condition", "schur"]


def schur(p: Polynomial) -> bool:
    """Whether all roots lie in the open unit disc.

    Schur and Cohn: `p` is so iff `|p_0| < |p_n|` and `(p - (p_0/p_n) p*)/z` is, `p*(z) = z^n p(1/z)`.

    Args:
        p: real coefficients, constant term first, not all 0.

    Source: Schur 1918, J. reine angew. Math. 148; Cohn 1922.

    Example:
        >>> schur((Fraction(-1, 2), Fraction(1))), schur((Fraction(-1), Fraction(1)))
        (True, False)
    """
    p = trimmed(p)
    while len(p) > 1:
        ratio = p[0] / p[-1]
        if abs(ratio) >= 1:
            return False
        p = tuple(x - ratio * y for x, y in zip(p[1:], p[-2::-1], strict=True))
    return True


def root_condition(p: Polynomial) -> bool:
    """Whether all roots lie in the closed unit disc, those on its boundary simple.

    `g = gcd(p, p*)` holds the roots on the circle and those that are mirrored in it. By Cohn's theorem all roots of g
    are simple and on the circle iff g' has its roots inside; the other roots of p are those of p/g.

    Args:
        p: real coefficients, constant term first, not all 0.

    Source: Cohn 1922; Miller 1971, J. Inst. Maths Applics 8 (von Neumann and simple von Neumann polynomials).

    Example:
        >>> root_condition((Fraction(-1), Fraction(0), Fraction(1)))  # -1 and 1
        True
        >>> root_condition((Fraction(1), Fraction(-2), Fraction(1)))  # 1 twice
        False
    """
    p = trimmed(p)
    while len(p) > 1 and p[0] == 0:
        p = p[1:]
    shared = gcd(p, p[::-1])
    return schur(divided(p, shared)[0]) and (len(shared) == 1 or schur(derivative(shared)))


def hurwitz(p: Polynomial) -> bool:
    """Whether all roots lie in the open left half-plane.

    Args:
        p: real coefficients, constant term first, not all 0.

    Source: Routh 1877; Hairer, Norsett, Wanner I, I.13 (the Routh criterion).

    Example:
        >>> hurwitz((Fraction(2), Fraction(2), Fraction(1))), hurwitz((Fraction(1), Fraction(0), Fraction(1)))
        (True, False)
    """
    p = trimmed(p)
    p = tuple(x / p[-1] for x in p)
    upper, lower = list(p[::-1][::2]), list(p[::-1][1::2])
    while lower:
        if lower[0] <= 0:
            return False
        ratio = upper[0] / lower[0]
        padded = [*lower[1:], Fraction(0)]
        upper, lower = lower, [a - ratio * b for a, b in zip(upper[1:], padded, strict=False)]
    return upper[0] > 0


def nonnegative(p: Polynomial, low: Fraction, high: Fraction | None) -> bool:
    """Whether `p(x) >= 0` on [low, high], or on [low, inf) where high is None.

    The factors of even multiplicity are left out; Sturm's theorem counts the roots of the rest.

    Args:
        p: real coefficients, constant term first.
        low: left end.
        high: right end, or None.

    Source: Sturm 1829; Henrici, Applied and Computational Complex Analysis I, section 6.3.

    Example:
        >>> x_minus_1_squared = (Fraction(1), Fraction(-2), Fraction(1))
        >>> nonnegative(x_minus_1_squared, Fraction(0), None)
        True
        >>> nonnegative((Fraction(-1), Fraction(1)), Fraction(0), Fraction(1))
        False
    """
    p = trimmed(p)
    if not any(p):
        return True
    odd = p if is_squarefree(p) else odd_part(p)
    chain = _sturm(odd)
    count = _variations(chain, low) - _variations(chain, high)
    if high is not None and exactly(odd, high) == 0:
        count -= 1
    inside = low + 1 if high is None else (low + high) / 2
    return count == 0 and exactly(odd, inside) >= 0


def _sturm(p: Polynomial) -> list[Polynomial]:
    """Sturm's chain of p, its members scaled to a leading 1 or -1."""
    chain = [p, derivative(p)]
    while len(chain[-1]) > 1:
        rest = divided(chain[-2], chain[-1])[1]
        if not any(rest):
            break
        chain.append(tuple(-x / abs(rest[-1]) for x in rest))
    return chain


def _variations(chain: list[Polynomial], x: Fraction | None) -> int:
    """Changes of sign along the chain at x; at infinity where x is None."""
    values = [p[-1] if x is None else exactly(p, x) for p in chain]
    signs = [v > 0 for v in values if v]
    return sum(a != b for a, b in pairwise(signs))
