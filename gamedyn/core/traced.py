"""A field as a pure function, made to be traced by the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn.core.evaluation import Point, Request, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core.protocols import Linearised

__all__ = ["TracedField"]


class TracedField:
    """A field without memory: leaves are made inside, nothing is written in place; made to be traced.

    Args:
        parent: the `Field`, in a session.
        batch: traced.
        buffers: traced.
    """

    point, persistent, batch_id, keeps_batch = None, False, 0, False

    def __init__(self, parent: Any, batch: Any, buffers: Sequence[Tensor]) -> None:
        self.layout, self.shape = parent.layout, parent.shape
        self.players, self.names, self.rates = parent.players, parent.names, parent.rates
        self.rated, self.noise = parent.rated, parent.noise
        self.parts, self.whole_parts, self.autonomous = parent.parts, parent.whole_parts, parent.autonomous
        self._batch, self._buffers, self._parent = batch, buffers, parent
        self.work = Work(parent.work.players)
        self.losses: tuple[Tensor, ...] = ()

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v(t, y)."""
        self.work.player_gradients += self.work.players
        return self._evaluate(t, y, self._parent.asked(), out)

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v_i(t, y)."""
        self.work.player_gradients += self._parent._share
        return self._evaluate(t, y, self._parent.asked(players=(i,)), out)

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """`sum_parts factor v_part(t, y)`."""
        self.work.player_gradients += self.work.players
        return self._evaluate(t, y, self._parent.asked(factors=factors), out)

    def linearise(self, t: float | Tensor, y: Tensor) -> Linearised:
        """Not traced: how many products a solve takes is decided by their values."""
        raise NotImplementedError

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Fresh room for field values."""
        room: Tensor = self._parent.room(count, player)
        return room

    def room(self, count: int, player: int | None = None) -> Tensor:
        """The same."""
        return self.stages(count, player)

    def release(self, rows: Sequence[Tensor]) -> None:
        """Nothing is kept."""

    def _evaluate(self, t: float | Tensor, y: Tensor, request: Request, out: Tensor | None) -> Tensor:
        flow, lead = self._parent.flow, len(self.shape) - 1
        leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
        buffers = [b.expand((*self.shape[:-1], *b.shape)) for b in self._buffers]
        if self._parent.effects.buffers:
            buffers = [b.clone() for b in buffers]
        with torch.enable_grad():
            value = flow.velocity(Point(t, leaves, buffers, self._batch), request)
        self.work.double_backward += flow.double_backward
        self.losses = self.losses or value.losses
        row = self.layout.flat([x.detach() for x in value.leaves], lead)
        return row if out is None else out.copy_(row)
