"""The stepper of partitioned methods: players move in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.methods import Partitioned

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["PartitionedStepper"]


class PartitionedStepper(Stepper):
    """Each move takes one player along its own field, the others fixed, by the sub-step method.

    In place: y is advanced where the field is evaluated. A y that is not the field's point is copied there first and
    left as it is.
    """

    takes: ClassVar[type] = Partitioned
    in_place: ClassVar[bool] = True
    keeps_stages: ClassVar[bool] = True

    def __init__(self, method: Partitioned) -> None:
        self.method = method
        needed = method.substep.needed
        self._inner = [Combination(row[:i]) for i, row in enumerate(method.substep.A[:needed])]
        self._final = Combination(method.substep.b[:needed])
        self._rooms: dict[int, Tensor] = {}
        self._owner: Any = None

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """No memory; checks that the order of play fits the game."""
        self.method.order_of_play(field.names)
        return {}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step; one player's share of an evaluation for every stage of every move."""
        order = self.method.order_of_play(field.names)
        point = field.point
        work = y.clone() if point is None else point if y is point else point.copy_(y)
        for move in self.method.moves(len(order)):
            i = order[move.place]
            at, span = field.players[i], h * float(move.length)
            when = t + float(move.node) * h if move.node else t
            K, mine = self._room(field, i), work[..., at]
            base = mine.clone() if len(self._inner) > 1 else mine
            for s, inner in enumerate(self._inner):
                if inner.used:
                    _put(inner, base, K, span, mine)
                field.player(i, when, work, out=K[s])
            _put(self._final, base, K, span, mine)
        return work, {}, OK

    def _room(self, field: VectorField, player: int) -> Tensor:
        if not field.persistent:
            return field.stages(len(self._inner), player)
        if self._owner is not field:
            self._rooms, self._owner = {}, field
        if player not in self._rooms:
            self._rooms[player] = field.stages(len(self._inner), player)
        return self._rooms[player]


def _put(combine: Combination, base: Tensor, K: Tensor, span: float | Tensor, out: Tensor) -> None:
    """Write a combination where it belongs: without a vector in between, but of members and in traces."""
    if out.dim() == 1 and not isinstance(span, torch.Tensor):
        combine(base, K, span, out)
    else:
        out.copy_(combine(base, K, span))
