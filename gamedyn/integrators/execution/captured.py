"""A whole step as one recording: a CUDA graph on a GPU; on a CPU a tape of the same operations, to see what would be.

Everything that changes lies at a fixed address (y, t, h, batch, memory, buffers) and is copied there before a replay;
everything else is burnt in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from gamedyn.integrators.execution.recorders import CannotCaptureError, Recorder, recorder
from gamedyn.integrators.execution.whole import Made, WholeStep

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import FrozenField

__all__ = ["CapturedStep"]


class CapturedStep(WholeStep):
    """A stepper's step, recorded. The y and the memory that a step returns are written again by the next one.

    Args:
        stepper: whose step.
        by: what records; None: a CUDA graph on a GPU, else a tape.
    """

    name, in_place = "captured", True

    def __init__(self, stepper: Integrator, by: Recorder | None = None) -> None:
        super().__init__(stepper)
        self._by = by

    def make(self, field: FrozenField, t: Any, h: Any, tensors: list[Any], spec: Any) -> Made:
        """Record it."""
        return _Captured(self.stepper, field, self._by or recorder(field.point.device), t, h, tensors, spec)


class _Captured(Made):
    """A recorded step, and the tensors that it reads and writes."""

    def __init__(
        self, stepper: Integrator, field: FrozenField, by: Recorder, t: Any, h: Any, tensors: list[Any], spec: Any
    ) -> None:
        like = field.point
        self._t = torch.zeros_like(t) if isinstance(t, Tensor) else like.new_zeros((), dtype=torch.float64)
        self._h = torch.zeros_like(h) if isinstance(h, Tensor) else like.new_zeros(())
        self._slots = [torch.empty_like(x) if isinstance(x, Tensor) else x for x in tensors]
        if stepper.in_place:
            self._slots[0] = like
        self._fixed, self._filled = field.one_batch, False
        self._span: float | None = None
        inputs, batch, buffers = tree_unflatten(self._slots, spec)
        self._memory, self._moves = inputs["memory"], len(tree_leaves(inputs))
        own = dict(vars(stepper))
        there = [(slot, slot.clone()) for slot, x in zip(self._slots, tensors, strict=True) if slot is x is like]
        self._fill(t, h, tensors)
        try:
            with field.session(), field.elsewhere(batch, buffers) as again:

                def step() -> None:
                    vars(stepper).update(own)  # rooms that take turns lie as they do before a step
                    again()
                    self._step(stepper, field, inputs)

                self._recording = by.record(step)
                self._losses, self.work = field.losses, field.work
                self._figures = field.figures
        finally:
            self._rooms = dict(vars(stepper))  # the recording's
            vars(stepper).clear()
            vars(stepper).update(own)
            for slot, before in there:  # trials have moved it
                slot.copy_(before)

    def run(self, field: FrozenField, t: Any, h: Any, tensors: list[Any]) -> tuple[Tensor, Any]:
        """Copy what has changed to where the recording reads it, and replay."""
        self._fill(t, h, tensors)
        self._recording.replay()
        field.losses = tuple([x.clone() for x in self._losses])
        field.figures = {k: x.clone() if isinstance(x, Tensor) else x for k, x in self._figures.items()}
        return self._slots[0], self._memory

    def _fill(self, t: Any, h: Any, tensors: list[Any]) -> None:
        self._t.copy_(t) if isinstance(t, Tensor) else self._t.fill_(t)
        if isinstance(h, Tensor):
            self._h.copy_(h)
        elif h != self._span:
            self._span = h
            self._h.fill_(h)
        for i, (slot, given) in enumerate(zip(self._slots, tensors, strict=True)):
            there = slot is given or (self._filled and self._fixed and i >= self._moves)
            if isinstance(slot, Tensor) and not there:
                slot.copy_(given)
        self._filled = True

    def _step(self, stepper: Integrator, field: FrozenField, inputs: Any) -> None:
        """One step from the slots to the slots."""
        new, after, info = stepper.step(field, self._t, inputs["y"], self._h, inputs["memory"])
        if info.status != "ok" or info.counts or info.figures or info.h is not None:
            raise CannotCaptureError(f"the host decides within a step: {info}")
        before, spec = tree_flatten((inputs["y"], inputs["memory"]))
        values, found = tree_flatten((new, after))
        fixed = [x for x in before if not isinstance(x, Tensor)]
        if spec != found or fixed != [x for x in values if not isinstance(x, Tensor)]:
            raise CannotCaptureError("what a step remembers changes its form from step to step")
        pairs = [(a, b) for a, b in zip(before, values, strict=True) if isinstance(a, Tensor) and not _same(a, b)]
        written = {_place(a) for a, _ in pairs}
        if pairs:  # a slot that is written may be another's value
            values = [b.clone() if _place(b) in written else b for _, b in pairs]
            torch._foreach_copy_([a for a, _ in pairs], values)


def _place(x: Tensor) -> int:
    return int(x.untyped_storage()._cdata)


def _same(a: Tensor, b: Tensor) -> bool:
    return _place(a) == _place(b) and a.storage_offset() == b.storage_offset() and a.shape == b.shape
