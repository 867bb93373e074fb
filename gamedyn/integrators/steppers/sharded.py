"""A step whose stages several processes share: each keeps its entries of every one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import StepInfo, Stepper, label
from gamedyn.methods import RungeKutta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedyn.core.evaluation import Request
    from gamedyn.core.field import Field
    from gamedyn.integrators._types import Integrator

__all__ = ["ShardedStepper"]


class ShardedStepper(Stepper):
    """The inner stepper's step on this process's share of the entries: `Alone.share`, `Ranks.share`.

    A step of an explicit Runge-Kutta method moves an entry by that entry's field values alone. Of its s + 1 registers,
    y among them, each of R processes has 1/R; whole are the point at which the field is evaluated, the gradient, and
    what is sent of it. After every stage the point is put together from all shares. In place: the state is the
    field's own point.

    Args:
        inner: the stepper of all entries.

    Raises:
        ArgumentError: for one that looks at entries together, or remembers.
    """

    takes: ClassVar[type] = RungeKutta
    in_place: ClassVar[bool] = True

    def __init__(self, inner: Integrator) -> None:
        if not inner.entrywise:
            remedy = "an explicit Runge-Kutta method, of low storage too"
            raise ArgumentError("stages", f'"full" for {label(inner.method)}', "sharded", remedy)
        self.inner, self.method, self.changes_h = inner, inner.method, inner.changes_h
        self._part: _Part | None = None

    def init(self, field: Any, t: float, y: Tensor, h: float | Tensor) -> Any:
        """The inner stepper's, which is empty."""
        return self.inner.init(field, t, y, h)

    def step(
        self, field: Any, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step; y is the field's own point, or is copied there."""
        part: Any = self._part
        if part is None or part.field is not field:
            part = self._part = _Part(field)
        point = field.point
        if y is not point:
            point.copy_(y)
        start = part.begun(copied=not self.inner.in_place)
        new, memory, info = self.inner.step(part, t, start, h, memory)
        if new is not part.point:
            part.point.copy_(new)
        return field.flow.game.processes.gather_(point), memory, info


class _Part:
    """A field as steppers see it, of whose values this process keeps its share of the entries."""

    persistent = True

    def __init__(self, field: Field) -> None:
        self.field, self._processes = field, field.flow.game.processes
        self._own = self._processes.share(field.layout.n)
        self.point = field.point[self._own]
        self._start = torch.empty(0)
        self._whole = False
        self.parts, self.whole_parts = field.parts, field.whole_parts
        self._pieces = list(_pieces(field, self._own))

    def begun(self, *, copied: bool) -> Tensor:
        """The share of where a step begins, a copy where stage points are written over it."""
        self._whole = True
        if not copied:
            return self.point
        if not self._start.numel():
            self._start = torch.empty_like(self.point)
        return self._start.copy_(self.point)

    def stages(self, count: int) -> Tensor:
        """Room for the share of `count` field values."""
        return self.point.new_empty((count, len(self.point)))

    def release(self, rows: Sequence[Tensor]) -> None:
        """Nothing is kept of them."""

    def __call__(self, t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """The share of v at the point whose share is y."""
        return self._put(t, y, self.field.asked(), out)

    def weighted(self, factors: Mapping[str, float], t: float | Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        """Likewise of a weighted sum of parts."""
        return self._put(t, y, self.field.asked(factors=factors), out)

    def _put(self, t: float | Tensor, y: Tensor, request: Request, out: Tensor | None) -> Tensor:
        out = torch.empty_like(self.point) if out is None else out
        if not self._whole:  # at the step's beginning it is
            if y is not self.point:
                self.point.copy_(y)
            self._processes.gather_(self.field.point)
        self._whole = False
        leaves = self.field.leafwise(t, self.field.point, request)
        work = self.field.work
        work.player_gradients += work.players
        for leaf, entries, at in self._pieces:
            out[at].copy_(leaves[leaf].reshape(-1)[entries])
        return out


def _pieces(field: Field, own: slice) -> Any:
    """Where the share's entries are: leaf, its entries, their place in the share."""
    for i in range(len(field.layout.leaves)):
        leaf = field.layout.entries(slice(i, i + 1))
        first, last = max(leaf.start, own.start), min(leaf.stop, own.stop)
        if first < last:
            yield i, slice(first - leaf.start, last - leaf.start), slice(first - own.start, last - own.start)
