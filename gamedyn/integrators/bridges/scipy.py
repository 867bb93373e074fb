"""SciPy's initial value solvers: each step integrates the frozen field from t to t + h to tolerances.

A step begins anew, since the next one may have another batch: the multistep methods (NDF, LSODA) start again
at order 1, and an adaptive first step is chosen each time. Results are those of `scipy.integrate.solve_ivp`
over one step, whose points in between are not kept. State and time are float64 there, whatever the players
are. SciPy's "BDF" runs the NDF of Shampine and Reichelt and is called so here.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import scipy.integrate
import torch
from torch import Tensor

from gamedyn._lib.checks import choice, known_options, positive
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.integrators._types import OK, StepInfo, Stepper
from gamedyn.methods import Delegated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gamedyn.core import VectorField

__all__ = ["ScipyStepper", "scipy_methods"]

LIBRARY = "scipy"
TOLERANCES = {"rtol": 1e-3, "atol": 1e-6}
"""Of `solve_ivp`."""
LEAST_RTOL = 100 * float(np.finfo(float).eps)
"""SciPy replaces what is smaller, with no more than a warning."""
STEPS = ("rtol", "atol", "first_step", "max_step")
JACOBIANS = ("differences", "exact")


class _Solver(NamedTuple):
    type: Any
    options: tuple[str, ...]


SOLVERS = {
    "RK23": _Solver(scipy.integrate.RK23, STEPS),
    "RK45": _Solver(scipy.integrate.RK45, STEPS),
    "DOP853": _Solver(scipy.integrate.DOP853, STEPS),
    "Radau": _Solver(scipy.integrate.Radau, (*STEPS, "jac")),
    "NDF": _Solver(scipy.integrate.BDF, (*STEPS, "jac")),
    "LSODA": _Solver(scipy.integrate.LSODA, (*STEPS, "min_step", "jac")),
}


def scipy_methods() -> tuple[str, ...]:
    """The methods of SciPy's `solve_ivp`, with their prefix.

    Example:
        >>> scipy_methods()[:3]
        ('scipy:DOP853', 'scipy:LSODA', 'scipy:NDF')
    """
    return tuple(sorted(f"{LIBRARY}:{name}" for name in SOLVERS))


class ScipyStepper(Stepper):
    """Steps `scipy:<method>`: RK23, RK45, DOP853, Radau, LSODA, NDF.

    Options: `rtol` (1e-3) and `atol` (1e-6), `first_step`, `max_step`; LSODA's `min_step`; and of the
    implicit ones `jac`: "differences", n more evaluations each time, SciPy's own; or "exact", the dense
    Jacobian of the field. Unless given it is "differences" for float64 players, else "exact": SciPy
    differences at 1e-8, where a float32 field is rounding noise. A failure is the status "not_converged";
    where the field was not finite, the state is nan after it.

    Raises:
        UnknownNameError: if SciPy has no such method, or the method no such option.
        ArgumentError: for an option with a bad value, and for "scipy:BDF".
    """

    takes: ClassVar[type] = Delegated
    variational: ClassVar[bool] = False

    def __init__(self, method: Delegated) -> None:
        if method.method.upper() == "BDF":
            remedy = "SciPy's is the NDF of Shampine and Reichelt (1997), whose stability differs from textbook BDF's"
            raise ArgumentError("method", "'scipy:NDF', or gamedyn's own 'bdf2'", method.name, remedy)
        if method.method not in SOLVERS:
            raise UnknownNameError("method", method.name, scipy_methods())
        self.method, self._solver = method, SOLVERS[method.method]
        known_options(method.name, method.options, self._solver.options)
        self._options = {**TOLERANCES, **_checked(method.options)}
        self._jac = self._options.pop("jac", None)

    @classmethod
    def accepts(cls, method: Any) -> bool:
        """Whether it belongs to SciPy."""
        return bool(method.library == LIBRARY)

    def step(
        self, field: VectorField, t: float | Tensor, y: Tensor, h: float | Tensor, memory: Any
    ) -> tuple[Tensor, dict[str, Any], StepInfo]:
        """One step: from t to t + h, as many inner steps as the tolerances ask for."""
        if not bool(y.isfinite().all()):
            return y.clone(), {}, OK
        function, start, end = _Function(field, y), float(t), float(t) + float(h)
        options = dict(self._options)
        if "first_step" in options:
            options["first_step"] = min(options["first_step"], end - start)
        if "jac" in self._solver.options:
            options["jac"] = self._jacobian(field, y)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="lsoda")  # it fails by a warning and a status
                warnings.filterwarnings("ignore", category=RuntimeWarning)  # overflow on the way to a failure
                solver = self._solver.type(function, start, y.double().cpu().numpy(), end, **options)
                inner = 0
                while solver.status == "running" and solver.t != solver.t_old:  # LSODA may stand still for ever
                    solver.step()
                    inner += 1
        except (_NotFiniteError, ValueError, np.linalg.LinAlgError):
            if function.finite:
                raise
            return torch.full_like(y, float("nan")), {}, OK
        counts = {"inner_steps": float(inner)}
        if solver.status == "finished":
            return torch.tensor(solver.y).to(y), {}, StepInfo(counts=counts)
        if function.finite:
            return y.clone(), {}, StepInfo("not_converged", counts)
        return torch.full_like(y, float("nan")), {}, StepInfo(counts=counts)

    def _jacobian(self, field: VectorField, like: Tensor) -> Callable[[float, NDArray[np.float64]], Any] | None:
        kind = self._jac or ("differences" if like.dtype == torch.float64 else "exact")
        if kind == "differences":
            return None

        def jacobian(t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            at: Any = field.linearise(float(t), torch.tensor(y).to(like))
            matrix: NDArray[np.float64] = at.to_dense().double().cpu().numpy()
            return matrix

        return jacobian


class _NotFiniteError(Exception):
    """The field is not finite where a step begins: SciPy's first step would be nan, and never end."""


class _Function:
    """A field as a function of NumPy arrays; knows whether its last value was finite."""

    def __init__(self, field: VectorField, like: Tensor) -> None:
        self._field, self._like, self._first, self.finite = field, like, True, True

    def __call__(self, t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        value = self._field(float(t), torch.tensor(y).to(self._like)).double().cpu().numpy()
        self.finite = bool(np.isfinite(value).all())
        if self._first and not self.finite:
            raise _NotFiniteError
        self._first = False
        return value


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(options)
    if "jac" in given:
        given["jac"] = choice("jac", given["jac"], JACOBIANS)
    for name in given:
        if name != "jac":
            given[name] = positive(name, given[name])
    if given.get("rtol", 1.0) < LEAST_RTOL:
        raise ArgumentError("rtol", f"at least {LEAST_RTOL:.3g}, which float64 can hold", given["rtol"])
    return given
