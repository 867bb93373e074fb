"""torchdiffeq's fixed-grid and Adams methods, stepped by torchdiffeq.

One of its solver objects is kept alive over the whole run, so that its Adams methods keep their history
(a call of `odeint` per step would restart them, and Adams would be rk4). Which methods there are is read
off the installed version. Guarded: time is float64 (float32 grids gain a spurious last step), options are
checked by name (torchdiffeq only warns), the order of Adams is given in so many words (`max_order = k`
means AB(k-1), and the default ends at AB11, which is stable on [-0.0034, 0]), a corrector that does not
converge is a status and not a warning.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torchdiffeq._impl.fixed_adams import AdamsBashforth, AdamsBashforthMoulton
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.solvers import FixedGridODESolver

from gamedyn._lib.checks import known_options, positive, positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Delegated

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import Field

__all__ = ["TorchdiffeqStepper", "torchdiffeq_methods"]


def torchdiffeq_methods() -> tuple[str, ...]:
    """The fixed-grid and Adams methods of the installed torchdiffeq, with their prefix.

    Example:
        >>> "torchdiffeq:rk4" in torchdiffeq_methods()
        True
    """
    return tuple(
        sorted(f"torchdiffeq:{name}" for name, solver in SOLVERS.items() if issubclass(solver, FixedGridODESolver))
    )


TOLERANCES = {"rtol": 1e-7, "atol": 1e-9}
"""Of `torchdiffeq.odeint`; only the implicit Adams corrector looks at them."""


class TorchdiffeqStepper(Stepper):
    """Steps `torchdiffeq:<method>`.

    Options of the Adams methods: `order` (explicit: 3 to 11, the order of Adams-Bashforth; implicit: 4 to 12,
    that of the corrector; 4 unless given), and for implicit ones `max_iters`, `rtol`, `atol`. Memory: the
    solver's field values, newest first.
    """

    takes: ClassVar[type] = Delegated
    traces: ClassVar[bool] = False
    ensembles: ClassVar[bool] = False
    variational: ClassVar[bool] = False

    def __init__(self, method: Delegated) -> None:
        if method.name not in torchdiffeq_methods():
            if method.method in SOLVERS:
                remedy = "adaptive methods choose their own steps and are not stepped here"
                raise ArgumentError("method", "a fixed-grid or Adams method", method.name, remedy)
            raise UnknownNameError("method", method.name, torchdiffeq_methods())
        self.method, self._solver_type = method, SOLVERS[method.method]
        self._adams = issubclass(self._solver_type, AdamsBashforthMoulton)
        self._options = {**TOLERANCES, **(_adams_options(method) if self._adams else {})}
        if not self._adams:
            known_options(method.name, method.options, ())
        self.changes_h = not self._adams
        self._solver: Any = None
        self._field: Field | None = None

    def init(self, field: Field, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """An empty history."""
        return {"fields": []}

    def started(self, memory: Any) -> bool:
        """Whether an Adams method has its whole history."""
        return not self._adams or len(memory["fields"]) == self._options["max_order"] - 1

    def step(
        self, field: Field, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step of the living solver on the field's present batch."""

        def func(when: Tensor, point: Tensor, *, perturb: object = None) -> Tensor:
            return field(float(when), point)

        if self._solver is None or self._field is not field:
            self._solver = self._solver_type(func=func, y0=y, **self._options)
            self._field = field
        if self._adams:
            self._solver.prev_f.clear()
            self._solver.prev_f.extend(memory["fields"])
            self._solver.prev_t = None
        start = torch.tensor(float(t), dtype=torch.float64)
        dt = torch.tensor(float(h), dtype=torch.float64)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            change, _ = self._solver._step_func(func, start, dt, start + dt, y)
        missed = any("did not converge" in str(w.message) for w in caught)
        fields = list(self._solver.prev_f) if self._adams else []
        return y + change, {"fields": fields}, StepInfo("not_converged") if missed else OK


def _adams_options(method: Delegated) -> dict[str, Any]:
    explicit = issubclass(SOLVERS[method.method], AdamsBashforth)
    given = dict(method.options)
    known_options(method.name, given, ("order",) if explicit else ("order", "max_iters", "rtol", "atol"))
    low, high = (3, 11) if explicit else (4, 12)
    order = positive_int("order", given.pop("order", 4), least=low)
    if order > high:
        raise ArgumentError("order", f"{low} to {high}", order)
    for name in given:
        given[name] = positive_int(name, given[name]) if name == "max_iters" else positive(name, given[name])
    return {"max_order": order + 1 if explicit else order, **given}
