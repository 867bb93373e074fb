"""The symbols of multistep and predictor-corrector methods: exact recurrences."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from gamedyn.methods._coefficients import tolerance_of
from gamedyn.stability.symbols.polynomial import added, multiplied, trimmed
from gamedyn.stability.symbols.recurrence import Recurrence

if TYPE_CHECKING:
    from gamedyn.methods import LinearMultistep, PredictorCorrector
    from gamedyn.stability.symbols.polynomial import Polynomial

__all__ = ["of_multistep", "of_predictor_corrector"]

ONE: Polynomial = (Fraction(1),)
Z: Polynomial = (Fraction(0), Fraction(1))


def of_multistep(method: LinearMultistep) -> Recurrence:
    """`chi = rho - z sigma`.

    Source: Hairer, Norsett, Wanner I, III.2, eq. (2.5).
    """
    k = method.steps
    tops = [trimmed((-method.alpha[j], method.beta[j])) for j in range(k - 1, -1, -1)]
    bottom = trimmed((Fraction(1), -method.beta[k]))
    return _inexact(tops, bottom, method, linear=(method.alpha, method.beta))


def of_predictor_corrector(method: PredictorCorrector) -> Recurrence:
    """The recurrence of the value that the corrections end at.

    Source: Hairer, Wanner II, V.1 (stability of predictor-corrector schemes).
    """
    k = method.steps
    predicted = _explicit_part(method.predictor, k)
    old = _explicit_part(method.corrector, k)
    newest = multiplied(Z, (method.corrector.beta[-1],))
    current = predicted
    for _ in range(method.corrections):
        current = [added(a, multiplied(newest, b)) for a, b in zip(old, current, strict=True)]
    return _inexact([trimmed(p) for p in current], ONE, method)


def _inexact(
    tops: list[Polynomial],
    bottom: Polynomial,
    method: LinearMultistep | PredictorCorrector,
    linear: tuple[Polynomial, Polynomial] | None = None,
) -> Recurrence:
    errors = None
    if method.digits is not None:
        size = max(abs(x) for p in (*tops, bottom) for x in p) * tolerance_of(method.digits)
        errors = ((size,),) * (len(tops) + 1)
    return Recurrence(tops, bottom, digits=method.digits, errors=errors, time_scale=method.time_scale, linear=linear)


def _explicit_part(method: LinearMultistep, steps: int) -> list[Polynomial]:
    """Coefficients of the k known values, newest first, padded to `steps`."""
    k = method.steps
    out: list[Polynomial] = [(-method.alpha[j], method.beta[j]) for j in range(k - 1, -1, -1)]
    return out + [(Fraction(0),)] * (steps - k)
