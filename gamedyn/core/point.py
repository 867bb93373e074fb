"""Where an analysis looks: a state, from whatever holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.protocols import of_flow

if TYPE_CHECKING:
    from gamedyn.core.state import State

__all__ = ["point"]


def point(flow: Any, state: Any) -> State:
    """The state of an argument that may be a State, a Run or a flat vector.

    Raises:
        ArgumentError: if it is none of these, not finite, or of another game; if `flow` is not a flow.
    """
    at: State = of_flow(flow).game.own(state)
    if not bool(at.y.isfinite().all()):
        raise ArgumentError("state", "a finite state", "nan or inf")
    return at
