"""Rational functions with exact coefficients: the stability functions of one-step methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols.polynomial import evaluate, written

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["RationalFunction"]


@dataclass(frozen=True)
class RationalFunction:
    """`P(z) / Q(z)` with exact coefficients, constant term first, in lowest terms, `Q(0) = 1`.

    Example:
        >>> from gamedyn.stability import stability_function
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
