"""Additive Runge-Kutta methods: the published placements of the ODE-GAN penalty."""

from __future__ import annotations

import math
from fractions import Fraction

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._additive import REST, AdditiveRungeKutta
from gamedyn.methods._coefficients import Declared
from gamedyn.methods._immutable import by_name
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods.explicit import RK4

__all__ = [
    "PLACEMENTS",
    "RK4_PENALTY_AFTER_STEP",
    "RK4_PENALTY_EVERY_STAGE",
    "RK4_PENALTY_FIRST_STAGE",
    "penalty_placed",
]

PLACEMENTS = ("every_stage", "first_stage", "after_step")


def penalty_placed(method: RungeKutta, placement: str, **facts: object) -> AdditiveRungeKutta:
    """A Runge-Kutta method for the game, its penalties placed as published codes of ODE-GAN do.

    "every_stage": the same tableau for both. "first_stage": inside stage one, divided by b_1:
    `A^[:, 0] = A[:, 0]/b_1`, `b^ = e_1`. "after_step": at the old point, added after the step: `A^ = 0`, `b^ = e_1`.

    Args:
        method: explicit Runge-Kutta method; its order survives in the first placement alone.
        placement: one of the three.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: for an implicit method, or b_1 = 0 where it is divided by.
        UnknownNameError: for another placement.

    Source: Qin et al. 2020 (ODE-GAN): its CIFAR-10 code ("first_stage") and its notebook ("after_step").

    Example:
        >>> penalty_placed(RK4, "first_stage").order
        1
    """
    choice("placement", placement, PLACEMENTS)
    if not isinstance(method, RungeKutta) or not method.explicit:
        raise ArgumentError("method", "an explicit Runge-Kutta method", method, by_name(method))
    s, b = method.needed, method.b
    A = [r[:s] for r in method.A[:s]]
    if placement == "every_stage":
        return AdditiveRungeKutta({"game": (A, b[:s]), REST: (A, b[:s])}, digits=method.digits, **facts)  # type: ignore[arg-type]
    first = [Fraction(1)] + [Fraction(0)] * (s - 1)
    rows = [[Fraction(0)] for _ in range(s)]
    if placement == "first_stage":
        if not b[0]:
            raise ArgumentError("method", "a method whose first weight b_1 is not 0", method)
        rows = [[r[0] / b[0]] for r in A]
    return AdditiveRungeKutta({"game": (A, b[:s]), REST: (rows, first)}, digits=method.digits, **facts)  # type: ignore[arg-type]


_SOURCE = "Qin et al. 2020 (ODE-GAN)"
_IMAGINARY = 2 * math.sqrt(2)
RK4_PENALTY_EVERY_STAGE = penalty_placed(
    RK4,
    "every_stage",
    name="rk4_penalty_every_stage",
    declared=Declared(order=4, real=2.7852935634, imaginary=_IMAGINARY),
    source=f"{_SOURCE}: the penalty as part of the flow; equal to rk4",
)
RK4_PENALTY_FIRST_STAGE = penalty_placed(
    RK4,
    "first_stage",
    name="rk4_penalty_first_stage",
    declared=Declared(order=1, real=2.7852935634, imaginary=_IMAGINARY),
    source=f"{_SOURCE}, CIFAR-10 code: inside stage one, divided by b_1",
)
RK4_PENALTY_AFTER_STEP = penalty_placed(
    RK4,
    "after_step",
    name="rk4_penalty_after_step",
    declared=Declared(order=1, real=2.7852935634, imaginary=_IMAGINARY),
    source=f"{_SOURCE}, 16-Gaussian notebook: after the step, at the old point",
)
