"""A field as a pure function, made to be traced by the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gamedyn.core.field import Request, Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core.field import Field

__all__ = ["TracedField"]


class TracedField:
    """A field without memory: leaves are made inside, nothing is written in place; made to be traced."""

    point = None

    def __init__(self, parent: Field, batch: Any, buffers: Sequence[Tensor]) -> None:
        self.flow, self.layout, self.members = parent.flow, parent.layout, parent.members
        self.players, self.names, self.shape = parent.players, parent.names, parent.shape
        self.batch, self.buffers, self._parent = batch, buffers, parent
        self.work = Work(parent.work.players)
        self.losses: tuple[Tensor, ...] = ()

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v(t, y)."""
        self.work.player_gradients += self.work.players
        return self._evaluate(t, y, Request(members=self.members), None, out)

    def player(self, i: int, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """v_i(t, y)."""
        self.work.player_gradients += self._parent._share
        return self._evaluate(t, y, Request((i,), members=self.members), i, out)

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """`sum_parts factor v_part(t, y)`."""
        self.work.player_gradients += self.work.players
        return self._evaluate(t, y, Request(factors=factors, members=self.members), None, out)

    def stages(self, count: int, player: int | None = None) -> Tensor:
        """Fresh room for field values."""
        return self._parent.room(count, player)

    def _evaluate(
        self, t: float | Tensor, y: Tensor, request: Request, player: int | None, out: Tensor | None
    ) -> Tensor:
        lead = len(self.shape) - 1
        leaves = [v.clone().requires_grad_() for v in self.layout.views(y.detach())]
        with torch.enable_grad():
            value = self.flow.velocity(t, leaves, self.buffers, self.batch, request)
        self.work.double_backward += self.flow.double_backward
        self.losses = self.losses or value.losses
        row = self.layout.flat([x.detach() for x in value.leaves], lead)
        return row if out is None else out.copy_(row)
