"""Where an exact polynomial changes sign: its factors of odd multiplicity, found without rounding.

The stability polynomials of long nested methods touch the unit circle many times; the double roots of
`|R|^2 - 1` are what floating-point root finding cannot tell from crossings.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from gamedyn.stability.symbols.polynomial import added, derivative, divided, gcd, multiplied, trimmed

if TYPE_CHECKING:
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["boundary_polynomial", "is_squarefree", "odd_part"]

ONE: Polynomial = (Fraction(1),)


def boundary_polynomial(top: Polynomial, bottom: Polynomial, direction: complex) -> Polynomial:
    """`|P(r u)|^2 - |Q(r u)|^2` in r, exactly, for u = 1, -1, i or -i.

    Example:
        >>> from gamedyn.stability import stability_function
        >>> R = stability_function("rk4")
        >>> [str(c) for c in boundary_polynomial(R.numerator, R.denominator, 1j)]
        ['0', '0', '0', '0', '0', '0', '-1/72', '0', '1/576']
    """
    negative = tuple(-x for x in _squared(bottom, direction))
    return trimmed(added(_squared(top, direction), negative))


def _squared(p: Polynomial, u: complex) -> Polynomial:
    if u.imag == 0:
        along = tuple(c * int(u.real) ** k for k, c in enumerate(p))
        return multiplied(along, along)
    signs = (1, 1, -1, -1)
    real = tuple(c * signs[k % 4] if k % 2 == 0 else Fraction(0) for k, c in enumerate(p))
    imaginary = tuple(c * signs[k % 4] if k % 2 else Fraction(0) for k, c in enumerate(p))
    return added(multiplied(real, real), multiplied(imaginary, imaginary))


def odd_part(p: Polynomial) -> Polynomial:
    """The product of p's factors of odd multiplicity, with p's sign for large arguments: p's sign where p is not 0.

    Source: Yun 1976 (square-free factorisation).

    Example:
        >>> square = multiplied((Fraction(-1), Fraction(1)), (Fraction(-1), Fraction(1)))
        >>> [str(c) for c in odd_part(multiplied(square, (Fraction(-2), Fraction(1))))]
        ['-2', '1']
    """
    sign = 1 if p[-1] > 0 else -1
    common = gcd(p, derivative(p))
    c = divided(p, common)[0]
    d = trimmed(added(divided(derivative(p), common)[0], tuple(-x for x in derivative(c))))
    out, multiplicity = ONE, 1
    while len(c) > 1:
        factor = gcd(c, d) if any(d) else tuple(x / c[-1] for x in c)
        if multiplicity % 2:
            out = multiplied(out, factor)
        c = divided(c, factor)[0]
        d = trimmed(added(divided(d, factor)[0], tuple(-x for x in derivative(c))))
        multiplicity += 1
    return tuple(sign * x for x in out)


PRIME = 2**61 - 1


def is_squarefree(p: Polynomial) -> bool:
    """Whether p has no multiple factor modulo a prime, hence none at all; False where that does not tell."""
    scale = lcm(*(c.denominator for c in p))
    a = [c.numerator * (scale // c.denominator) % PRIME for c in p]
    b = [k * c % PRIME for k, c in enumerate(a)][1:]
    if not a[-1]:
        return False
    while any(b):
        while not b[-1]:
            b.pop()
        inverse = pow(b[-1], -1, PRIME)
        while len(a) >= len(b):
            ratio, shift = a[-1] * inverse % PRIME, len(a) - len(b)
            for j, c in enumerate(b):
                a[shift + j] = (a[shift + j] - ratio * c) % PRIME
            a.pop()
        a, b = b, a
    return len(a) == 1
