"""Coefficients as exact rationals."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Union

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "FLOAT_DIGITS",
    "IRRATIONAL_DIGITS",
    "Coefficient",
    "Declared",
    "fewest_digits",
    "float_digits",
    "irrational",
    "rational",
    "row",
    "table",
    "tolerance_of",
]

Coefficient = Union[int, float, str, Fraction]

FLOAT_DIGITS = 15
"""Decimal digits that a coefficient given as a float is trusted to."""


@dataclass(frozen=True)
class Declared:
    """What the literature says of a method; the contract suite computes it anew and compares.

    Attributes:
        order: classical order.
        real: length of the real stability interval [-real, 0] of h*lambda; may be infinite.
        imaginary: length of the imaginary stability interval [0, imaginary i] of h*lambda.
        digits: significant digits that the two lengths are given to.
    """

    order: int
    real: float
    imaginary: float
    digits: int = 11

    @classmethod
    def a_stable(cls, order: int) -> Declared:
        """Stable on both axes."""
        return cls(order, math.inf, math.inf)


def rational(argument: str, value: Coefficient) -> Fraction:
    """An exact rational from an int, a Fraction, a string ("2/3", "0.25") or a float.

    Raises:
        ArgumentError: if the value is none of these, or not finite.

    Example:
        >>> rational("b", "2/3")
        Fraction(2, 3)
    """
    remedy = 'write fractions as strings, for instance "2/3"'
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
        raise ArgumentError(argument, "a number, a Fraction or a string", value, remedy)
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(argument, "finite coefficients", value, remedy)
    try:
        return Fraction(value) if isinstance(value, (str, Fraction, int)) else Fraction(float(value))
    except (ValueError, ZeroDivisionError):
        raise ArgumentError(argument, "a number, a Fraction or a string", value, remedy) from None


def row(argument: str, values: Iterable[Coefficient]) -> tuple[Fraction, ...]:
    """A tuple of exact rationals.

    Raises:
        ArgumentError: if `values` is not a sequence of coefficients.
    """
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ArgumentError(argument, "a sequence of coefficients", values)
    return tuple(rational(argument, v) for v in values)


def table(argument: str, rows: Sequence[Iterable[Coefficient]], width: int) -> tuple[tuple[Fraction, ...], ...]:
    """A square table of exact rationals; short rows of an explicit tableau are filled with zeros.

    Raises:
        ArgumentError: if there are not `width` rows of at most `width` entries.
    """
    out = [row(argument, r) for r in rows]
    if len(out) != width or any(len(r) > width for r in out):
        shape = f"{len(out)} rows of {sorted({len(r) for r in out})} entries"
        raise ArgumentError(argument, f"{width} rows of at most {width} entries, as b has {width}", shape)
    return tuple(r + (Fraction(0),) * (width - len(r)) for r in out)


IRRATIONAL_DIGITS = 50
"""Decimals that algebraic coefficients are computed to."""


def irrational(expression: Callable[[type[Decimal]], Decimal]) -> Fraction:
    """An algebraic number to 50 decimals, of a function of the number type.

    Methods that use one say `digits=IRRATIONAL_DIGITS`.

    Example:
        >>> float(irrational(lambda D: D(2).sqrt()) ** 2)
        2.0
    """
    with localcontext() as context:
        context.prec = IRRATIONAL_DIGITS + 15
        return Fraction(expression(Decimal))


def fewest_digits(*given: int | None) -> int | None:
    """The least of several digits, None standing for exact."""
    return min((d for d in given if d is not None), default=None)


def float_digits(*sources: Iterable[Coefficient]) -> int | None:
    """Digits the coefficients are trusted to: None where all are exact, else those of a float."""
    floats = any(isinstance(v, numbers.Real) and not isinstance(v, numbers.Rational) for s in sources for v in s)
    return FLOAT_DIGITS if floats else None


def tolerance_of(digits: int | None) -> Fraction:
    """Size below which a condition on coefficients of so many digits counts as met: 0 for exact ones."""
    return Fraction(0) if digits is None else Fraction(10) ** (2 - digits)
