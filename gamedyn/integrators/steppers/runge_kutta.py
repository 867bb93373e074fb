"""The stepper of explicit Runge-Kutta methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.methods import RungeKutta
from gamedyn.methods._coefficients import tolerance_of

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["RungeKuttaStepper", "refuse_inconsistent"]


class RungeKuttaStepper(Stepper):
    """`k_i = v(t + c_i h, y + h sum_j A_ij k_j)`, `y+ = y + h sum_i b_i k_i`.

    Eager, it holds the stages and the field's point: s + 1 registers of parameter size beside y. Stages that the
    result does not need (those of the error estimate alone) are evaluated where the estimate is asked for.
    """

    takes: ClassVar[type] = RungeKutta
    keeps_stages: ClassVar[bool] = True
    entrywise: ClassVar[bool] = True

    def __init__(self, method: RungeKutta) -> None:
        refuse_inconsistent(method)
        self.method, s = method, method.needed
        self._inner = [Combination(row) for row in method.A]
        self._final = Combination(method.b[:s])
        b_hat = method.b_hat
        self._error = None if b_hat is None else Combination([b - e for b, e in zip(method.b, b_hat, strict=True)])
        low = method.b_low
        self._low = None if low is None else Combination([b - e for b, e in zip(method.b, low, strict=True)])
        self._nodes = [float(c) for c in method.c]
        self._made: tuple[Any, Any, Any] = ((), (), None)
        self._owner: VectorField | None = None

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Explicit methods."""
        return bool(method.explicit)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step; as many evaluations as the result needs."""
        return self.step_and_slope(field, t, y, h)[0], {}, OK

    def step_and_slope(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, clock: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor, StepInfo]:
        """The step, and v(t, y), its first stage; the next step overwrites the latter.

        Time advances by `clock` where that differs from h: the step is then one on `y' = (h / clock) v`.
        """
        rows, inner, final = self._bound(field, self.method.needed)
        span = h if clock is None else clock
        for node, combine, row in zip(self._nodes, inner, rows, strict=False):
            field(_time(t, node, span), y if combine is None else combine(y, h, field.point), row)
        return final(y, h, None), rows[0], OK

    def step_with_error(
        self, field: VectorField, t: float, y: Tensor, h: float, first: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor, Tensor | None]:
        """The step, its error estimates `h sum_i (b_i - b_hat_i) k_i`, its first slope, and its last if that is v(y+).

        Args:
            field: the field.
            t: time.
            y: point.
            h: step.
            first: v(t, y), where it is known.
        """
        rows, inner, final = self._bound(field, self.method.stages)
        for i, (node, combine, row) in enumerate(zip(self._nodes, inner, rows, strict=True)):
            if i == 0 and first is not None:
                row.copy_(first)
            else:
                field(_time(t, node, h), y if combine is None else combine(y, h, field.point), row)
        weights = [w for w in (self._error, self._low) if w is not None]
        errors = tuple(w(torch.zeros_like(y), rows, h) for w in weights)
        return final(y, h, None), errors, rows[0], rows[-1] if self.method.fsal else None

    def release(self) -> None:
        """Give the stages' room back: a starting rule is not used again."""
        if self._owner is not None:
            self._owner.release(self._made[0])
        self._made, self._owner = ((), (), None), None

    def _bound(self, field: VectorField, stages: int) -> tuple[Any, Any, Any]:
        """Room for the stages, and the combinations of it: made once per field (traced: each time)."""
        if self._owner is not field or len(self._made[0]) < stages:
            K = field.stages(stages)
            inner = [c.on(K) if c.used else None for c in self._inner[:stages]]
            made = list(K), inner, self._final.on(K)
            if not field.persistent:
                return made
            self._made, self._owner = made, field
        rows, inner, final = self._made
        return rows[:stages], inner[:stages], final


def refuse_inconsistent(method: RungeKutta) -> None:
    """Refuse weights that make no step; as data, for theory, they are what they are.

    Raises:
        ArgumentError: if b or b_hat do not add up to the method's clock, or are one and the same.
    """
    scale, tolerance = method.time_scale, tolerance_of(method.digits)
    remedy = "check them; digits= says how many decimals are right, time_scale= what they add up to"
    for name, weights in (("b", method.b), ("b_hat", method.b_hat)):
        total = scale if weights is None else sum(weights)
        if abs(total - scale) > tolerance:
            got = f"{method}, whose sum is {float(total):.6g}, off by {float(total - scale):.3g}"
            raise ArgumentError("method", f"a consistent method: weights {name} that add up to {scale}", got, remedy)
    if method.b_hat == method.b:
        got = f"{method}, whose error estimate is always 0"
        raise ArgumentError("method", "embedded weights b_hat that differ from b", got, "leave b_hat out")


def _time(t: float | Tensor, node: float, h: float | Tensor) -> float | Tensor:
    return t + node * h if node else t
