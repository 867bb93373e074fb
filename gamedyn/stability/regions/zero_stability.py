"""Zero-stability: whether errors stay bounded as the step goes to 0."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods import Method, get
from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols.root_location import root_condition, schur

if TYPE_CHECKING:
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["strongly_stable", "zero_stable"]

SMALLEST = 2e-15
"""Uncertainty of a coefficient as the eigenvalue solver sees it, however many digits it has."""


def zero_stable(method: str | Method) -> bool:
    """Whether the roots of rho lie in the closed unit disc, those on its boundary simple.

    `rho(zeta) = sum_j alpha_j zeta^j`. A one-step method is always zero-stable; of a predictor-corrector method the
    corrector's rho decides. Exact coefficients are decided exactly; others to the digits they are trusted to, a
    root on the circle that these digits cannot tell from a double one counted as double.

    Args:
        method: a method whose coefficients gamedyn holds, or its name.

    Raises:
        ArgumentError: for a discrete map or a method of another library.

    Source: Dahlquist 1956; Hairer, Norsett, Wanner I, III.3, definition 3.2; predictor-corrector: III.8.

    Example:
        >>> from gamedyn.methods import LinearMultistep
        >>> zero_stable("bdf6"), zero_stable(LinearMultistep(alpha=[-5, 4, 1], beta=[2, 4, 0]))
        (True, False)
    """
    rho, digits = _rho(get(method))
    if digits is None:
        return root_condition(rho)
    tolerance = max(float(tolerance_of(digits)), SMALLEST)
    rest = _without_one(rho)
    size = sum(abs(float(x)) for x in rest)
    if abs(float(sum(rest))) <= len(rest) * tolerance * size:
        return False
    return _within(rest, tolerance * size)


def strongly_stable(method: str | Method) -> bool:
    """Whether 1 is the only root of rho on the unit circle, and simple.

    Methods that are zero-stable but not strongly so (leapfrog) amplify some mode, however small the step, unless it
    is a rotation.

    Args:
        method: a method whose coefficients gamedyn holds, or its name.

    Raises:
        ArgumentError: for a discrete map or a method of another library.

    Source: Hairer, Norsett, Wanner I, III.9 (weak stability of the explicit midpoint rule).

    Example:
        >>> strongly_stable("ab2"), strongly_stable("leapfrog_multistep")
        (True, False)
    """
    rho, digits = _rho(get(method))
    rest = _without_one(rho)
    if digits is None:
        return schur(rest)
    roots = np.roots([float(x) for x in reversed(rest)])
    return zero_stable(method) and not np.any(np.abs(roots) > 1 - max(float(tolerance_of(digits)), 1e-12))


def _rho(method: Method) -> tuple[Polynomial, int | None]:
    """The polynomial that decides and the digits of its coefficients; `zeta - 1` of one-step methods."""
    if not method.has_theory:
        raise ArgumentError("method", "a method whose coefficients gamedyn holds", method.name)
    if method.formulas:
        last = method.formulas[-1]
        return last.alpha, last.digits
    return (Fraction(-1), Fraction(1)), None


def _without_one(rho: Polynomial) -> Polynomial:
    """`rho(zeta) / (zeta - 1)`: consistency makes 1 a root."""
    return tuple(reversed(list(accumulate(reversed(rho)))[:-1]))


def _within(p: Polynomial, error: float) -> bool:
    """The root condition to an absolute uncertainty of the values of p on the unit circle."""
    c = np.array([float(x) for x in reversed(p)])
    roots = np.roots(c)
    slope, curvature = np.abs(np.polyval(np.polyder(c), roots)), np.abs(np.polyval(np.polyder(c, 2), roots))
    near = 4 * np.sqrt(error * np.maximum(curvature, np.abs(c).sum()))  # slopes that a double root may show
    double = slope <= near
    shift = np.where(double, np.sqrt(error), error / np.where(double, 1.0, slope))
    size = np.abs(roots)
    return not np.any(size > 1 + 4 * shift) and not np.any(double & (size > 1 - 4 * shift))
