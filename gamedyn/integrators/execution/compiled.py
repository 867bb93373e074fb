"""A whole step as one compiled function: traced with make_fx, compiled by inductor.

Everything that changes is an argument (y, t, h, batch, memory, buffers); everything else is burnt in, so the
cache is keyed by the shapes and types of the arguments. Where tracing or compiling fails the step runs
eagerly, and `reason` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from gamedyn.core import Work
from gamedyn.core.compile import compiled
from gamedyn.integrators._types import OK, StepInfo

if TYPE_CHECKING:
    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import HeldField

__all__ = ["CompiledStep"]


class Compiled(NamedTuple):
    """A compiled step: what it returns besides tensors (`constants`), and the work it does."""

    code: Callable[..., Any]
    spec: TreeSpec
    constants: list[Any]
    work: Work


class CompiledStep:
    """`step(field, t, y, h, memory)` of a stepper, compiled on first use for each kind of argument."""

    def __init__(self, stepper: Integrator) -> None:
        self.stepper, self.reason = stepper, ""
        self._cache: dict[Any, Compiled] = {}
        if not stepper.traces:
            self.reason = f"{type(stepper).__name__} cannot be traced"

    def step(
        self, field: HeldField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step: compiled if it can be, else eager."""
        if self.reason or not self.stepper.started(memory):
            return self.stepper.step(field, t, y, h, memory)
        if field.draws_randomness or field.sampling == "fresh":
            self.reason = "losses that draw, and a fresh batch for each stage, cannot be frozen into a graph"
            return self.stepper.step(field, t, y, h, memory)
        if field.flow.intervals:
            self.reason = "terms that act at intervals change the field from step to step"
            return self.stepper.step(field, t, y, h, memory)
        now = t if isinstance(t, Tensor) else torch.tensor(float(t), dtype=torch.float64)
        span = h if isinstance(h, Tensor) else torch.tensor(h, dtype=y.dtype, device=y.device)
        field.advance(y)
        tensors, spec = tree_flatten(({"t": now, "y": y, "h": span, "memory": memory}, field.batch, field.standing))
        key = (spec, *(_kind(x) for x in tensors))
        if key not in self._cache:
            try:
                self._cache[key] = self._compiled(field, tensors, spec)
            except Exception as error:  # any failure of the compiler has one answer: run eagerly, and say so
                self.reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                return self.stepper.step(field, t, y, h, memory)
        entry = self._cache[key]
        values = iter(entry.code(*[x for x in tensors if isinstance(x, Tensor)]))
        out = [next(values) if c is None else c for c in entry.constants]
        new, kept, losses = tree_unflatten(out, entry.spec)
        field.losses = tuple(losses)
        field.work.add(entry.work)
        return new, kept, OK

    def _compiled(self, field: HeldField, tensors: list[Any], spec: TreeSpec) -> Compiled:
        moving = [i for i, x in enumerate(tensors) if isinstance(x, Tensor)]
        traced: dict[str, Any] = {}

        def whole(*args: Tensor) -> list[Tensor]:
            full = list(tensors)
            for i, x in zip(moving, args, strict=True):
                full[i] = x
            inputs, batch, buffers = tree_unflatten(full, spec)
            pure = field.functional(batch, buffers)
            with torch.no_grad():
                y, memory, _ = self.stepper.step(pure, inputs["t"], inputs["y"], inputs["h"], inputs["memory"])
            out, traced["spec"] = tree_flatten((y, memory, [x.detach() for x in pure.losses]))
            traced["constants"] = [None if isinstance(x, Tensor) else x for x in out]
            traced["work"] = pure.work
            return [x for x in out if isinstance(x, Tensor)]

        examples = [tensors[i].detach() for i in moving]
        with field.session():
            code = compiled(whole, examples)
        return Compiled(code, traced["spec"], traced["constants"], traced["work"])


def _kind(x: Any) -> Any:
    return (x.shape, x.stride(), x.dtype, x.device) if isinstance(x, Tensor) else x
