"""Partitioned methods: the players move in turn.

Compositions for any number of players are made of a sweep and its adjoint, the sweep backward; a splitting of
two parts of order p gives a composition of order p (McLachlan 1995; Hairer, Lubich, Wanner, II.5, theorem 5.5).
Their order on games with own curvature is that of the sub-step method, if that is lower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn.methods._coefficients import IRRATIONAL_DIGITS, Declared, irrational
from gamedyn.methods._partitioned import Partitioned, Sweep
from gamedyn.methods.explicit import EULER, KUTTA3, MIDPOINT, RK4

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.methods._runge_kutta import RungeKutta

__all__ = [
    "ALTERNATING",
    "FOREST_RUTH",
    "FOREST_RUTH_RK4",
    "RUTH3",
    "RUTH3_KUTTA3",
    "STRANG",
    "STRANG_MIDPOINT",
    "alternating",
    "forest_ruth",
    "ruth3",
    "strang",
]


def alternating(
    players: Sequence[str | int] | None = None,
    *,
    cycles: Mapping[str | int, int] | None = None,
    substep: RungeKutta = EULER,
) -> Partitioned:
    """Alternating gradient descent: each player in turn takes an Euler step, seeing the newest others.

    On a game of two players without own curvature this is the symplectic Euler method.

    Args:
        players: the order of play, by name or place; None: the game's own order, or that of `cycles`.
        cycles: steps of each player for a step of the method (sub-cycling): `{"D": 5, "G": 1}` has D take five
            steps of h/5 before G takes one of h; with the rate 5 for D, five steps of h (n_critic training).
        substep: method of a single move.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, I.1.2, eq. (1.9).

    Example:
        >>> alternating(("D", "G")).order_of_play(("G", "D"))
        (1, 0)
        >>> alternating(cycles={"D": 5, "G": 1}).evaluations
        3
    """
    plain = players is None and cycles is None and substep is EULER
    return Partitioned(
        [Sweep()],
        substep,
        players=players,
        cycles=cycles,
        name="alternating" if plain else "",
        aliases=("symplectic_euler",) if plain else (),
        declared=Declared(order=1, real=2.0, imaginary=2.0) if plain else None,
        source="de Vogelaere 1956; HLW I.1.2; in games: alternating gradient descent",
    )


def strang(
    players: Sequence[str | int] | None = None,
    *,
    cycles: Mapping[str | int, int] | None = None,
    substep: RungeKutta = EULER,
    **facts: object,
) -> Partitioned:
    """Strang's splitting: half a sweep, then half a sweep backward; the Stormer-Verlet method for two players.

    Args:
        players: as in `alternating`.
        cycles: as in `alternating`.
        substep: method of a single move; of order 2 for order 2 on games with own curvature.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Source: Strang 1968; Hairer, Lubich, Wanner, I.1.4 and II.5.

    Example:
        >>> m = strang(substep=MIDPOINT)
        >>> m.order_separable, m.order_general
        (2, 2)
    """
    sweeps = [Sweep("1/2"), Sweep("1/2", backward=True)]
    return Partitioned(sweeps, substep, players=players, cycles=cycles, **facts)  # type: ignore[arg-type]


def ruth3(
    players: Sequence[str | int] | None = None,
    *,
    cycles: Mapping[str | int, int] | None = None,
    substep: RungeKutta = EULER,
    **facts: object,
) -> Partitioned:
    """Ruth's method of order 3, written as sweeps forward and backward; some of them go back in time.

    For two players the moves are 7/24, 2/3, 3/4, -2/3, -1/24, 1 (first, second, first, ...).

    Args:
        players: as in `alternating`.
        cycles: as in `alternating`.
        substep: method of a single move; of order 3 for order 3 on games with own curvature.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Source: Ruth 1983, IEEE Trans. Nucl. Sci. 30, p. 2669.

    Example:
        >>> [str(m.length) for m in ruth3().moves(2)]
        ['7/24', '2/3', '3/4', '-2/3', '-1/24', '1']
    """
    lengths = [("7/24", False), ("3/8", True), ("3/8", False), ("-25/24", True), ("1", False)]
    sweeps = [Sweep(length, backward) for length, backward in lengths]
    return Partitioned(sweeps, substep, players=players, cycles=cycles, **facts)  # type: ignore[arg-type]


_CUBE_ROOT = irrational(lambda D: D(2) ** (1 / D(3)))


def forest_ruth(
    players: Sequence[str | int] | None = None,
    *,
    cycles: Mapping[str | int, int] | None = None,
    substep: RungeKutta = EULER,
    **facts: object,
) -> Partitioned:
    """The method of Forest and Ruth (Yoshida's of order 4): three of Strang's steps, the middle one backward.

    Their lengths are 1/(2 - c), -c/(2 - c), 1/(2 - c) with c = 2^(1/3).

    Args:
        players: as in `alternating`.
        cycles: as in `alternating`.
        substep: method of a single move; of order 4 for order 4 on games with own curvature.
        facts: `name`, `aliases`, `declared`, `source` of a member.

    Source: Forest, Ruth 1990, Physica D 43; Yoshida 1990; Hairer, Lubich, Wanner, II.4, eq. (4.4).

    Example:
        >>> forest_ruth().order_separable
        4
    """
    outer = 1 / (2 - _CUBE_ROOT)
    sweeps = [Sweep(length / 2, backward) for length in (outer, 1 - 2 * outer, outer) for backward in (False, True)]
    return Partitioned(sweeps, substep, players=players, cycles=cycles, digits=IRRATIONAL_DIGITS, **facts)  # type: ignore[arg-type]


ALTERNATING = alternating()
STRANG = strang(
    name="strang",
    aliases=("stormer_verlet", "verlet"),
    declared=Declared(order=2, real=2.0, imaginary=2.0),
    source="Stormer 1907, Verlet 1967, Strang 1968; HLW I.1.4",
)
RUTH3 = ruth3(
    name="ruth3",
    declared=Declared(order=3, real=2.08113883008, imaginary=2.507481171, digits=10),
    source="Ruth 1983, IEEE Trans. Nucl. Sci. 30, p. 2669",
)
FOREST_RUTH = forest_ruth(
    name="forest_ruth",
    aliases=("yoshida4",),
    declared=Declared(order=4, real=1.16817005111, imaginary=1.573401947, digits=10),
    source="Forest, Ruth 1990, Physica D 43; HLW II.4, eq. (4.4)",
)
STRANG_MIDPOINT = strang(
    substep=MIDPOINT,
    name="strang_midpoint",
    declared=Declared(order=2, real=2.0, imaginary=2.0),
    source="Strang 1968, every move by the explicit midpoint rule",
)
RUTH3_KUTTA3 = ruth3(
    substep=KUTTA3,
    name="ruth3_kutta3",
    declared=Declared(order=3, real=2.68413231936, imaginary=2.507481171, digits=10),
    source="Ruth 1983, every move by Kutta's method of order 3",
)
FOREST_RUTH_RK4 = forest_ruth(
    substep=RK4,
    name="forest_ruth_rk4",
    declared=Declared(order=4, real=1.42850128613, imaginary=1.573401947, digits=10),
    source="Forest, Ruth 1990, every move by the classical Runge-Kutta method",
)
