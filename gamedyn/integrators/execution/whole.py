"""A step made once for one kind of arguments and run again with others: what compiled and captured steps share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from gamedyn._lib.errors import warn_caller
from gamedyn.integrators._types import OK, StepInfo

if TYPE_CHECKING:
    from gamedyn.core import Work
    from gamedyn.integrators._types import Integrator
    from gamedyn.jacobian import FrozenField

__all__ = ["EagerStep", "Made", "WholeStep"]

SIMPLE = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)
"""Types of a batch's leaves beside tensors: what they are, their text says."""

KINDS = 16
"""Of so many kinds of arguments a step is made; more show that the next step's are of a new kind again."""


class EagerStep:
    """The stepper's own step."""

    name = "eager"

    def __init__(self, stepper: Integrator) -> None:
        self.step, self.in_place = stepper.step, stepper.in_place

    @property
    def report(self) -> dict[str, Any]:
        """How the steps were executed, for a run's account."""
        return {"execution": self.name}


class Made:
    """A step that was made: what it costs, and how to run it.

    Attributes:
        work: of one step.
    """

    work: Work

    def run(self, field: FrozenField, t: Any, h: Any, tensors: list[Any]) -> tuple[Tensor, Any]:
        """A step with other arguments of the same kind: the new y and memory; the field's losses are set."""
        raise NotImplementedError


class WholeStep:
    """`step(field, t, y, h, memory)` of a stepper, made on first use for each kind of argument.

    Where it cannot be made, the step runs eagerly: `reason` says why, and so does a warning.

    Args:
        stepper: whose step.

    Attributes:
        name: of this way of executing.
        in_place: whether the y that a step returns is written again by the next one.
        reason: why steps run eagerly; "" where they do not.
    """

    name: ClassVar[str]
    in_place: bool

    def __init__(self, stepper: Integrator) -> None:
        self.stepper, self.reason = stepper, ""
        self._made: dict[Any, Made] = {}
        if stepper.host_decides:
            self._give_up(f"{type(stepper).__name__} is no fixed sequence of evaluations: {stepper.host_decides}")

    def make(self, field: FrozenField, t: Any, h: Any, tensors: list[Any], spec: Any) -> Made:
        """A step for arguments of this kind: y, memory, batch and buffers, flat.

        Raises:
            Exception: any, if it cannot be made.
        """
        raise NotImplementedError

    def step(
        self, field: FrozenField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step: the one that was made if there is one, else eager."""
        if not self.reason and (refusal := _refusal(field)):
            self._give_up(refusal)
        if self.reason or not self.stepper.started(memory):
            return self.stepper.step(field, t, y, h, memory)
        field.advance(y)
        tensors, spec = tree_flatten(({"y": y, "memory": memory}, field.batch, field.standing))
        try:
            made = self._for(field, t, h, tensors, spec)
        except Exception as error:  # whatever fails has one answer: run eagerly, and say so
            self._give_up(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            return self.stepper.step(field, t, y, h, memory)
        new, after = made.run(field, t, h, tensors)
        field.work.add(made.work)
        return new, after, OK

    @property
    def report(self) -> dict[str, Any]:
        """How the steps were executed, for a run's account."""
        if self.reason:
            return {"execution": f"eager, not {self.name}: {self.reason}"}
        return {"execution": self.name, f"{self.name}_kinds": len(self._made)}

    def _for(self, field: FrozenField, t: Any, h: Any, tensors: list[Any], spec: Any) -> Made:
        """The step that was made for arguments of this kind, or is made now."""
        key = (spec, _kind(h) if isinstance(h, Tensor) else None, *map(_kind, tensors))
        if key not in self._made:
            if len(self._made) == KINDS:
                raise RuntimeError(f"the arguments have been of {KINDS} kinds (shapes, Python values), more come")
            self._made[key] = self.make(field, t, h, tensors, spec)
        return self._made[key]

    def _give_up(self, why: str) -> None:
        self.reason = why
        self._made = {}
        warn_caller(f"steps run eagerly, not {self.name}: {why}", UserWarning)


def _refusal(field: FrozenField) -> str:
    """Why no step on a field can be made once and for all; "" if it can."""
    if field.draws_randomness or field.sampling == "fresh":
        return "losses that draw, and a fresh batch for each stage, cannot be frozen into a graph"
    if not field.flow.game.processes.alone:
        return "ranks wait for one another within a step: a shared game is stepped eagerly"
    if field.effects.outside:
        return f"losses change what belongs to no state: {field.effects.outside}"
    if field.flow.intervals:
        return "terms that act at intervals change the field from step to step"
    return ""


def _kind(x: Any) -> Any:
    if isinstance(x, Tensor):
        return (x.shape, x.stride(), x.dtype, x.device)
    if not (x is None or isinstance(x, SIMPLE)):
        raise RuntimeError(f"the batch holds a {type(x).__name__}, whose contents would be frozen: give its tensors")
    return (type(x), repr(x))
