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
    declared=Declared(order=1, real=2.24573093962, imaginary=2.01208163387),
    source="Chavdarova et al. 2021 (Lookahead-Minmax), k = 5, alpha = 1/2; limits computed here",
)
LOOKAHEAD_OPTIMISTIC = Lookahead(
    OPTIMISTIC,
    5,
    "1/2",
    name="lookahead_optimistic",
    declared=Declared(order=1, real=1.0, imaginary=0.646124420651),
    source="Zhang, Lucas, Ba, Hinton 2019, over optimistic gradient descent; limits computed here",
)
