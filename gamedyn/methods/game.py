"""Runge-Kutta methods of game optimisation: extragradient and Lookahead families."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, rational
from gamedyn.methods._immutable import by_name
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods.explicit import EULER

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOOKAHEAD5", "double_step_extragradient", "extragradient", "lookahead"]


def extragradient(ratio: Coefficient = 1) -> RungeKutta:
    """Extragradient with another step for the extrapolation: `y+ = y + h v(y + ratio h v(y))`.

    `R(z) = 1 + z + ratio z^2`; on a rotation stable up to `sqrt(2 ratio - 1) / ratio`, largest at ratio 1,
    the member "extragradient"; ratio 1/2 is the midpoint rule.

    Args:
        ratio: extrapolation step over h; exact if given as int, Fraction or string.

    Raises:
        ArgumentError: if the ratio is not a finite number.

    Source: Korpelevich 1976; Hsieh, Iutzeler, Malick, Mertikopoulos 2020 (unequal steps).

    Example:
        >>> extragradient("1/2").order, extragradient(2).order
        (2, 1)
    """
    rational("ratio", ratio)
    return RungeKutta(
        A=[[], [ratio]],
        b=[0, 1],
        source="Korpelevich 1976; Hsieh, Iutzeler, Malick, Mertikopoulos 2020, eq. (DSEG)",
    )


def double_step_extragradient(gamma: Coefficient, eta: Coefficient) -> RungeKutta:
    """Double-step-size extragradient: extrapolate by `gamma`, update by `eta`; step it with h = eta.

    The extragradient method of ratio `gamma / eta`.

    Args:
        gamma: extrapolation step, usually the larger.
        eta: update step, positive.

    Raises:
        ArgumentError: if eta is not positive or a step is not a finite number.

    Source: Hsieh, Iutzeler, Malick, Mertikopoulos 2020, Explore aggressively, update conservatively.

    Example:
        >>> double_step_extragradient("1/10", "1/20").A[1][0]
        Fraction(2, 1)
    """
    extrapolation, update = rational("gamma", gamma), rational("eta", eta)
    if update <= 0:
        raise ArgumentError("eta", "a positive step", eta)
    inexact = float_digits((gamma, eta)) is not None
    ratio: Coefficient = extrapolation / update
    return extragradient(float(ratio) if inexact else ratio)


def lookahead(inner: RungeKutta, k: int, alpha: Coefficient) -> RungeKutta:
    """Lookahead as a tableau: k steps of `inner`, then back to `y + alpha (y_k - y)`.

    `R(z) = 1 - alpha + alpha R_inner(z)^k`. The step h is that of the inner method; the clock of the whole is
    `alpha k` times the inner one.

    Args:
        inner: the method of the fast weights.
        k: inner steps, at least 1.
        alpha: share of the way kept; exact if given as int, Fraction or string; not 0.

    Returns:
        A method of `k * inner.stages` stages, of order 1 in general.

    Raises:
        ArgumentError: if k is not a positive integer, alpha is 0, or inner is no Runge-Kutta method.

    Source: Zhang, Lucas, Hinton, Ba 2019; Chavdarova et al. 2021 (games).

    Example:
        >>> method = lookahead(EULER, 5, "1/2")
        >>> method.stages, method.order, method.time_scale
        (5, 1, Fraction(5, 2))
    """
    if not isinstance(inner, RungeKutta):
        remedy = by_name(inner) or "of multistep and partitioned methods: gamedyn.methods.Lookahead"
        raise ArgumentError("inner", "a Runge-Kutta method", inner, remedy)
    positive_int("k", k)
    share = rational("alpha", alpha)
    if not share:
        raise ArgumentError("alpha", "a share other than 0", alpha)
    return RungeKutta(
        A=_chained(inner, k),
        b=[share * w for w in inner.b] * k,
        time_scale=share * k * inner.time_scale,
        digits=fewest_digits(inner.digits, float_digits((alpha,))),
        name=f"lookahead{k}" if _named(inner, k, share) else "",
        aliases=("lookahead",) if _named(inner, k, share) else (),
        declared=Declared(order=1, real=2.2457309, imaginary=0.7425797524, digits=8)
        if _named(inner, k, share)
        else None,
        source="Zhang, Lucas, Hinton, Ba 2019, algorithm 1; Chavdarova et al. 2021 (games)",
    )


def _named(inner: RungeKutta, k: int, share: Fraction) -> bool:
    return inner is EULER and k == 5 and share == Fraction(1, 2)


def _chained(inner: RungeKutta, k: int) -> Sequence[tuple[Fraction, ...]]:
    """Rows of k steps one after another."""
    nothing = (Fraction(0),) * inner.stages
    return [inner.b * m + row + nothing * (k - 1 - m) for m in range(k) for row in inner.A]


LOOKAHEAD5 = lookahead(EULER, 5, "1/2")
