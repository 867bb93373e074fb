"""The stepper of anchored methods: it remembers where the run began and how many steps it has taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Anchored

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["AnchoredStepper"]

Pairs = list[tuple[int, float, float]]


class AnchoredStepper(Stepper):
    """`y+ = y + beta (y_0 - y) + h_k sum_j (b_j + beta b'_j) v(Y_j)`, `beta = weight / (k + shift)`.

    Memory: `anchor`, y_0, and `taken`, k, a tensor: a traced step must not hold it fixed.
    """

    takes: ClassVar[type] = Anchored

    def __init__(self, method: Anchored) -> None:
        self.method = method
        rows = zip((*method.A, method.b), (*method.A_change, method.b_change), strict=True)
        self._rows: list[Pairs] = [
            [(j, float(a), float(c)) for j, (a, c) in enumerate(zip(r, change, strict=True)) if a or c]
            for r, change in rows
        ]
        self._pulls = [float(g) for g in (*method.pulls, 1)]
        self._nodes = [float(c) for c in method.c]
        self._weight, self._shift, self._decay = float(method.weight), float(method.shift), float(method.decay)

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """The anchor is where the run begins."""
        return {"anchor": y.clone(), "taken": torch.zeros((), dtype=torch.float64, device=y.device)}

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation a stage."""
        anchor, taken = memory["anchor"], memory["taken"]
        beta = (self._weight / (taken + self._shift)).to(y.dtype)
        span = h * (taken + 1).pow(-self._decay).to(y.dtype) if self._decay else h
        K = field.stages(len(self._rows) - 1)
        for i, node in enumerate(self._nodes):
            moves = self._rows[i] or self._pulls[i]
            at = self._moved(i, y, anchor, K, beta, span, field.point) if moves else y
            field(t + node * h if node else t, at, K[i])
        return self._moved(-1, y, anchor, K, beta, span), {"anchor": anchor, "taken": taken + 1}, OK

    def _moved(
        self, i: int, y: Tensor, anchor: Tensor, K: Tensor, beta: Tensor, span: Any, out: Tensor | None = None
    ) -> Tensor:
        out = torch.lerp(y, anchor, beta * self._pulls[i], out=out)
        for j, weight, change in self._rows[i]:
            if change or isinstance(span, torch.Tensor):
                out.addcmul_(K[j], span * (weight + change * beta))
            else:
                out.add_(K[j], alpha=span * weight)
        return out
