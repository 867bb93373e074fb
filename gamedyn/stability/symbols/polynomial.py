"""Polynomials with exact coefficients, constant term first."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.arrays import complex_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Polynomial",
    "added",
    "derivative",
    "divided",
    "evaluate",
    "exactly",
    "gcd",
    "multiplied",
    "trimmed",
    "written",
]

Polynomial = tuple[Fraction, ...]
"""Coefficients, constant term first."""


def evaluate(coefficients: Polynomial, z: ArrayLike) -> NDArray[np.complex128]:
    """Horner's rule in complex128."""
    at = complex_array("z", z)
    out = np.zeros_like(at)
    for c in reversed(coefficients):
        out = out * at + float(c)
    return out


def exactly(coefficients: Polynomial, x: Fraction) -> Fraction:
    """Horner's rule in exact arithmetic."""
    out = Fraction(0)
    for c in reversed(coefficients):
        out = out * x + c
    return out


def derivative(coefficients: Polynomial) -> Polynomial:
    """Coefficients of the derivative."""
    return tuple(k * c for k, c in enumerate(coefficients))[1:] or (Fraction(0),)


def written(coefficients: Polynomial, variable: str = "z") -> str:
    """The polynomial as text."""
    terms = []
    for k, c in enumerate(coefficients):
        if c:
            power = "" if k == 0 else variable if k == 1 else f"{variable}^{k}"
            size = "" if abs(c) == 1 and k else str(abs(c))
            terms.append(("-" if c < 0 else "+", " ".join(filter(None, (size, power)))))
    text = " ".join(f"{sign} {term}" for sign, term in terms) or "0"
    return text.removeprefix("+ ").replace("- ", "-", 1) if text.startswith("- ") else text.removeprefix("+ ")


def added(p: Polynomial, q: Polynomial) -> Polynomial:
    """Sum."""
    n = max(len(p), len(q))
    return tuple((p[i] if i < len(p) else Fraction(0)) + (q[i] if i < len(q) else Fraction(0)) for i in range(n))


def multiplied(p: Polynomial, q: Polynomial) -> Polynomial:
    """Product."""
    out = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        if a:
            for j, b in enumerate(q):
                out[i + j] += a * b
    return tuple(out)


def trimmed(p: Iterable[Fraction]) -> Polynomial:
    """Without leading zeros."""
    q = list(p)
    while len(q) > 1 and q[-1] == 0:
        q.pop()
    return tuple(q)


def divided(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder."""
    rest, out = list(p), [Fraction(0)] * max(1, len(p) - len(q) + 1)
    for k in range(len(p) - len(q), -1, -1):
        out[k] = rest[k + len(q) - 1] / q[-1]
        for j, c in enumerate(q):
            rest[k + j] -= out[k] * c
    return trimmed(out), trimmed(rest[: max(1, len(q) - 1)])


def _quotient(p: Polynomial, q: Polynomial) -> Polynomial:
    return divided(p, q)[0]


def gcd(p: Polynomial, q: Polynomial) -> Polynomial:
    """Greatest common divisor, monic."""
    while any(q):
        p, q = q, (divided(p, q)[1] if len(p) >= len(q) else p)
    return tuple(c / p[-1] for c in p)
