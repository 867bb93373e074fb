"""Partitioned methods: the players move in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn.methods._coefficients import Declared
from gamedyn.methods._partitioned import Partitioned, Sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ALTERNATING", "alternating"]


def alternating(players: Sequence[str | int] | None = None) -> Partitioned:
    """Alternating gradient descent: each player in turn takes an Euler step, seeing the newest others.

    On a game of two players without own curvature this is the symplectic Euler method.

    Args:
        players: the order of play, by name or place; None: the game's own order.

    Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, I.1.2, eq. (1.9).

    Example:
        >>> alternating(("D", "G")).order_of_play(("G", "D"))
        (1, 0)
    """
    return Partitioned(
        [Sweep()],
        players=players,
        name="alternating" if players is None else "",
        aliases=("symplectic_euler",) if players is None else (),
        declared=Declared(order=1, real=2.0, imaginary=2.0) if players is None else None,
        source="de Vogelaere 1956; HLW I.1.2; in games: alternating gradient descent",
    )


ALTERNATING = alternating()
