"""Which stepper takes which method: decided by the type of its data, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators.multistep import MultistepStepper
from gamedyn.integrators.partitioned import PartitionedStepper
from gamedyn.integrators.runge_kutta import RungeKuttaStepper
from gamedyn.integrators.torchdiffeq import TorchdiffeqStepper
from gamedyn.methods import Method, get

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator

__all__ = ["STEPPERS", "stepper"]

STEPPERS: tuple[type, ...] = (RungeKuttaStepper, MultistepStepper, PartitionedStepper, TorchdiffeqStepper)


def stepper(method: str | Method) -> Integrator:
    """The integrator of a method.

    Args:
        method: a name ("rk4", "torchdiffeq:rk4") or a method object, registered or not.

    Raises:
        UnknownNameError: if nothing is called so.
        ArgumentError: if the method is implicit, which no stepper takes yet.

    Example:
        >>> type(stepper("ab2")).__name__
        'MultistepStepper'
    """
    chosen = get(method)
    for family in STEPPERS:
        if isinstance(chosen, family.takes):  # type: ignore[attr-defined]
            return family(chosen)  # type: ignore[no-any-return]
    raise ArgumentError("method", "a method of a family that has a stepper", chosen)
