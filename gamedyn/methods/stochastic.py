"""Stochastic Runge-Kutta methods: steps of `dy = v dt + sigma dW`."""

from __future__ import annotations

from gamedyn.methods._coefficients import Declared
from gamedyn.methods._stochastic import StochasticRungeKutta

__all__ = ["EULER_MARUYAMA", "PLATEN"]

_EULER = Declared(order=1, real=2.0, imaginary=0.0)

EULER_MARUYAMA = StochasticRungeKutta(
    A=[[]],
    b=[1],
    drift=[[]],
    noise=[[]],
    weights=[1],
    name="euler_maruyama",
    declared=_EULER,
    source="Maruyama 1955; Kloeden, Platen 1992, section 10.2",
)
"""`y+ = y + h v + sigma I_1`."""

PLATEN = StochasticRungeKutta(
    A=[[]],
    b=[1],
    drift=[[], [1]],
    noise=[[], [1]],
    weights=[1, 0],
    squares=[-1, 1],
    name="platen",
    aliases=("derivative_free_milstein",),
    declared=_EULER,
    source="Kloeden, Platen 1992, eq. (11.1.3)",
)
"""`y+ = y + h v + sigma I_1 + (sigma(H) - sigma) I_11 / sqrt(h)`, `H = y + h v + sqrt(h) sigma`."""
