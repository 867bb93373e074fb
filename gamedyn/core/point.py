"""Where an analysis looks: a state, from whatever holds one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.protocols import of_flow

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core.game import Game
    from gamedyn.core.state import State

__all__ = ["length_scale", "point"]


def point(flow: Any, state: Any) -> State:
    """The state of an argument that may be a State, a Run or a flat vector.

    Raises:
        ArgumentError: if it is none of these, not finite, or of another game; if `flow` is not a flow.
    """
    at: State = of_flow(flow).game.own(state)
    if not bool(at.y.isfinite().all()):
        raise ArgumentError("state", "a finite state", "nan or inf")
    return at


def length_scale(game: Game, y: Tensor) -> float:
    """What is large and what small near y: |y|, or that of the players' present parameters where it is larger.

    Differences and tolerances are shares of it, so that a game in other units of its parameters gets the same answers;
    an equilibrium at 0 has the scale of where the players stand. 1 where both are 0.
    """
    present = float(game.state().y.norm())
    found = max(present, float(y.detach().norm()))
    return found if 0 < found < math.inf else 1.0
