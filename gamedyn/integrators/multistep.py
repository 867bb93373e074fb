"""The stepper of explicit linear multistep methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.integrators.runge_kutta import RungeKuttaStepper
from gamedyn.methods import LinearMultistep

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import Field

__all__ = ["MultistepStepper"]


class MultistepStepper(Stepper):
    """`y_{n+k} = -sum_{j<k} alpha_j y_{n+j} + h sum_{j<k} beta_j v_{n+j}`, started by the method's own rule.

    Memory: `fields`, the k - 1 last field values, newest first; `values`, the k - 1 last points where an
    alpha needs them; `filled`, how many are there. A field value belongs to the batch it was taken on and is
    not taken again when the batch changes (stale history). The oldest value's room is written again in the
    next step, so k registers of parameter size are held beside y.
    """

    takes: ClassVar[type] = LinearMultistep
    changes_h: bool = False

    def __init__(self, method: LinearMultistep) -> None:
        if not method.explicit:
            remedy = "implicit methods have their theory in gamedyn.stability, but no stepper yet"
            raise ArgumentError("method", "an explicit method", method, remedy)
        self.method, k = method, method.steps
        self._back = k - 1
        self._start = RungeKuttaStepper(method.start) if k > 1 else None
        self._slopes = Combination([method.beta[k - 1 - j] for j in range(k)])  # newest first
        self._points = [-float(method.alpha[k - 1 - j]) for j in range(k)]
        self._keeps_points = any(self._points[1:])
        self._spare: Tensor | None = None
        self._owner: Field | None = None

    def init(self, field: Field, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """Room for the history, empty."""
        fields = list(field.stages(self.method.steps))
        values = [torch.zeros_like(y) for _ in range(self._back)] if self._keeps_points else []
        self._spare, self._owner = fields.pop(), field
        return {"fields": fields, "values": values, "filled": 0}

    def started(self, memory: Any) -> bool:
        """Whether the history is full."""
        return bool(memory["filled"] == self._back)

    def step(
        self, field: Field, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation, or the starting method's."""
        fields, values, filled = memory["fields"], memory["values"], memory["filled"]
        if filled < self._back:
            scale = float(self.method.time_scale)
            new, first = self._start.step_and_slope(field, t, y, h, scale)  # type: ignore[union-attr]
            newest = self._room(field).copy_(first)
            filled += 1
        else:
            newest = field(t, y, None if field.point is None else self._room(field))
            base = y if self._points[0] == 1 else y * self._points[0]
            for weight, value in zip(self._points[1:], values, strict=False):
                if weight:
                    base = torch.add(base, value, alpha=weight)
            new = self._slopes(base, [newest, *fields], h)
        if fields and field.point is not None:
            self._spare, self._owner = fields[-1], field
        kept = {
            "fields": [newest, *fields][: self._back],
            "values": [y, *values][: self._back] if self._keeps_points else [],
            "filled": filled,
        }
        return new, kept, OK

    def _room(self, field: Field) -> Tensor:
        """Where the newest field value goes: the room of the one just forgotten."""
        return self._spare if self._owner is field else field.stages(1)[0]  # type: ignore[return-value]
