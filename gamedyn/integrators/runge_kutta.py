"""The stepper of explicit Runge-Kutta methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.methods import RungeKutta

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import Field

__all__ = ["RungeKuttaStepper"]


class RungeKuttaStepper(Stepper):
    """`k_i = v(t + c_i h, y + h sum_j A_ij k_j)`, `y+ = y + h sum_i b_i k_i`.

    Eager, it holds the stages and the field's point: s + 1 registers of parameter size beside y.
    """

    takes: ClassVar[type] = RungeKutta

    def __init__(self, method: RungeKutta) -> None:
        if not method.explicit:
            remedy = "implicit methods have their theory in gamedyn.stability, but no stepper yet"
            raise ArgumentError("method", "an explicit method", method, remedy)
        if method.order < 1:
            raise ArgumentError(
                "method", "a consistent method: weights b that add up to 1", f"{method}, whose sum is {sum(method.b)}"
            )
        self.method = method
        self._inner = [Combination(row) for row in method.A]
        self._final = Combination(method.b)
        self._nodes = [float(c) for c in method.c]
        self._made: tuple[Any, Any, Any] = ((), (), None)
        self._owner: Field | None = None

    def step(
        self, field: Field, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step; s evaluations."""
        return self.step_and_slope(field, t, y, h)[0], {}, OK

    def step_and_slope(
        self, field: Field, t: float | Tensor, y: Tensor, h: float | Tensor, scale: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The step on `y' = scale v(t, y)`, and v(t, y), its first stage; the next step overwrites the latter."""
        span = h if scale == 1 else h * scale
        rows, inner, final = self._bound(field)
        for node, combine, row in zip(self._nodes, inner, rows, strict=True):
            field(_time(t, node, h), y if combine is None else combine(y, span, field.point), row)
        return final(y, span, None), rows[0]

    def _bound(self, field: Field) -> tuple[Any, Any, Any]:
        """Room for the stages, and the combinations of it: made once per field (traced: each time)."""
        if self._owner is not field:
            K = field.stages(self.method.stages)
            inner = [c.on(K) if c.used else None for c in self._inner]
            made = list(K), inner, self._final.on(K)
            if field.point is None:
                return made
            self._made, self._owner = made, field
        return self._made


def _time(t: float | Tensor, node: float, h: float | Tensor) -> float | Tensor:
    return t + node * h if node else t
