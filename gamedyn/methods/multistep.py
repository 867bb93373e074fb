"""Linear multistep methods: Adams, and the optimistic family of game optimisation."""

from __future__ import annotations

import math

from gamedyn.methods._coefficients import Coefficient, Declared, rational
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods.explicit import EULER, HEUN2, KUTTA3

__all__ = ["AB2", "AB3", "OPTIMISTIC", "optimistic"]

AB2 = LinearMultistep(
    alpha=[0, -1, 1],
    beta=["-1/2", "3/2", 0],
    start=HEUN2,
    name="ab2",
    aliases=("adams_bashforth2",),
    declared=Declared(order=2, real=1.0, imaginary=0.0),
    source="Bashforth, Adams 1883; HNW I, III.1, eq. (1.5)",
)
AB3 = LinearMultistep(
    alpha=[0, 0, -1, 1],
    beta=["5/12", "-16/12", "23/12", 0],
    start=KUTTA3,
    name="ab3",
    aliases=("adams_bashforth3",),
    declared=Declared(order=3, real=6 / 11, imaginary=12 / (5 * math.sqrt(11))),
    source="Bashforth, Adams 1883; HNW I, III.1, eq. (1.5)",
)


def optimistic(a: Coefficient = 1) -> LinearMultistep:
    """The optimistic family `y+ = y + h ((1 + a) v_n - a v_{n-1})`.

    Its first step takes `v_{-1} = v_0`, that is, Euler's. `a = 1` is optimistic gradient descent,
    `a = 1/2` is AB2, `a = 0` Euler with a needless memory.

    Args:
        a: weight of the difference; exact if given as int, Fraction or string.

    Returns:
        The method; of order 1 unless a = 1/2. The default is the member "optimistic".

    Source: Popov 1980; Daskalakis et al. 2018 (OGDA). Limits: real `2/(1 + 2a)`.

    Example:
        >>> optimistic("1/2").order
        2
    """
    weight = rational("a", a)
    beta: list[Coefficient] = [-weight, 1 + weight, 0]
    if isinstance(a, float):
        beta = [float(x) for x in beta]
    named = weight == 1
    return LinearMultistep(
        alpha=[0, -1, 1],
        beta=beta,
        start=EULER,
        name="optimistic" if named else "",
        aliases=("ogda", "omd") if named else (),
        declared=Declared(order=1, real=2 / 3, imaginary=1 / math.sqrt(3)) if named else None,
        source="Popov 1980; Daskalakis, Ilyas, Syrgkanis, Zeng 2018",
    )


OPTIMISTIC = optimistic()
