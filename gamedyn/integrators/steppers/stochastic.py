"""The stepper of stochastic Runge-Kutta methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, Combination, StepInfo
from gamedyn.integrators.steppers.runge_kutta import RungeKuttaStepper
from gamedyn.methods import StochasticRungeKutta

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["StochasticStepper"]


class StochasticStepper(RungeKuttaStepper):
    """A step of the drift's method, and what the noise adds; on a field without noise, the former alone.

    Memory: `steps`, the number of increments drawn, from which the next one follows.
    """

    takes: ClassVar[type] = StochasticRungeKutta
    variational: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    keeps_stages: ClassVar[bool] = False
    entrywise: ClassVar[bool] = False
    method: StochasticRungeKutta

    def __init__(self, method: StochasticRungeKutta) -> None:
        super().__init__(method)
        self._drift = [Combination(r) for r in method.drift]
        self._noise = [[(j, float(a)) for j, a in enumerate(r) if a] for r in method.noise]
        self._weights = [(float(w), float(c)) for w, c in zip(method.weights, method.squares, strict=True)]

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """No increment drawn."""
        return {} if field.noise is None else {"steps": 0}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step."""
        new, _, info = super().step(field, t, y, h, memory)
        if field.noise is None:
            return new, {}, info
        first = field.noise.increment(memory["steps"], t, h, y)
        return new + self._added(field, t, y, h, first), {"steps": memory["steps"] + 1}, OK

    def _added(self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, first: Tensor) -> Tensor:
        """What the noise adds to the drift's step, whose stages lie in the rows."""
        root = h.sqrt() if isinstance(h, torch.Tensor) else math.sqrt(h)
        second = (first.square() - h) / (2 * root)  # I_11 / sqrt(h)
        rows: Any = self._made[0]
        values: list[Tensor] = []
        total = torch.zeros_like(y)
        for drift, noise, (weight, correction) in zip(self._drift, self._noise, self._weights, strict=True):
            place = drift.on(rows)(y, h, None) if drift.used else y
            for j, a in noise:
                place = place + (a * root) * values[j]
            values.append(field.noise.diffusion(t, place))  # type: ignore[union-attr]
            if weight or correction:
                total += values[-1] * (weight * first + correction * second)
        return total
