"""What a method does to `y' = lambda y`, as exact polynomials: R(z), and rho and sigma."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import LinearMultistep, Method, RungeKutta, get

if TYPE_CHECKING:
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
        """Largest p with `R(z) = exp(z) + O(z^{p+1})`."""
        term, exp_Q = Fraction(1), list[Fraction]()
        n = len(self.numerator) + len(self.denominator)
        taylor = []
        for k in range(n + 1):
            taylor.append(term)
            term /= k + 1
        for k in range(n + 1):
            exp_Q.append(sum((q * taylor[k - j] for j, q in enumerate(self.denominator[: k + 1])), Fraction(0)))
        for k, value in enumerate(exp_Q):
            if value != (self.numerator[k] if k < len(self.numerator) else 0):
                return k - 1
        return n


def stability_function(method: str | Method) -> RationalFunction:
    """R(z) of a Runge-Kutta method: `R(z) = det(I - zA + z 1 b^T) / det(I - zA)`.

    Args:
        method: a Runge-Kutta method or its name.

    Raises:
        ArgumentError: for a method of another family, which has no R(z).

    Source: Hairer, Wanner, Solving ODEs II, IV.3, proposition 3.2.

    Example:
        >>> stability_function("rk4")
        RationalFunction(1 + z + 1/2 z^2 + 1/6 z^3 + 1/24 z^4)
    """
    method = get(method)
    if not isinstance(method, RungeKutta):
        remedy = "multistep methods have characteristic_polynomials, partitioned ones a step_matrix"
        raise ArgumentError("method", "a Runge-Kutta method", method, remedy)
    moved = [[a - w for a, w in zip(r, method.b, strict=True)] for r in method.A]
    top, bottom = _reversed_characteristic(moved), _reversed_characteristic([list(r) for r in method.A])
    common = _gcd(top, bottom)
    top, bottom = _quotient(top, common), _quotient(bottom, common)
    return RationalFunction(tuple(x / bottom[0] for x in top), tuple(x / bottom[0] for x in bottom))


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
    if not isinstance(method, LinearMultistep):
        raise ArgumentError("method", "a linear multistep method", method)
    return method.alpha, method.beta


def evaluate(coefficients: Polynomial, z: ArrayLike) -> NDArray[np.complex128]:
    """Horner's rule in complex128."""
    at = np.asarray(z, dtype=np.complex128)
    out = np.zeros_like(at)
    for c in reversed(coefficients):
        out = out * at + float(c)
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
    return _trimmed(out)


def _trimmed(p: list[Fraction] | Polynomial) -> Polynomial:
    q = list(p)
    while len(q) > 1 and q[-1] == 0:
        q.pop()
    return tuple(q)


def _divided(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    rest, out = list(p), [Fraction(0)] * max(1, len(p) - len(q) + 1)
    for k in range(len(p) - len(q), -1, -1):
        out[k] = rest[k + len(q) - 1] / q[-1]
        for j, c in enumerate(q):
            rest[k + j] -= out[k] * c
    return _trimmed(out), _trimmed(rest[: max(1, len(q) - 1)])


def _quotient(p: Polynomial, q: Polynomial) -> Polynomial:
    return _divided(p, q)[0]


def _gcd(p: Polynomial, q: Polynomial) -> Polynomial:
    while any(q):
        p, q = q, (_divided(p, q)[1] if len(p) >= len(q) else p)
    return tuple(c / p[-1] for c in p)
