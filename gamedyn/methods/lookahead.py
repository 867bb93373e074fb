"""Lookahead over methods that are no Runge-Kutta method."""

from __future__ import annotations

from gamedyn.methods._coefficients import Declared
from gamedyn.methods._lookahead import Lookahead
from gamedyn.methods.momentum import OPTIMISTIC
from gamedyn.methods.partitioned import ALTERNATING

__all__ = ["LOOKAHEAD_ALTERNATING", "LOOKAHEAD_OPTIMISTIC"]

LOOKAHEAD_ALTERNATING = Lookahead(
    ALTERNATING,
    5,
    "1/2",
    name="lookahead_alternating",
    aliases=("lookahead_minmax",),
    declared=Declared(order=1, real=2.2457309, imaginary=2.0, digits=8),
    source="Chavdarova et al. 2021 (Lookahead-Minmax), k = 5, alpha = 1/2",
)
LOOKAHEAD_OPTIMISTIC = Lookahead(
    OPTIMISTIC,
    5,
    "1/2",
    name="lookahead_optimistic",
    declared=Declared(order=1, real=0.0, imaginary=0.0),
    source="Zhang, Lucas, Ba, Hinton 2019, over optimistic gradient descent; limits computed here",
)
