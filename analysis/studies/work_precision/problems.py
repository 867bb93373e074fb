"""Three full-batch problems in float64, each with a solution at its end that is known to many digits."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch import nn

import gamedyn as gd
from analysis.common.digits import digits
from analysis.common.parts import Result
from gamedyn.jacobian import FrozenField as Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["NAMES", "R1_WEIGHT", "STIFF", "Problem", "check", "problem", "weights"]

NAMES = ("dirac", "stiff", "network")

R1_WEIGHT = 0.3
"""Of the Dirac-GAN."""

MIRROR = np.array([[7.0, -4.0, -4.0], [-4.0, 1.0, -8.0], [-4.0, -8.0, 1.0]]) / 9
"""The reflection at the plane orthogonal to (1, 2, 2): mixes rotation and decay over all three players."""

MODES = np.array([[-0.01, -10.0, 0.0], [10.0, -0.01, 0.0], [0.0, 0.0, -100.0]])

STIFF = MIRROR @ MODES @ MIRROR
"""J of the stiff rotating game: eigenvalues -0.01 +- 10i and -100.

Three players with one parameter each, so that every real matrix is the J of a game: `L_i = -J_ii y_i^2 / 2 - y_i sum_j
J_ij y_j`. No entry of it is 0: each player sees both the rotation and the fast decay.
"""

ENDS = {"dirac": 10.0, "stiff": 2.0, "network": 5.0}


@dataclass(frozen=True)
class Problem:
    """What is solved, from `y0` at time 0 to `end`; `reference` is the solution there."""

    name: str
    flow: Any
    batch: Any
    end: float
    y0: NDArray[np.float64]
    reference: NDArray[np.float64]

    def error(self, y: Any) -> float:
        """`|y - y(end)| / |y(end)|`."""
        gap = np.linalg.norm(np.asarray(y) - self.reference) / np.linalg.norm(self.reference)
        return float(gap)

    def field(self) -> Field:
        """The field on its one batch; counts its work."""
        return field_of(self.flow, self.batch)

    def function(self, field: Field) -> Callable[[float, NDArray[np.float64]], NDArray[np.float64]]:
        """A field as SciPy calls it."""

        def fun(t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.no_grad():
                return field(t, torch.as_tensor(y)).numpy()

        return fun


def field_of(flow: Any, batch: Any) -> Field:
    """The field of a flow, on one batch for good."""
    field = Field(flow, one_batch=True)
    field.begin_step(batch)
    return field


def flow_and_batch(name: str) -> tuple[Any, Any]:
    """The flow of a named problem, and what its losses take."""
    if name == "dirac":
        return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", R1_WEIGHT)), None
    if name == "stiff":
        return gd.flows.gradient(gd.games.quadratic(torch.as_tensor(-STIFF))), None
    g = torch.Generator().manual_seed(0)
    G = gd.games.mlp((2, 4, 64), generator=g, dtype=torch.float64).append(nn.Tanh())
    D = gd.games.mlp((64, 4, 1), generator=g, dtype=torch.float64)
    flow = gd.flows.gradient(gd.games.gan(G, D, "nonsaturating")).with_term(gd.losses.r1(0.1))
    return flow, (torch.as_tensor(digits()[:64]), torch.randn(64, 2, generator=g, dtype=torch.float64))


@lru_cache(maxsize=8)
def problem(name: str, rtol: float) -> Problem:
    """A named problem; its reference is `exp(J end) y0` where the field is linear, else SciPy's DOP853 at rtol."""
    flow, batch = flow_and_batch(name)
    y0, end = flow.initial_state().y.numpy(), ENDS[name]
    blank = Problem(name, flow, batch, end, y0, y0)
    reference = expm(end * STIFF) @ y0 if name == "stiff" else solved(blank, "DOP853", rtol)
    return Problem(name, flow, batch, end, y0, reference)


def solved(p: Problem, method: str, rtol: float) -> NDArray[np.float64]:
    """The end of a solve by SciPy."""
    run = solve_ivp(p.function(p.field()), (0.0, p.end), p.y0, method=method, rtol=rtol, atol=rtol)
    return np.asarray(run.y[:, -1])


def check(settings: Any, *, name: str) -> Result:
    """How far other solvers are from the reference."""
    p = problem(name, settings.reference_rtol)
    rows = []
    for method, rtol in settings.checks[name]:
        rows.append({"method": method, "rtol": rtol, "gap": p.error(solved(p, method, rtol))})
    if name == "stiff":
        rows.append({"method": "DOP853", "rtol": settings.reference_rtol, "gap": p.error(solved(p, "DOP853", 1e-12))})
    spectrum = gd.spectrum.linearise(p.flow, torch.as_tensor(p.reference), p.batch).eigenvalues
    ends = {k: [getattr(spectrum, k).real, getattr(spectrum, k).imag] for k in ("leftmost", "largest_imaginary")}
    return Result({"name": name, "parameters": len(p.y0), "end": p.end, "gaps": rows, "spectrum": ends}, {})


def weights(p: Problem, rounds: int) -> dict[str, float]:
    """CPU seconds of a field evaluation, a product with J and the graph that products share: medians, side by side."""
    field, y = p.field(), torch.as_tensor(p.y0)
    state = p.flow.game.state_of(dict(zip(field.names, field.layout.parts(y).values(), strict=True)))
    products = p.flow.at(state, p.batch).jacobian()
    u = torch.ones_like(y)

    def evaluate() -> Any:
        with torch.no_grad():
            return field(0.0, y)

    jobs: dict[str, Callable[[], Any]] = {
        "evaluation": evaluate,
        "product": lambda: products.jvp(u),
        "graph": lambda: field.linearise(0.0, y),
    }
    times: dict[str, list[float]] = {k: [] for k in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.process_time()
            job()
            times[name].append(time.process_time() - began)
    return {k: statistics.median(v) for k, v in times.items()}
