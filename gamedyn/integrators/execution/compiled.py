"""A whole step as one compiled function: traced with make_fx, compiled by inductor.

Everything that changes is an argument (y, t, h, batch, memory, buffers); everything else is burnt in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from gamedyn.core.compile import compiled
from gamedyn.integrators.execution.whole import Made, WholeStep

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import FrozenField

__all__ = ["CompiledStep"]


class CompiledStep(WholeStep):
    """A stepper's step, compiled."""

    name, in_place = "compiled", False

    def make(self, field: FrozenField, t: Any, h: Any, tensors: list[Any], spec: Any) -> Made:
        """Trace and compile it."""
        return _Compiled(self.stepper, field, t, h, tensors, spec)


class _Compiled(Made):
    """A compiled step: what it returns besides tensors is constant."""

    def __init__(self, stepper: Integrator, field: FrozenField, t: Any, h: Any, tensors: list[Any], spec: Any) -> None:
        self._moving = [i for i, x in enumerate(tensors) if isinstance(x, Tensor)]

        def whole(now: Tensor, span: Tensor, *args: Tensor) -> list[Tensor]:
            full = list(tensors)
            for i, x in zip(self._moving, args, strict=True):
                full[i] = x
            inputs, batch, buffers = tree_unflatten(full, spec)
            pure = field.functional(batch, buffers)
            with torch.no_grad():
                y, memory, _ = stepper.step(pure, now, inputs["y"], span, inputs["memory"])
            out, self._spec = tree_flatten((y, memory, [x.detach() for x in pure.losses]))
            self._constants = [None if isinstance(x, Tensor) else x for x in out]
            self.work = pure.work
            return [x for x in out if isinstance(x, Tensor)]

        arguments = self._arguments(tensors[0], t, h, tensors)
        with field.session():
            self._code = compiled(whole, [x.detach() for x in arguments])

    def run(self, field: FrozenField, t: Any, h: Any, tensors: list[Any]) -> tuple[Tensor, Any]:
        """Call the code."""
        values = iter(self._code(*self._arguments(tensors[0], t, h, tensors)))
        out = [next(values) if c is None else c for c in self._constants]
        new, kept, losses = tree_unflatten(out, self._spec)
        field.losses = tuple(losses)
        return new, kept

    def _arguments(self, y: Tensor, t: Any, h: Any, tensors: list[Any]) -> list[Tensor]:
        now = t if isinstance(t, Tensor) else torch.tensor(float(t), dtype=torch.float64)
        span = h if isinstance(h, Tensor) else torch.tensor(h, dtype=y.dtype, device=y.device)
        return [now, span, *(tensors[i] for i in self._moving)]
