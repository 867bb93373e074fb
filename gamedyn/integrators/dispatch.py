"""Which stepper takes which method: decided by the type of its data, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators.bridges.scipy import ScipyStepper
from gamedyn.integrators.bridges.torch_optim import TorchOptimStepper
from gamedyn.integrators.bridges.torchdiffeq import TorchdiffeqStepper
from gamedyn.integrators.steppers.additive import AdditiveStepper
from gamedyn.integrators.steppers.anchored import AnchoredStepper
from gamedyn.integrators.steppers.exponential import ExponentialStepper
from gamedyn.integrators.steppers.implicit import ImplicitRungeKuttaStepper
from gamedyn.integrators.steppers.linearly_implicit import LinearlyImplicitStepper
from gamedyn.integrators.steppers.lookahead import LookaheadStepper
from gamedyn.integrators.steppers.low_storage import LowStorageStepper
from gamedyn.integrators.steppers.maps import (
    AlternatingMapStepper,
    ExtrapolatedStepper,
    GraftedStepper,
    NormalisedStepper,
    OptimisticStepper,
)
from gamedyn.integrators.steppers.multistep import MultistepStepper
from gamedyn.integrators.steppers.partitioned import PartitionedStepper
from gamedyn.integrators.steppers.periodic import PeriodicStepper
from gamedyn.integrators.steppers.predictor_corrector import PredictorCorrectorStepper
from gamedyn.integrators.steppers.runge_kutta import RungeKuttaStepper
from gamedyn.integrators.steppers.stochastic import StochasticStepper
from gamedyn.methods import Method, get

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator

__all__ = ["STEPPERS", "stepper"]

STEPPERS: tuple[Any, ...] = (
    LowStorageStepper,
    StochasticStepper,
    RungeKuttaStepper,
    ImplicitRungeKuttaStepper,
    MultistepStepper,
    PredictorCorrectorStepper,
    PartitionedStepper,
    AdditiveStepper,
    LinearlyImplicitStepper,
    ExponentialStepper,
    LookaheadStepper,
    AnchoredStepper,
    PeriodicStepper,
    NormalisedStepper,
    GraftedStepper,
    AlternatingMapStepper,
    ExtrapolatedStepper,
    OptimisticStepper,
    TorchdiffeqStepper,
    ScipyStepper,
    TorchOptimStepper,
)
"""Tried in this order: low-storage and stochastic methods are Runge-Kutta methods too."""


def stepper(method: str | Method, **options: Any) -> Integrator:
    """The integrator of a method.

    Args:
        method: a name ("rk4", "torchdiffeq:rk4") or a method object, registered or not.
        options: of the family: `solver` (how implicit equations are solved), `history` ("stale" or "refresh").
            None stands for the default.

    Raises:
        UnknownNameError: if nothing is called so.
        ArgumentError: for an option that the method's family does not have.

    Example:
        >>> type(stepper("ab2")).__name__
        'MultistepStepper'
    """
    chosen = get(method)
    given = {k: v for k, v in options.items() if v is not None}
    for family in STEPPERS:
        if isinstance(chosen, family.takes) and family.accepts(chosen):
            for name in given:
                if name not in family.options:
                    having = sorted(f.__name__ for f in STEPPERS if name in f.options)
                    raise ArgumentError(name, f"none for {chosen!r}", given[name], f"taken by {', '.join(having)}")
            _check_solver(family, given)
            chosen_family: Integrator = family(chosen, **given)
            return chosen_family
    raise ArgumentError("method", "a method of a family that has a stepper", chosen)


def _check_solver(family: Any, given: dict[str, Any]) -> None:
    """A solver of the kind that the family's equations want."""
    solver = given.get("solver")
    if solver is not None and family.solvers and not isinstance(solver, family.solvers):
        kinds = " or ".join(f"{kind.__name__}(...)" for kind in family.solvers)
        raise ArgumentError("solver", f"{kinds} of gamedyn.integrators", solver)
