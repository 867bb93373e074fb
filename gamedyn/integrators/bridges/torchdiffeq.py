"""torchdiffeq's methods, stepped by torchdiffeq. Which there are is read off the installed version.

Of its fixed-grid and Adams methods one solver object is kept alive over the whole run, so that Adams keeps
its history (a call of `odeint` per step would restart it, and Adams would be rk4). An adaptive method takes
each step from t to t + h as an integration of its own, to its tolerances, landing on t + h. Guarded: time is
float64 (float32 grids gain a spurious last step), options are checked by name (torchdiffeq only warns), the
order of Adams is given in so many words (`max_order = k` means AB(k-1), and the default ends at AB11, which
is stable on [-0.0034, 0]), a corrector that does not converge and a step size that underflows are a status
and not a warning or an AssertionError.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torchdiffeq._impl.fixed_adams import (
    _BASHFORTH_COEFFICIENTS,
    _DIVISOR,
    _MAX_ORDER,
    AdamsBashforth,
    AdamsBashforthMoulton,
)
from torchdiffeq._impl.misc import _rms_norm
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.rk_common import RKAdaptiveStepsizeODESolver
from torchdiffeq._impl.scipy_wrapper import ScipyWrapperODESolver
from torchdiffeq._impl.solvers import FixedGridODESolver

from gamedyn._lib.checks import known_options, positive, positive_int
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Delegated, LinearMultistep

if TYPE_CHECKING:
    from torch import Tensor

    from gamedyn.core import VectorField

__all__ = ["TorchdiffeqStepper", "torchdiffeq_methods"]

LIBRARY = "torchdiffeq"
KINDS = (FixedGridODESolver, RKAdaptiveStepsizeODESolver, ScipyWrapperODESolver)
TOLERANCES = {"rtol": 1e-7, "atol": 1e-9}
"""Of `torchdiffeq.odeint`; fixed-grid methods do not look at them, of Adams only the implicit corrector."""
FACTORS = {"safety": (0.0, 1.0), "dfactor": (0.0, 1.0), "ifactor": (1.0, float("inf"))}
FAILURES = ("underflow in dt", "non-finite values in state", "max_num_steps exceeded")
"""How the AssertionErrors begin with which its adaptive methods give up."""


def torchdiffeq_methods() -> tuple[str, ...]:
    """The methods of the installed torchdiffeq, with their prefix.

    Example:
        >>> {"torchdiffeq:rk4", "torchdiffeq:dopri5"} <= set(torchdiffeq_methods())
        True
    """
    return tuple(sorted(f"{LIBRARY}:{name}" for name, solver in SOLVERS.items() if issubclass(solver, KINDS)))


def tableau_of(method: str) -> Any:
    """The solver class of an installed method that holds a tableau; None for others.

    Raises:
        UnknownNameError: for a method that is not installed.
    """
    if method not in SOLVERS:
        raise UnknownNameError("method of torchdiffeq", method, SOLVERS)
    return SOLVERS[method] if hasattr(SOLVERS[method], "tableau") else None


def adams_default() -> LinearMultistep:
    """The Adams-Bashforth method that torchdiffeq's own default `max_order` ends at, from its coefficients."""
    k = _MAX_ORDER - 1
    weights = [Fraction(b) / _DIVISOR[k] for b in reversed(_BASHFORTH_COEFFICIENTS[k])]
    return LinearMultistep([*[0] * (k - 1), -1, 1], [*weights, 0])


