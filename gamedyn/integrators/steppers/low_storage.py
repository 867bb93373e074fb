"""The stepper of low-storage Runge-Kutta methods: their programs, run on the registers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.integrators.steppers.runge_kutta import refuse_inconsistent
from gamedyn.methods import LowStorage
from gamedyn.methods._low_storage import Evaluate

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["LowStorageStepper"]


class LowStorageStepper(Stepper):
    """Registers of parameter size: those of the program, of which the first is the field's own point, and one for v.

    In place: y is advanced where the field is evaluated. A y that is not the field's point is copied there first and
    left as it is.
    """

    takes: ClassVar[type] = LowStorage
    in_place: ClassVar[bool] = True
    entrywise: ClassVar[bool] = True

    def __init__(self, method: LowStorage) -> None:
        refuse_inconsistent(method)
        self.method = method
        self._registers: list[Tensor] = []
        self._slope: Tensor | None = None
        self._owner: VectorField | None = None
        nodes = iter(method.c)
        self._program = [
            (float(next(nodes)), None, ()) if isinstance(x, Evaluate) else (float(x.slope), x.target, _floats(x))
            for x in method.program
        ]

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step."""
        return self._stepped(field, t, y, h)[0], {}, OK

    def step_with_error(
        self, field: VectorField, t: float, y: Tensor, h: float, first: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor], None, None]:
        """A copy of the step's result, and its error estimate; no slopes are kept."""
        R = self._stepped(field, t, y, h)
        return R[0].clone(), (R[0] - R[self.method.error_register],), None, None

    def _stepped(self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor) -> list[Tensor]:
        """The registers after a step."""
        R, slope = self._room(field, y)
        for number, target, sources in self._program:
            if target is None:
                value = field(t + number * h if number else t, R[0], slope)
            else:
                _combine(R, target, sources, number, value, h)
        return R

    def _room(self, field: VectorField, y: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """The registers, filled; made once per field (traced, and on rows: each time)."""
        if not field.persistent:
            return [y.clone() if copied else torch.zeros_like(y) for copied in self.method.initial], None
        point: Any = field.point
        if self._owner is not field:
            others = self.method.registers_used - 1
            self._registers = [point, *(torch.empty_like(point) for _ in range(others))]
            self._slope, self._owner = field.stages(1)[0], field
        if y is not point:
            point.copy_(y)
        for register, copied in zip(self._registers[1:], self.method.initial[1:], strict=True):
            register.copy_(point) if copied else register.zero_()
        return self._registers, self._slope


def _floats(instruction: Any) -> tuple[tuple[int, float], ...]:
    return tuple((source, float(weight)) for source, weight in instruction.weights)


def _combine(
    R: list[Tensor], target: int, sources: tuple[tuple[int, float], ...], slope: float, value: Tensor, h: float | Tensor
) -> None:
    """R[target] <- sum weight R[source] + slope h value, in place: the target's own share first."""
    own = dict(sources).get(target, 0.0)
    out = R[target]
    if own != 1:
        out.mul_(own) if own else out.zero_()
    for source, weight in sources:
        if source != target:
            out.add_(R[source], alpha=weight)
    if slope:
        out.addcmul_(value, h, value=slope) if isinstance(h, torch.Tensor) else out.add_(value, alpha=slope * h)
