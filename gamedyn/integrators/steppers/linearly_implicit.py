"""The stepper of linearly implicit methods: Rosenbrock, W-methods, competitive gradient descent, splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gamedyn.integrators._types import Combination, StepInfo, Stepper
from gamedyn.integrators.equations.newton import Krylov, default_rtol
from gamedyn.krylov import gmres
from gamedyn.methods import LinearlyImplicit

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["LinearlyImplicitStepper", "time_derivative"]


class LinearlyImplicitStepper(Stepper):
    """Every stage solves `(I - h Gamma_ii W) k_i = v(...) + h W sum_j Gamma_ij k_j` by GMRES, W a part of J at y.

    W is applied by products with the linearised field and never formed; parts other than "full" take two products
    (a player each for "cross", J u and J^T u for "sym" and "skew"). A system that is not solved rejects the step.
    """

    takes: ClassVar[type] = LinearlyImplicit
    options: ClassVar[tuple[str, ...]] = ("solver",)
    solvers: ClassVar[tuple[type, ...]] = (Krylov,)
    variational: ClassVar[bool] = False

    def __init__(self, method: LinearlyImplicit, solver: Krylov | None = None) -> None:
        self.method, self.solver = method, Krylov() if solver is None else solver
        self._points = [Combination(row) for row in method.A]
        self._linear = [Combination(row[:i]) for i, row in enumerate(method.gamma)]
        self._diagonal = [float(row[i]) for i, row in enumerate(method.gamma)]
        self._final = Combination(method.b)
        b_hat = method.b_hat
        self._error = None if b_hat is None else Combination([b - e for b, e in zip(method.b, b_hat, strict=True)])
        self._nodes = [float(c) for c in method.alpha]
        self._slopes = [float(c) for c in method.time_slopes]

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, Any, StepInfo]:
        """One step: one linearisation, an evaluation and a linear system for every stage."""
        span, start = float(h), float(t)
        at: Any = field.linearise(start, y)
        W = applied(at, self.method.part)
        moving = self.method.part == "full" and not field.autonomous
        drift = time_derivative(field, start, y, at.value, span) if moving else None
        K, counts, status = y.new_empty(self.method.stages, *y.shape), {"krylov_products": 0.0}, "ok"
        for i in range(self.method.stages):
            value = at.value
            if self._points[i].used:
                value = field(start + self._nodes[i] * span, self._points[i](y, K, span))
            right = value if drift is None else torch.add(value, drift, alpha=span * self._slopes[i])
            if self._linear[i].used:
                right = torch.add(right, W(self._linear[i](torch.zeros_like(y), K, 1.0)), alpha=span)
            K[i], status, products = self._solved(W, right, span * self._diagonal[i])
            counts["krylov_products"] += products
            if status != "ok":
                K[i + 1 :] = 0
                break
        error = None if self._error is None else self._error(torch.zeros_like(y), K, span)
        return self._final(y, K, span), memory, StepInfo(status, counts, error=error)

    def _solved(self, W: Callable[[Tensor], Tensor], right: Tensor, weight: float) -> tuple[Tensor, str, int]:
        if not weight:
            return right, "ok", 0
        shape = right.shape
        solution = gmres(
            lambda u: torch.sub(u, W(u.view(shape)).reshape(-1), alpha=weight),
            right.reshape(-1),
            rtol=self.solver.rtol or default_rtol(right.dtype),
            restart=self.solver.dimension,
            max_products=self.solver.max_products,
            check=False,
            look_every=self.solver.look_every,
        )
        ended = {"converged": "ok", "breakdown": "krylov_breakdown"}
        status = "ok" if solution.status == "stagnated" and solution.residual < 1e-3 else ended.get(solution.status)
        return solution.x.view(shape), status or "not_converged", solution.products


def applied(at: Any, part: str) -> Callable[[Tensor], Tensor]:
    """U -> W u for a part of the linearised field."""
    parts: dict[str, Callable[[Tensor], Tensor]] = {
        "full": at.jvp,
        "cross": at.cross,
        "sym": lambda u: (at.jvp(u) + at.vjp(u)) / 2,
        "skew": lambda u: (at.jvp(u) - at.vjp(u)) / 2,
    }
    return parts[part]


def time_derivative(field: VectorField, t: float, y: Tensor, value: Tensor, h: float) -> Tensor:
    """dv/dt at (t, y), from v there and two evaluations within the step: a forward difference of order 2.

    Times are rounded, the more the later: the difference divides by the distances as they are, and takes none that the
    field could not tell from 0.
    """
    eps = torch.finfo(y.dtype).eps
    step = min(h / 2, max(10 * eps ** (1 / 3) * h, 1e3 * eps * abs(t)))
    near, far = t + step, t + 2 * step
    first, second = near - t, far - t
    if not 0 < first < second:  # t + h is t
        return torch.zeros_like(value)
    slope: Tensor = ((field(near, y) - value) * (second / first) - (field(far, y) - value) * (first / second)) / (
        second - first
    )
    return slope
