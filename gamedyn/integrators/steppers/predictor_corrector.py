"""The stepper of predictor-corrector methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.integrators.steppers.multistep import start_stepper
from gamedyn.methods import PredictorCorrector

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField
    from gamedyn.methods import LinearMultistep

__all__ = ["PredictorCorrectorStepper"]


class PredictorCorrectorStepper(Stepper):
    """Evaluate at y, predict, then evaluate and correct m times. Memory as of explicit multistep methods."""

    takes: ClassVar[type] = PredictorCorrector
    changes_h: bool = False

    def __init__(self, method: PredictorCorrector) -> None:
        self.method, k = method, method.steps
        self._back = k - 1
        self._rules = [_Rule(m) for m in (method.predictor, method.corrector)]
        self._start = start_stepper(method.start, None)
        self._keeps_points = any(any(r.points[1:]) for r in self._rules)
        self._correct = float(method.corrector.beta[-1])
        self._spare: list[Tensor] = []
        self._owner: VectorField | None = None

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """Room for the history, empty; the rooms of the newest value and of the prediction's are the stepper's own."""
        values = [torch.zeros_like(y) for _ in range(self._back)] if self._keeps_points else []
        room = list(field.stages(self._back + 2))
        self._spare, self._owner = room[self._back :], field
        return {"fields": room[: self._back], "values": values, "filled": 0}

    def started(self, memory: Any) -> bool:
        """Whether the history is full."""
        return bool(memory["filled"] == self._back)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: m + 1 evaluations, or the starting method's."""
        fields, values, filled = memory["fields"], memory["values"], memory["filled"]
        info, room, scratch = OK, *self._rooms(field)
        if filled < self._back:
            span = h * float(self.method.time_scale)
            new, slope, info = self._start.step_and_slope(field, t, y, span, clock=h)
            newest = field(t, y, room) if slope is None else room.copy_(slope)
            del slope
            filled += 1
            if filled == self._back:
                self._start.release()
        else:
            newest = field(t, y, room)
            history = [newest, *fields]
            predictor, corrector = self._rules
            new, known = predictor.known(y, values, history, h), corrector.known(y, values, history, h)
            for _ in range(self.method.corrections):
                value = field(t + h, new, scratch)
                if isinstance(h, torch.Tensor):
                    new = torch.addcmul(known, h, value, value=self._correct)
                else:
                    new = torch.add(known, value, alpha=h * self._correct)
        if self._owner is field and fields:
            self._spare = [fields[-1], scratch]
        memory = {
            "fields": [newest, *fields][: self._back],
            "values": [y, *values][: self._back] if self._keeps_points else [],
            "filled": filled,
        }
        return new, memory, info

    def _rooms(self, field: VectorField) -> tuple[Tensor, Tensor]:
        """Where the newest field value goes, that of the one just forgotten, and the prediction's."""
        newest, scratch = self._spare if self._owner is field else field.stages(2)
        return newest, scratch


class _Rule:
    """The known part of a multistep formula: `-sum_j alpha_j y_{n+j} + h sum_{j<k} beta_j v_{n+j}`."""

    def __init__(self, method: LinearMultistep) -> None:
        k = method.steps
        self.points = [-float(a) for a in method.alpha[:k][::-1]]
        self._slopes = Combination(method.beta[:k][::-1])

    def known(self, y: Tensor, values: list[Tensor], history: list[Tensor], h: float | Tensor) -> Tensor:
        base = y if self.points[0] == 1 else y * self.points[0]
        for weight, value in zip(self.points[1:], values, strict=False):
            if weight:
                base = torch.add(base, value, alpha=weight)
        return self._slopes(base, history, h)
