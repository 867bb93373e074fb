"""Linearly implicit and exponential methods: Rosenbrock, W-methods, competitive gradient descent, splits."""

from __future__ import annotations

import math
from fractions import Fraction

from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, Coefficient, Declared, irrational
from gamedyn.methods._exponential import ExponentialRosenbrock
from gamedyn.methods._linearly_implicit import LinearlyImplicit

__all__ = [
    "CGD",
    "EXPONENTIAL_ROSENBROCK_EULER",
    "EXPRB32",
    "IMEX_SKEW",
    "IMEX_SYM",
    "RODAS3",
    "ROS2",
    "ROS34PW2",
    "ROSENBROCK_EULER",
]


def _one_stage(part: str, name: str, aliases: tuple[str, ...], declared: Declared, source: str) -> LinearlyImplicit:
    return LinearlyImplicit([[]], [[1]], [1], part=part, name=name, aliases=aliases, declared=declared, source=source)


ROSENBROCK_EULER = _one_stage(
    "full",
    "rosenbrock_euler",
    ("linearly_implicit_euler",),
    Declared.a_stable(1),
    "Rosenbrock 1963; HW II, IV.7: one Newton step of implicit Euler; L-stable",
)
CGD = _one_stage(
    "cross",
    "cgd",
    ("competitive_gradient_descent",),
    Declared(order=1, real=2.0, imaginary=math.inf),
    "Schaefer, Anandkumar 2019: h (I - h W)^-1 v, W the cross-player blocks of J",
)
IMEX_SYM = _one_stage(
    "sym",
    "imex_sym",
    (),
    Declared(order=1, real=math.inf, imaginary=0.0),
    "the symmetric part of J implicit, the skew part explicit: stiffness treated, rotation not",
)
IMEX_SKEW = _one_stage(
    "skew",
    "imex_skew",
    (),
    Declared(order=1, real=2.0, imaginary=math.inf),
    "the skew part of J implicit, the symmetric part explicit: rotation treated, stiffness not",
)

_G = 1 + irrational(lambda D: 1 / D(2).sqrt())
ROS2 = LinearlyImplicit(
    A=[[], [1]],
    gamma=[[_G], [-2 * _G, _G]],
    b=["1/2", "1/2"],
    b_hat=[1, 0],
    digits=IRRATIONAL_DIGITS,
    name="ros2",
    declared=Declared.a_stable(2),
    source="Verwer, Spee, Blom, Hundsdorfer 1999, gamma = 1 + 1/sqrt(2); L-stable, of order 2 with any W",
)
RODAS3 = LinearlyImplicit(
    A=[[], [0], [1, 0], ["3/4", "-1/4", "1/2"]],
    gamma=[["1/2"], [1, "1/2"], ["-1/4", "-1/4", "1/2"], ["1/12", "1/12", "-2/3", "1/2"]],
    b=["5/6", "-1/6", "-1/6", "1/2"],
    b_hat=["3/4", "-1/4", "1/2", 0],
    name="rodas3",
    declared=Declared.a_stable(3),
    source="Sandu et al. 1997, Atmos. Environ. 31; HW II, IV.7; stiffly accurate, L-stable",
)

_PW = "0.43586652150845900"
_ROS34PW2_A: list[list[Coefficient]] = [
    [],
    ["0.87173304301691801"],
    ["0.84457060015369423", "-0.11299064236484185"],
    [0, 0, 1],
]
_ROS34PW2_GAMMA: list[list[Coefficient]] = [
    [_PW],
    ["-0.87173304301691801", _PW],
    ["-0.90338057013044082", "0.054180672388095326", _PW],
    ["0.24212380706095346", "-1.2232505839045147", "0.54526025533510214", _PW],
]
ROS34PW2 = LinearlyImplicit(
    A=_ROS34PW2_A,
    gamma=_ROS34PW2_GAMMA,
    b=["0.24212380706095346", "-1.2232505839045147", "1.5452602553351020", _PW],
    b_hat=["0.37810903145819369", "-0.096042292212423178", "0.5", "0.21793326075422950"],
    digits=14,
    name="ros34pw2",
    declared=Declared.a_stable(3),
    source="Rang, Angermann 2005, BIT 45: a W-method of order 3 with an embedded one of order 2; L-stable",
)
EXPONENTIAL_ROSENBROCK_EULER = ExponentialRosenbrock(
    name="exponential_rosenbrock_euler",
    aliases=("exprb2", "exponential_euler"),
    declared=Declared.a_stable(2),
    source="Pope 1963; Hochbruck, Ostermann, Schweitzer 2009, eq. (2.3): exact on linear games",
)
EXPRB32 = ExponentialRosenbrock(
    c=[1],
    b=[{3: Fraction(2)}],
    name="exprb32",
    declared=Declared.a_stable(3),
    source="Hochbruck, Ostermann, Schweitzer 2009, section 5.1",
)
