"""The stepper of implicit Runge-Kutta methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import Combination, StepInfo, Stepper
from gamedyn.integrators.equations.newton import Anderson, NewtonKrylov, StageEquation
from gamedyn.integrators.steppers.runge_kutta import refuse_inconsistent
from gamedyn.methods import RungeKutta

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField
    from gamedyn.integrators.equations.newton import Solver

__all__ = ["ImplicitRungeKuttaStepper"]


class ImplicitRungeKuttaStepper(Stepper):
    """`k_i = v(t + c_i h, y + h sum_j A_ij k_j)`, solved; `y+ = y + h sum_i b_i k_i`.

    Stages are solved one after the other where no stage uses a later one, else all at once. Memory: none; the first
    iterate is k = 0, so that the first linearisation is that at y, shared by all stages. A stage that does not
    converge rejects the step.
    """

    takes: ClassVar[type] = RungeKutta
    options: ClassVar[tuple[str, ...]] = ("solver",)
    solvers: ClassVar[tuple[type, ...]] = (NewtonKrylov, Anderson)

    def __init__(self, method: RungeKutta, solver: Solver | None = None) -> None:
        refuse_inconsistent(method)
        self.method, self.solver = method, NewtonKrylov() if solver is None else solver
        self._inner = [Combination(row[:i]) for i, row in enumerate(method.A)]
        self._final = Combination(method.b)
        self._error = None if method.b_hat is None else Combination(_difference(method))
        self._table = [[float(a) for a in row] for row in method.A]
        self._nodes = [float(c) for c in method.c]

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Implicit methods."""
        return not method.explicit

    def release(self) -> None:
        """Nothing is kept between steps."""

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step; the solver decides how many evaluations and products."""
        new, _, info = self.step_and_slope(field, t, y, h)
        return new, memory, info

    def step_and_slope(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, clock: float | Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, StepInfo]:
        """The step; v(t, y) where it is the first stage. Time advances by `clock` where that differs from h."""
        span, start = float(h), float(t)
        times = [start + c * float(h if clock is None else clock) for c in self._nodes]
        if self.method.diagonally_implicit:
            K, status, counts = self._one_by_one(field, times, y, span)
        else:
            equation = StageEquation(field, times, y, self._table, span)
            outcome = self.solver.solve(equation, equation.start)
            K, status, counts = outcome.x.view(len(times), *y.shape), outcome.status, dict(outcome.counts)
        first = K[0] if not any(self.method.A[0]) else None
        error = None if self._error is None else self._error(torch.zeros_like(y), K, span)
        return self._final(y, K, span), first, StepInfo(status, counts, error=error)

    def _one_by_one(
        self, field: VectorField, times: list[float], y: Tensor, h: float
    ) -> tuple[Tensor, str, dict[str, float]]:
        K, counts, guess = y.new_empty(len(times), *y.shape), dict[str, float](), y.new_zeros(y.numel())
        for i, t in enumerate(times):
            base = self._inner[i](y, K, h) if self._inner[i].used else y
            if not self._table[i][i]:
                field(t, base, K[i])
            else:
                equation = StageEquation(field, [t], base, [[self._table[i][i]]], h)
                outcome = self.solver.solve(equation, guess)
                for name, count in outcome.counts.items():
                    counts[name] = counts.get(name, 0.0) + count
                K[i] = outcome.x.view(y.shape)
                if outcome.status != "ok":
                    K[i + 1 :] = 0
                    return K, outcome.status, counts
            guess = K[i].reshape(-1)
        return K, "ok", counts


def _difference(method: RungeKutta) -> list[Any]:
    return [b - e for b, e in zip(method.b, method.b_hat or (), strict=True)]
