"""Explicit Runge-Kutta methods.

Tableaus: Hairer, Norsett, Wanner, Solving ODEs I, II.1, unless a member says otherwise.
"""

from __future__ import annotations

import math

from gamedyn.methods._coefficients import Declared
from gamedyn.methods._runge_kutta import RungeKutta

__all__ = [
    "EULER",
    "EXTRAGRADIENT",
    "HEUN2",
    "HEUN3",
    "KG64",
    "KUTTA3",
    "MERSON43",
    "MIDPOINT",
    "RALSTON2",
    "RALSTON3",
    "RK4",
    "RK4_38",
]

_SECOND = Declared(order=2, real=2.0, imaginary=0.0)
_THIRD = Declared(order=3, real=2.5127453266, imaginary=math.sqrt(3))
_FOURTH = Declared(order=4, real=2.7852935634, imaginary=2 * math.sqrt(2))

EULER = RungeKutta(
    A=[[]],
    b=[1],
    name="euler",
    aliases=("forward_euler", "simultaneous", "gda", "sgd"),
    declared=Declared(order=1, real=2.0, imaginary=0.0),
    source="Euler 1768; in games: simultaneous gradient descent",
)
MIDPOINT = RungeKutta(
    A=[[], ["1/2"]],
    b=[0, 1],
    name="midpoint",
    aliases=("explicit_midpoint", "rk2"),
    declared=_SECOND,
    source="Runge 1895; HNW I, II.1, eq. (1.4)",
)
HEUN2 = RungeKutta(
    A=[[], [1]],
    b=["1/2", "1/2"],
    b_hat=[1, 0],
    name="heun2",
    aliases=("explicit_trapezoid", "ssp22"),
    declared=_SECOND,
    source="Runge 1895; HNW I, II.1",
)
RALSTON2 = RungeKutta(
    A=[[], ["2/3"]],
    b=["1/4", "3/4"],
    name="ralston2",
    declared=_SECOND,
    source="Ralston 1962, Math. Comp. 16, p. 431: least error bound of the two-stage methods",
)
KUTTA3 = RungeKutta(
    A=[[], ["1/2"], [-1, 2]],
    b=["1/6", "2/3", "1/6"],
    name="kutta3",
    aliases=("rk3",),
    declared=_THIRD,
    source="Kutta 1901; HNW I, II.1, table 1.1",
)
HEUN3 = RungeKutta(
    A=[[], ["1/3"], [0, "2/3"]],
    b=["1/4", 0, "3/4"],
    name="heun3",
    declared=_THIRD,
    source="Heun 1900; HNW I, II.1, table 1.1",
)
RALSTON3 = RungeKutta(
    A=[[], ["1/2"], [0, "3/4"]],
    b=["2/9", "1/3", "4/9"],
    name="ralston3",
    declared=_THIRD,
    source="Ralston 1962, Math. Comp. 16, p. 431: least error bound of the three-stage methods",
)
RK4 = RungeKutta(
    A=[[], ["1/2"], [0, "1/2"], [0, 0, 1]],
    b=["1/6", "1/3", "1/3", "1/6"],
    name="rk4",
    aliases=("rk4_classic",),
    declared=_FOURTH,
    source="Kutta 1901; HNW I, II.1, table 1.2 (left): the classical method",
)
RK4_38 = RungeKutta(
    A=[[], ["1/3"], ["-1/3", 1], [1, -1, 1]],
    b=["1/8", "3/8", "3/8", "1/8"],
    name="rk4_38",
    aliases=("kutta38",),
    declared=_FOURTH,
    source="Kutta 1901; HNW I, II.1, table 1.2 (right): the 3/8 rule, which torchdiffeq calls rk4",
)
MERSON43 = RungeKutta(
    A=[[], ["1/3"], ["1/6", "1/6"], ["1/8", 0, "3/8"], ["1/2", 0, "-3/2", 2]],
    b=["1/6", 0, 0, "2/3", "1/6"],
    b_hat=["1/10", 0, "3/10", "2/5", "1/5"],
    name="merson43",
    aliases=("merson",),
    declared=Declared(order=4, real=3.5483223442, imaginary=2 * math.sqrt(3)),
    source="Merson 1957; HNW I, II.4, table 4.1; the largest imaginary interval of five stages and order 4",
)
KG64 = RungeKutta(
    A=[[], ["1/3"], [0, "1/2"], [0, 0, 1], [0, 0, 0, "5/6"], ["19/50", "1/20", 0, "1/20", "1/50"]],
    b=["1/6", 0, "1/3", "1/6", 0, "1/3"],
    name="kg64",
    declared=Declared(order=4, real=3.2276983724, imaginary=2 * math.sqrt(6)),
    source="R(z) of Kinnmark, Gray 1984, Math. Comput. Simul. 26, p. 181: z^5/180 + z^6/1080 beyond order 4, the "
    "largest imaginary interval of six stages and order 4; tableau derived here: with one slope a stage up to the "
    "fifth and given nodes, all ten conditions are linear in b_i and b_6 A_6j; real limit computed here",
)
EXTRAGRADIENT = RungeKutta(
    A=[[], [1]],
    b=[0, 1],
    name="extragradient",
    aliases=("eg", "matsuno"),
    declared=Declared(order=1, real=1.0, imaginary=1.0),
    source="Korpelevich 1976; R(z) = 1 + z + z^2, the largest imaginary interval of two stages",
)
