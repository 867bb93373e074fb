"""The stepper of exponential Rosenbrock methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import StepInfo, Stepper
from gamedyn.integrators.equations.newton import Krylov, default_rtol
from gamedyn.integrators.steppers.linearly_implicit import time_derivative
from gamedyn.krylov import phi_combination
from gamedyn.methods import ExponentialRosenbrock

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["ExponentialStepper"]


class ExponentialStepper(Stepper):
    """`y+ = y + h phi_1(hJ) v + h^2 phi_2(hJ) dv/dt + h sum_i b_i(hJ) D_i`, phi-functions by Krylov spaces of J at y.

    Exact on linear games, to the solver's tolerance. A phi-function that does not converge rejects the step.
    """

    takes: ClassVar[type] = ExponentialRosenbrock
    options: ClassVar[tuple[str, ...]] = ("solver",)
    solvers: ClassVar[tuple[type, ...]] = (Krylov,)
    variational: ClassVar[bool] = False

    def __init__(self, method: ExponentialRosenbrock, solver: Krylov | None = None) -> None:
        self.method, self.solver = method, Krylov() if solver is None else solver
        self._nodes = [float(c) for c in method.c]
        self._weights = [{k: float(x) for k, x in w} for w in method.b]
        self._highest = max([2, *(k for w in self._weights for k in w)])

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step: one linearisation, an evaluation for every inner stage."""
        span, start = float(h), float(t)
        at: Any = field.linearise(start, y)
        drift = None if field.autonomous else time_derivative(field, start, y, at.value, span)
        counts, status = {"krylov_products": 0.0}, "ok"
        terms: list[Tensor | None] = [None, span * at.value, None if drift is None else span**2 * drift]
        terms += [None] * (self._highest - 2)
        correction: list[Tensor | None] = [None] * len(terms)
        for c, weights in zip(self._nodes, self._weights, strict=True):
            inner = [None, c * span * at.value, None if drift is None else (c * span) ** 2 * drift]
            moved, status = self._phi(at, inner, c * span, counts)
            if status != "ok":
                return y + moved, memory, StepInfo(status, counts)
            gap = field(start + c * span, y + moved) - at.value - at.jvp(moved)
            if drift is not None:
                gap = torch.sub(gap, drift, alpha=c * span)
            for k, x in weights.items():
                term = span * x * gap
                correction[k] = term if correction[k] is None else correction[k] + term
        error = None
        if self._nodes:
            error, status = self._phi(at, correction, span, counts)
            if status != "ok":
                return y + error, memory, StepInfo(status, counts)
        moved, status = self._phi(at, terms, span, counts)
        new = y + moved if error is None else y + moved + error
        return new, memory, StepInfo(status, counts, error=error)

    def _phi(self, at: Any, terms: list[Tensor | None], span: float, counts: dict[str, float]) -> tuple[Tensor, str]:
        """`sum_k phi_k(span J) terms[k]`."""
        shape = at.value.shape
        flat = [None if b is None else b.reshape(-1) for b in terms]
        result = phi_combination(
            lambda u: span * at.jvp(u.view(shape)).reshape(-1),
            flat,
            rtol=self.solver.rtol or default_rtol(at.value.dtype),
            dimension=min(self.solver.dimension, 60),
            max_products=self.solver.max_products,
            look_every=self.solver.look_every,
        )
        counts["krylov_products"] += result.products
        return result.value.view(shape), "ok" if result.converged else "not_converged"
