"""What a method does to `y' = lambda y`, as exact polynomials: R(z), and rho and sigma."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearlyImplicit, LinearMultistep, Method, RungeKutta, get
from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, tolerance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["RationalFunction", "characteristic_polynomials", "stability_function"]

Polynomial = tuple[Fraction, ...]
"""Coefficients, constant term first."""


@dataclass(frozen=True)
class RationalFunction:
    """`P(z) / Q(z)` with exact coefficients, constant term first, in lowest terms, `Q(0) = 1`.

    Example:
        >>> R = stability_function("extragradient")
        >>> R
        RationalFunction(1 + z + z^2)
        >>> complex(R(1j))
        1j
    """

    numerator: Polynomial
    denominator: Polynomial = (Fraction(1),)
    digits: int | None = field(default=None, compare=False)
    """Decimals that the coefficients are trusted to; None: exact."""
    time_scale: Fraction = field(default=Fraction(1), compare=False)
    """The clock s: `R(z) = exp(s z) + O(z^{p+1})`."""

    def __call__(self, z: ArrayLike) -> Any:
        """Values at `z` (any shape), in complex128, infinite at a pole; coefficients are rounded once."""
        top, bottom = evaluate(self.numerator, z), evaluate(self.denominator, z)
        pole = bottom == 0
        return np.where(pole, np.inf, top / np.where(pole, 1, bottom))[()]

    def __repr__(self) -> str:
        top, bottom = written(self.numerator), written(self.denominator)
        return f"RationalFunction({top})" if bottom == "1" else f"RationalFunction(({top}) / ({bottom}))"

    @property
    def is_polynomial(self) -> bool:
        """Whether the denominator is constant: explicit methods."""
        return len(self.denominator) == 1

    def linear_order(self) -> int:
        """Largest p with `R(z) = exp(s z) + O(z^{p+1})`, s the clock; to the digits of inexact coefficients."""
        term, exp_Q = Fraction(1), list[Fraction]()
        n = len(self.numerator) + len(self.denominator)
        taylor = []
        for k in range(n + 1):
            taylor.append(term)
            term *= self.time_scale / (k + 1)
        for k in range(n + 1):
            exp_Q.append(sum((q * taylor[k - j] for j, q in enumerate(self.denominator[: k + 1])), Fraction(0)))
        for k, value in enumerate(exp_Q):
            if abs(value - (self.numerator[k] if k < len(self.numerator) else 0)) > tolerance_of(self.digits):
                return k - 1
        return n


@lru_cache(maxsize=512)
def _stability_function(method: RungeKutta | LinearlyImplicit) -> RationalFunction:
    table, scale = method.A, getattr(method, "time_scale", Fraction(1))
    if isinstance(method, LinearlyImplicit):
        table = tuple(tuple(a + g for a, g in zip(r, s, strict=True)) for r, s in zip(table, method.gamma, strict=True))
    if method.explicit:
        return RationalFunction(_snapped(_moments(table, method.b), method), digits=method.digits, time_scale=scale)
    moved = [[a - w for a, w in zip(r, method.b, strict=True)] for r in table]
    top, bottom = _reversed_characteristic(moved), _reversed_characteristic([list(r) for r in table])
    if method.digits is None:
        common = gcd(top, bottom)
        top, bottom = _quotient(top, common), _quotient(bottom, common)
    top, bottom = (trimmed(_rounded(x / bottom[0], method.digits) for x in p) for p in (top, bottom))
    return RationalFunction(top, bottom, method.digits, scale)


def _moments(A: Sequence[Sequence[Fraction]], b: Sequence[Fraction]) -> Polynomial:
    """`1 + sum_k z^k b^T A^(k-1) 1`: the stability function of an explicit method."""
    out, phi = [Fraction(1)], [Fraction(1)] * len(b)
    for _ in b:
        out.append(sum((w * x for w, x in zip(b, phi, strict=True)), Fraction(0)))
        phi = [sum((a * x for a, x in zip(r, phi, strict=True) if a), Fraction(0)) for r in A]
    return trimmed(out)


def _snapped(p: Polynomial, method: RungeKutta | LinearlyImplicit) -> Polynomial:
    """Leading coefficients that are those of exp, to the digits of inexact data, made so: near 0 they cancel."""
    tolerance, scale = tolerance_of(method.digits), getattr(method, "time_scale", Fraction(1))
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


def stability_function(method: str | Method) -> RationalFunction:
    """R(z) of a one-step method: `R(z) = det(I - zA + z 1 b^T) / det(I - zA)`.

    For a linearly implicit method with W = J, A is the sum of its two tables.

    Args:
        method: a Runge-Kutta or Rosenbrock method, or its name.

    Raises:
        ArgumentError: for a method of another family, which has no rational R(z).

    Source: Hairer, Wanner, Solving ODEs II, IV.3, proposition 3.2; IV.7, eq. (7.14).

    Example:
        >>> stability_function("rk4")
        RationalFunction(1 + z + 1/2 z^2 + 1/6 z^3 + 1/24 z^4)
        >>> stability_function("gauss4")
        RationalFunction((1 + 1/2 z + 1/12 z^2) / (1 - 1/2 z + 1/12 z^2))
    """
    method = get(method)
    if isinstance(method, RungeKutta) or (isinstance(method, LinearlyImplicit) and method.part == "full"):
        return _stability_function(method)
    remedy = "multistep methods have characteristic_polynomials, partitioned ones a step_matrix"
    raise ArgumentError("method", "a Runge-Kutta or Rosenbrock method", method, remedy)


def characteristic_polynomials(method: str | Method) -> tuple[Polynomial, Polynomial]:
    """The polynomials rho and sigma of a multistep method, constant term first.

    The roots of the method at z solve `rho - z sigma = 0`.

    Source: Hairer, Norsett, Wanner I, III.2, eq. (2.5).

    Raises:
        ArgumentError: for a method of another family.

    Example:
        >>> rho, sigma = characteristic_polynomials("ab2")
        >>> written(rho, "zeta"), written(sigma, "zeta")
        ('-zeta + zeta^2', '-1/2 + 3/2 zeta')
    """
    method = get(method)
    if not isinstance(method, LinearMultistep) or method.coupling is not None:
        raise ArgumentError("method", "a linear multistep method", method)
    return method.alpha, method.beta


def evaluate(coefficients: Polynomial, z: ArrayLike) -> NDArray[np.complex128]:
    """Horner's rule in complex128."""
    at = np.asarray(z, dtype=np.complex128)
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
