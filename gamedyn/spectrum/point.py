"""Where an analysis looks: a state, from whatever holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError
from gamedyn.flows import of_flow

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import State
    from gamedyn.flows import Flow
    from gamedyn.integrators import Run

__all__ = ["point"]


def point(flow: Flow, state: State | Tensor | Run) -> State:
    """The state of an argument that may be a run or a flat vector.

    Raises:
        ArgumentError: if it is none of these, not finite, or of another game; if `flow` is not a flow.
    """
    at = of_flow(flow).game.own(state)
    if not bool(at.y.isfinite().all()):
        raise ArgumentError("state", "a finite state", "nan or inf")
    return at
