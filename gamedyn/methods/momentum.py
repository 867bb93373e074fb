"""Multistep methods of game optimisation: optimistic, heavy ball, complex momentum, LEAD."""

from __future__ import annotations

import math
from fractions import Fraction

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, Coefficient, Declared, irrational, rational
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods.explicit import EULER

__all__ = [
    "COMPLEX_MOMENTUM",
    "HEAVY_BALL",
    "LEAD",
    "NEGATIVE_MOMENTUM",
    "OPTIMISTIC",
    "complex_momentum",
    "heavy_ball",
    "lead",
    "optimistic",
]


def optimistic(a: Coefficient = 1) -> LinearMultistep:
    """The optimistic family `y+ = y + h ((1 + a) v_n - a v_{n-1})`.

    Its first step takes `v_{-1} = v_0`, that is, Euler's. `a = 1` is optimistic gradient descent,
    `a = 1/2` is AB2, `a = 0` Euler with a needless memory. Past extragradient, `w = y + h v(w_-)`,
    `y+ = y + h v(w)`, is the member a = 1 for its leading points w.

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
        aliases=("ogda", "omd", "past_extragradient", "popov") if named else (),
        declared=Declared(order=1, real=2 / 3, imaginary=1 / math.sqrt(3)) if named else None,
        source="Popov 1980; Daskalakis, Ilyas, Syrgkanis, Zeng 2018",
    )


def heavy_ball(beta: Coefficient, **facts: object) -> LinearMultistep:
    """Heavy ball: `y_{n+2} - (1 + beta) y_{n+1} + beta y_n = h v_{n+1}`, a two-step method.

    It is `m+ = beta m + v`, `y+ = y + h m+` with m = 0 at first. Its clock is 1/(1 - beta): a step of h goes as far
    as one of h/(1 - beta) without momentum.

    Args:
        beta: momentum, in (-1, 1); negative momentum included.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: if beta is not in (-1, 1).

    Source: Polyak 1964; in games: Gidel et al. 2019 (negative momentum). Real limit `2 (1 + beta)`; no imaginary one.

    Example:
        >>> heavy_ball("9/10").time_scale
        Fraction(10, 1)
    """
    b = _momentum(beta)
    return LinearMultistep(
        alpha=[b, -1 - b, 1],
        beta=[0, 1, 0],
        start="rest",
        time_scale=1 / (1 - b),
        digits=15 if isinstance(beta, float) else None,
        **facts,  # type: ignore[arg-type]
    )


def complex_momentum(real: Coefficient, squared: Coefficient, **facts: object) -> LinearMultistep:
    """Complex momentum on a real state, without complex numbers: a three-step method.

    `m+ = beta m + v`, `y+ = y + h Re m+` is `rho = (zeta - 1)(zeta^2 - 2 Re(beta) zeta + |beta|^2)` with
    `sigma = zeta (zeta - Re beta)`: the real part of m obeys the recurrence of beta and its conjugate. Its clock is
    `(1 - Re beta)/|1 - beta|^2`.

    Args:
        real: Re(beta).
        squared: |beta|^2, below 1 and at least Re(beta)^2.
        facts: `name`, `aliases`, `declared`, `source`, `digits` of a member.

    Raises:
        ArgumentError: if no beta of modulus below 1 has these values.

    Source: Lorraine, Acuna, Vicol, Duvenaud 2022.

    Example:
        >>> complex_momentum(0, "1/4").order
        1
    """
    re, sq = rational("real", real), rational("squared", squared)
    if not re * re <= sq < 1:
        raise ArgumentError("squared", "|beta|^2 in [Re(beta)^2, 1)", float(sq))
    if any(isinstance(x, float) for x in (real, squared)):
        facts = {"digits": 15, **facts}
    return LinearMultistep(
        alpha=[-sq, sq + 2 * re, -2 * re - 1, 1],
        beta=[0, -re, 1, 0],
        start="rest",
        time_scale=(1 - re) / (1 - 2 * re + sq),
        **facts,  # type: ignore[arg-type]
    )


def lead(beta: Coefficient, coupling: Coefficient, **facts: object) -> LinearMultistep:
    """LEAD: heavy ball with a force between the players, `y+ = y + beta d + h v + h coupling W d`, `d = y - y_-`.

    W holds the cross-player blocks of J at y: each player reacts to how the other has moved.

    Args:
        beta: momentum, in (-1, 1).
        coupling: the published step of the interaction term, alpha, over h.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Raises:
        ArgumentError: if beta is not in (-1, 1).

    Source: Hemmat, Mitra, Lajoie, Mitliagkas 2020 (LEAD), eq. (7)-(8).

    Example:
        >>> lead(0, "1/2").coupling
        (Fraction(-1, 2), Fraction(1, 2))
    """
    b, c = _momentum(beta), rational("coupling", coupling)
    floats = any(isinstance(x, float) for x in (beta, coupling))
    return LinearMultistep(
        alpha=[b, -1 - b, 1],
        beta=[0, 1, 0],
        start="rest",
        coupling=[-c, c],
        time_scale=1 / (1 - b),
        digits=15 if floats else None,
        **facts,  # type: ignore[arg-type]
    )


def _momentum(beta: Coefficient) -> Fraction:
    b = rational("beta", beta)
    if not -1 < b < 1:
        raise ArgumentError("beta", "a momentum in (-1, 1)", beta)
    return b


OPTIMISTIC = optimistic()
HEAVY_BALL = heavy_ball(
    "9/10",
    name="heavy_ball",
    aliases=("polyak", "momentum"),
    declared=Declared(order=1, real=3.8, imaginary=0.0),
    source="Polyak 1964, beta = 9/10; torch.optim.SGD(momentum=0.9)",
)
NEGATIVE_MOMENTUM = heavy_ball(
    "-1/2",
    name="negative_momentum",
    declared=Declared(order=1, real=1.0, imaginary=0.0),
    source="Gidel et al. 2019, beta = -1/2, players at once",
)
COMPLEX_MOMENTUM = complex_momentum(
    Fraction(4, 5) * irrational(lambda D: (2 + D(2).sqrt()).sqrt() / 2),
    "16/25",
    digits=IRRATIONAL_DIGITS,
    name="complex_momentum",
    declared=Declared(order=1, real=3.58599361807, imaginary=0.106897715466),
    source="Lorraine et al. 2022, beta = 0.8 exp(i pi/8); limits computed here",
)
LEAD = lead(
    "1/2",
    1,
    name="lead",
    declared=Declared(order=1, real=3.0, imaginary=0.0),
    source="Hemmat et al. 2020, beta = 1/2, alpha = h; limits computed here",
)
