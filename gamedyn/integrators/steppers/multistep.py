"""The stepper of linear multistep methods, explicit and implicit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gamedyn._lib.checks import choice
from gamedyn._lib.errors import ArgumentError
from gamedyn.integrators._types import OK, Combination, StepInfo, Stepper
from gamedyn.integrators.equations.newton import Anderson, NewtonKrylov, StageEquation
from gamedyn.integrators.steppers.implicit import ImplicitRungeKuttaStepper
from gamedyn.integrators.steppers.runge_kutta import RungeKuttaStepper
from gamedyn.methods import LinearMultistep
from gamedyn.stability.regions.zero_stability import zero_stable

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField
    from gamedyn.integrators.equations.newton import Solver
    from gamedyn.methods import RungeKutta

__all__ = ["HISTORY", "MultistepStepper", "start_stepper"]

HISTORY = ("stale", "refresh")
"""Whether past field values stay those of the batch they were evaluated on, or are evaluated anew on every batch."""


class MultistepStepper(Stepper):
    """`y_{n+k} + sum_{j<k} alpha_j y_{n+j} = h sum_j beta_j v_{n+j}`, started by the method's own rule.

    Memory, newest first: `fields`, past field values that enter the formula; `values`, past points where an alpha,
    a coupling or refreshed history needs them; `filled`, how many steps are behind. A field value belongs to the
    batch it was evaluated on: "stale" history keeps it so, "refresh" evaluates all of it anew on every batch, at an
    evaluation each. The oldest value's room is written again in the next step. Implicit methods solve for the
    newest field value; it enters the history as it was solved.
    """

    takes: ClassVar[type] = LinearMultistep
    keeps_stages: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("solver", "history")
    solvers: ClassVar[tuple[type, ...]] = (NewtonKrylov, Anderson)
    changes_h: bool = False

    def __init__(self, method: LinearMultistep, solver: Solver | None = None, history: str = "stale") -> None:
        _refuse_unstable(method)
        self.method, self.history = method, choice("history", history, HISTORY)
        self._implicit = not method.explicit
        if solver is not None and not self._implicit:
            raise ArgumentError("solver", f"none for {method!r}", solver, "explicit methods solve nothing")
        self.solver = NewtonKrylov() if solver is None else solver
        self.variational = method.coupling is None  # type: ignore[misc]
        k = method.steps
        self._back = k - 1
        old = method.beta[:k][::-1]  # of v_n, v_{n-1}, ..., newest first
        self._slopes = Combination(old)
        self._reach = max((j + 1 for j, b in enumerate(old) if b), default=0)
        """How many of v_n, v_{n-1}, ... enter."""
        self._newest = float(method.beta[-1])
        self._points = [-float(a) for a in method.alpha[:k][::-1]]
        self._coupling = [float(x) for x in (method.coupling or ())[::-1]]
        refreshed = history == "refresh" and self._reach > 1
        self._keeps_points = any(self._points[1:]) or bool(self._coupling) or refreshed
        self._refreshes = refreshed
        if refreshed and method.start == "rest":
            remedy = "before the start it stood still, which no field at its points says"
            raise ArgumentError("history", f'"stale" for {method!r}', history, remedy)
        self._start = start_stepper(method.start, solver) if k > 1 else None
        self._spare: Tensor | None = None
        self._owner: VectorField | None = None

    @property
    def _kept_fields(self) -> int:
        """Past field values in the memory: v_n too where it was solved for in the step before."""
        if self._refreshes:
            return 0
        return max(0, self._reach - (0 if self._implicit else 1))

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """Room for the history: empty, or that of players at rest."""
        room = list(field.stages(self._kept_fields + 1))
        self._spare, self._owner = room.pop(), field
        rest = self.method.start == "rest"
        if rest:
            for row in room:
                row.zero_()
        values = [y.clone() if rest else torch.zeros_like(y) for _ in range(self._back)] if self._keeps_points else []
        if self._implicit and room and self._back == 0:
            field(t, y, room[0])
        return {"fields": room, "values": values, "filled": self._back if rest else 0}

    def started(self, memory: Any) -> bool:
        """Whether the history is full."""
        return bool(memory["filled"] == self._back)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: one evaluation (all of the history where it is refreshed), a solve, or the starting method's."""
        fields, values, filled = memory["fields"], memory["values"], memory["filled"]
        if filled < self._back:
            new, newest, info = self._first_steps(field, t, y, h, filled, fields)
            filled += 1
            if filled == self._back:
                self._start.release()  # type: ignore[union-attr]
        else:
            new, newest, info = self._formula(field, t, y, h, fields, values)
        kept = [newest, *fields][: self._kept_fields] if newest is not None else fields
        if fields and newest is not None and field.persistent:
            self._spare, self._owner = fields[-1], field
        memory = {
            "fields": kept,
            "values": [y, *values][: self._back] if self._keeps_points else [],
            "filled": filled,
        }
        return new, memory, info

    def _first_steps(
        self, field: VectorField, t: Any, y: Tensor, h: Any, filled: int, fields: list[Tensor]
    ) -> tuple[Tensor, Tensor | None, StepInfo]:
        """A step of the starting method; the field value that enters the history."""
        span = h if self.method.time_scale == 1 else h * float(self.method.time_scale)
        if self._implicit and self._kept_fields and filled == 0:
            field(t, y, fields[0])
        new, slope, info = self._start.step_and_slope(field, t, y, span, clock=h)  # type: ignore[union-attr]
        if not self._kept_fields:
            return new, None, info
        if self._implicit:
            return new, field(t + h, new, self._room(field)), info
        if slope is None:
            return new, field(t, y, self._room(field)), info
        return new, self._room(field).copy_(slope), info

    def _formula(
        self, field: VectorField, t: Any, y: Tensor, h: Any, fields: list[Tensor], values: list[Tensor]
    ) -> tuple[Tensor, Tensor | None, StepInfo]:
        """The method itself, once started."""
        coupled, newest = None, None
        if self._coupling:
            at: Any = field.linearise(t, y)
            newest = self._room(field).copy_(at.value)
            gap = sum(w * v for w, v in zip(self._coupling, [y, *values], strict=True))
            coupled = at.cross(gap)
        elif not self._implicit or (self._refreshes and self._reach):
            newest = field(t, y, None if not field.persistent else self._room(field))
        if self._refreshes:
            past = range(1, self._reach)
            fields = [field(t - j * h, values[j - 1]).clone() for j in past]
        base = y if self._points[0] == 1 else y * self._points[0]
        for weight, value in zip(self._points[1:], values, strict=False):
            if weight:
                base = torch.add(base, value, alpha=weight)
        history = fields if newest is None else [newest, *fields]
        known = self._slopes(base, history, h)
        if coupled is not None:
            known = torch.add(known, coupled, alpha=float(h))
        if not self._implicit:
            return known, newest if self._kept_fields else None, OK
        return self._solved(field, t, known, h)

    def _solved(self, field: VectorField, t: Any, known: Tensor, h: Any) -> tuple[Tensor, Tensor | None, StepInfo]:
        span = float(h)
        equation = StageEquation(field, [float(t) + span], known, [[self._newest]], span)
        outcome = self.solver.solve(equation, known.new_zeros(known.numel()))
        slope = outcome.x.view(known.shape)
        new = torch.add(known, slope, alpha=span * self._newest)
        kept = self._room(field).copy_(slope) if self._kept_fields else None
        return new, kept, StepInfo(outcome.status, outcome.counts)

    def _room(self, field: VectorField) -> Tensor:
        """Where the newest field value goes: the room of the one just forgotten."""
        return self._spare if self._owner is field else field.stages(1)[0]  # type: ignore[return-value]


def start_stepper(start: RungeKutta | str, solver: Solver | None) -> Any:
    """The stepper of a starting rule; None for players at rest."""
    if isinstance(start, str):
        return None
    return RungeKuttaStepper(start) if start.explicit else ImplicitRungeKuttaStepper(start, solver)


def _refuse_unstable(method: LinearMultistep) -> None:
    """Roots of rho outside the unit circle, or double on it: every error grows without bound as h falls."""
    if not zero_stable(method):
        roots = np.abs(np.roots([float(a) for a in reversed(method.alpha)]))
        remedy = "no step is small enough: check alpha"
        expected = "a zero-stable method: simple roots of rho in the unit disc"
        raise ArgumentError("method", expected, ", ".join(f"{r:.4g}" for r in roots), remedy)
