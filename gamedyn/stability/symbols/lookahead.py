"""The symbol of Lookahead over methods that are no Runge-Kutta method: a rational function, exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from gamedyn.stability.symbols.multistep import ONE, Z
from gamedyn.stability.symbols.polynomial import added, multiplied, trimmed
from gamedyn.stability.symbols.rational_function import RationalFunction
from gamedyn.stability.symbols.tableau import of_rational, of_runge_kutta

if TYPE_CHECKING:
    from gamedyn.methods import LinearMultistep, Lookahead
    from gamedyn.stability.symbols._symbol import Symbol
    from gamedyn.stability.symbols.polynomial import Polynomial
    from gamedyn.stability.symbols.recurrence import Recurrence

__all__ = ["of_lookahead"]


def of_lookahead(method: Lookahead, inner: Symbol) -> Recurrence:
    """`R = 1 - alpha + alpha y_k(z)`, z = h lambda of an inner step.

    Args:
        method: Lookahead over a multistep or predictor-corrector method.
        inner: that method's symbol.
    """
    first, values, slopes, bottom = _started(method.inner, method.k)
    scale = getattr(inner, "bottom", ONE)
    while len(values) <= first + method.k:
        newest = _next_value(method.inner, values, slopes)
        values = [*(multiplied(v, scale) for v in values), newest]
        slopes = [*(multiplied(v, scale) for v in slopes), multiplied(Z, newest)]
        bottom = multiplied(bottom, scale)
    reached = multiplied((method.alpha,), values[first + method.k])
    top = added(multiplied((1 - method.alpha,), bottom), reached)
    over, under = (trimmed(x / bottom[0] for x in p) for p in (top, bottom))
    return of_rational(RationalFunction(over, under, method.digits, method.time_scale))


def _started(method: Any, k: int) -> tuple[int, list[Polynomial], list[Polynomial], Polynomial]:
    """Where y_0 stands, values and slopes (z y) that the starting rule makes, oldest first, their denominator."""
    if isinstance(method.start, str):  # at rest: y_{-j} = y_0, v_{-j} = 0
        back = method.steps - 1
        return back, [ONE] * (back + 1), [(Fraction(0),)] * back + [Z], ONE
    rule, values, bottom = of_runge_kutta(method.start), [ONE], ONE
    top, under = (tuple(x * method.time_scale**i for i, x in enumerate(p)) for p in (rule.tops[0], rule.bottom))
    for _ in range(min(method.steps - 1, k)):
        newest = multiplied(values[-1], top)
        values = [*(multiplied(v, under) for v in values), newest]
        bottom = multiplied(bottom, under)
    return 0, values, [multiplied(Z, v) for v in values], bottom


def _next_value(method: Any, values: list[Polynomial], slopes: list[Polynomial]) -> Polynomial:
    """Numerator of the next value over the denominator so far times the recurrence's."""
    newest = _known_part(method.formulas[0], values, slopes)
    for corrector in method.formulas[1:]:
        old = _known_part(corrector, values, slopes)
        for _ in range(method.corrections):
            newest = added(old, multiplied((Fraction(0), corrector.beta[-1]), newest))
    return newest


def _known_part(method: LinearMultistep, values: list[Polynomial], slopes: list[Polynomial]) -> Polynomial:
    total: Polynomial = (Fraction(0),)
    for a, b, v, f in zip(method.alpha[-2::-1], method.beta[-2::-1], values[::-1], slopes[::-1], strict=False):
        total = added(total, added(multiplied((-a,), v), multiplied((b,), f)))
    return total