class TorchdiffeqStepper(Stepper):
    """Steps `torchdiffeq:<method>`.

    Options of the adaptive methods: `rtol` (1e-7) and `atol` (1e-9), `first_step`, `min_step`, `max_step`,
    `safety`, `ifactor`, `dfactor`, `max_num_steps` (of one step of h). At `min_step` torchdiffeq accepts
    whatever the error is. Of scipy_solver: `rtol`, `atol`, `min_step`, `max_step`; its solver is LSODA.

    Options of the Adams methods: `order` (explicit: 3 to 11, the order of Adams-Bashforth; implicit: 4 to 12,
    that of the corrector; 4 unless given), and for implicit ones `max_iters`, `rtol`, `atol`. Memory: the
    solver's field values, newest first.

    Raises:
        UnknownNameError: if torchdiffeq has no such method, or the method no such option.
        ArgumentError: for an option with a bad value.
    """

    takes: ClassVar[type] = Delegated
    variational: ClassVar[bool] = False

    def __init__(self, method: Delegated) -> None:
        if method.name not in torchdiffeq_methods():
            raise UnknownNameError("method", method.name, torchdiffeq_methods())
        self.method, self._solver_type = method, SOLVERS[method.method]
        self._adams = issubclass(self._solver_type, AdamsBashforthMoulton)
        self._adaptive = not issubclass(self._solver_type, FixedGridODESolver)
        self._options = {**TOLERANCES, **_options(method, self._solver_type)}
        self.changes_h = not self._adams
        self._solver: Any = None
        self._field: VectorField | None = None

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Whether it belongs to torchdiffeq."""
        return bool(method.library == LIBRARY)

    def init(self, field: VectorField, t: float, y: Tensor, h: float | Tensor) -> dict[str, Any]:
        """An empty history."""
        return {} if self._adaptive else {"fields": []}

    def started(self, memory: Any) -> bool:
        """Whether an Adams method has its whole history."""
        return not self._adams or len(memory["fields"]) == self._options["max_order"] - 1

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step, on the field's present batch."""
        start = torch.tensor(float(t), dtype=torch.float64)
        dt = torch.tensor(float(h), dtype=torch.float64)
        if self._adaptive:
            return self._integrated(field, torch.stack([start, start + dt]), y)

        def func(when: Tensor, point: Tensor, *, perturb: object = None) -> Tensor:
            return field(float(when), point)

        if self._solver is None or self._field is not field:
            self._solver = self._solver_type(func=func, y0=y, **self._options)
            self._field = field
        if self._adams:
            self._solver.prev_f.clear()
            self._solver.prev_f.extend(memory["fields"])
            self._solver.prev_t = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            change, _ = self._solver._step_func(func, start, dt, start + dt, y)
        missed = any("did not converge" in str(w.message) for w in caught)
        fields = list(self._solver.prev_f) if self._adams else []
        return y + change, {"fields": fields}, StepInfo("not_converged") if missed else OK

    def _integrated(self, field: VectorField, span: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """What `odeint` does from span[0] to span[1]; its own call would turn time into the players' dtype.

        The last inner step ends on span[1], and its own value is used: `odeint` evaluates the interpolant
        there, which is the same but for 16 times the rounding.
        """
        if not bool(y.isfinite().all()):
            return y.clone(), {}, OK
        func, options, span = _Counted(field), dict(self._options), span.to(y.device)
        adaptive = issubclass(self._solver_type, RKAdaptiveStepsizeODESolver)
        if adaptive:
            options["step_t"] = span[1:]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="lsoda")  # a failure, seen by the missing row
                solver = self._solver_type(func=func, y0=y, norm=_rms_norm, **options)
                rows = list(solver.integrate(span))
        except (AssertionError, _StandstillError) as error:
            if isinstance(error, AssertionError) and not str(error).startswith(FAILURES):
                raise
            rows = []
        if adaptive and len(rows) == 2 and solver.rk_state.t1 == span[1]:
            rows[1] = solver.rk_state.y1
        counts = {"inner_steps": float(func.accepted), "inner_rejected": float(func.rejected)}
        if len(rows) == 2:
            return rows[1], {}, StepInfo(counts=counts)
        if func.finite():
            return y.clone(), {}, StepInfo("not_converged", counts)
        return torch.full_like(y, float("nan")), {}, StepInfo(counts=counts)


class _StandstillError(Exception):
    """Time goes no further: LSODA would go on for ever."""


class _Counted:
    """A field as torchdiffeq's adaptive solvers call it, counting their steps."""

    def __init__(self, field: VectorField) -> None:
        self._field, self.accepted, self.rejected = field, 0, 0
        self._last: Tensor | None = None
        self._latest, self._since, self._patience = -float("inf"), 0, 1000 + 10 * field.layout.n

    def __call__(self, t: Tensor, y: Tensor, *, perturb: object = None) -> Tensor:
        when = float(t)
        self._since = 0 if when > self._latest else self._since + 1
        self._latest = max(when, self._latest)
        if self._since > self._patience:
            raise _StandstillError
        self._last = value = self._field(when, y)
        return value

    def finite(self) -> bool:
        """Whether the last value was finite."""
        return self._last is None or bool(self._last.isfinite().all())

    def callback_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        """A step begins."""

    def callback_accept_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        """A step is accepted."""
        self.accepted += 1

    def callback_reject_step(self, t: Tensor, y: Tensor, dt: Tensor) -> None:
        """A step is rejected."""
        self.rejected += 1


def _options(method: Delegated, solver: type) -> dict[str, Any]:
    if issubclass(solver, AdamsBashforthMoulton):
        return _adams_options(method)
    if issubclass(solver, FixedGridODESolver):
        known_options(method.name, method.options, ())
        return {}
    sizes = ("rtol", "atol", "min_step", "max_step")
    if issubclass(solver, ScipyWrapperODESolver):
        known_options(method.name, method.options, sizes)
    else:
        known_options(method.name, method.options, (*sizes, "first_step", *FACTORS, "max_num_steps"))
    given: dict[str, Any] = dict(method.options)
    for name, value in given.items():
        given[name] = positive_int(name, value) if name == "max_num_steps" else positive(name, value)
    for name, (low, high) in FACTORS.items():
        if name in given and not low < given[name] < high:
            raise ArgumentError(name, f"between {low:g} and {high:g}", given[name])
    if given.get("min_step", 0.0) > given.get("max_step", float("inf")):
        raise ArgumentError("min_step", f"at most max_step, {given['max_step']:g}", given["min_step"])
    return given


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
