"""Modified equations of one step: how well they follow it, and what the penalty of ODE-GAN does to Euler's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common import gans
from analysis.common.parts import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.ablation import Setup

__all__ = ["ARMS", "arm", "eps_limits", "penalised_limits", "slopes"]

METHODS = ("euler", "alternating")
START = (0.7, -1.1)


def slopes(settings: Any, *, ratio: float) -> Result:
    """Error of one step against the exact flow, against the modified equation, and against one with own rates.

    A Dirac-GAN whose second player's rate is `ratio` times the first's. The modified equation's error is of order 3,
    the flow's of order 2. "own rates" is the convention of the published code: in a player's interaction term its own
    rate stands where backward error analysis has the opponent's.
    """
    flow = gd.flows.gradient(gd.games.dirac_gan("nonsaturating")).with_rates({"G": 1.0, "D": ratio})
    y = torch.tensor(START, dtype=torch.float64)
    hs, rows = settings.hs, []
    for method in METHODS:
        errors: dict[str, list[float]] = {"flow": [], "modified": [], "own rates": []}
        for h in hs:
            step = gd.solve(flow, method, h=h, steps=1, y0=flow.initial_state().with_y(y)).state.y
            for name, field in _fields(flow, method, h, ratio).items():
                errors[name].append(float((_followed(field, y, h) - step).norm()))
        for name, found in errors.items():
            slope = float(np.polyfit(np.log(hs), np.log(found), 1)[0])
            rows.append({"method": method, "ratio": ratio, "against": name, "slope": slope, "errors": found})
    return Result({"rows": rows})


def _fields(flow: Any, method: str, h: float, ratio: float) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    state = flow.initial_state()

    def exact(y: torch.Tensor) -> torch.Tensor:
        v: torch.Tensor = flow.field()(0.0, y)
        return v

    def modified(y: torch.Tensor) -> torch.Tensor:
        found = gd.spectrum.modified_field(flow, method, state.with_y(y), terms=2)
        return found[0] + h * found[1]

    def own(y: torch.Tensor) -> torch.Tensor:
        v = exact(y)
        J = flow.at(state.with_y(y)).jacobian().to_dense()
        rates = (1.0, ratio)
        out = []
        for i, j in ((0, 1), (1, 0)):
            second = method == "alternating" and i == 1
            inter = J[i, j] * v[j] * (rates[i] / rates[j]) * (1 - 2 * rates[j] / rates[i] if second else 1)
            out.append(v[i] - h / 2 * (J[i, i] * v[i] + inter))
        return torch.stack(out)

    return {"flow": exact, "modified": modified, "own rates": own}


def _followed(field: Callable[[torch.Tensor], torch.Tensor], y: torch.Tensor, time: float, steps: int = 20) -> Any:
    """The field's solution, by the classical method with steps so small that it is exact here."""
    h = time / steps
    for _ in range(steps):
        a = field(y)
        b = field(y + h / 2 * a)
        c = field(y + h / 2 * b)
        d = field(y + h * c)
        y = y + h / 6 * (a + 2 * b + 2 * c + d)
    return y


def penalised_limits(sigma: float, weight: float) -> dict[str, float]:
    """Largest stable steps with the penalty `weight |dL_G/dtheta|^2` on D, of a mode `theta' = -sigma phi`."""
    J = np.array([[0.0, -sigma], [sigma, -2 * weight * sigma**2]])
    values = np.linalg.eigvals(J)
    return {m: float(gd.stability.largest_stable_step(m, values)) for m in ("euler", "heun2", "rk4")}


def eps_limits(eps: float) -> dict[str, float]:
    """Largest stable steps on `(-eps x + y, -x - eps y)`; "modified": up to which Euler's modified equation decays."""
    J = np.array([[-eps, 1.0], [-1.0, -eps]])
    blocks = gd.stability.BlockJacobian(J, (1, 1))
    found: dict[str, float] = {}
    for m in METHODS:
        steps = gd.stability.stable_steps(m, blocks)
        found[m] = steps.first[1] if steps.first else 0.0
    found["modified"] = 2 * eps / (1 - eps**2)  # of J - (h / 2) J^2: real part -eps - (h / 2) (eps^2 - 1)
    return found


ARMS = ("euler", "heun2", "cancelled", "cross", "neutral", "alternating")
"""Euler's steps; without the drift, as a Runge-Kutta method of order 2 and by the explicit term; without what
players do
to one another; with ODE-GAN's penalty h / 2 in its place; players in turn."""


def arm(name: str, tau: float, seed: int) -> Setup:
    """A digits GAN (non-saturating, R1) whose steps of size tau are those of an arm."""
    made = gans.setup("digits", seed, penalty="r1")
    if name in ("cancelled", "cross"):
        made.flow = gd.flows.drift_cancelled(made.flow, tau, "full" if name == "cancelled" else "cross")
    if name == "neutral":
        made.flow = made.flow.with_term(gd.losses.squared_gradient(tau / 2, of="G", into="D"))  # type: ignore[attr-defined]
    return made


def method_of(name: str) -> str:
    """What steps an arm."""
    return name if name in ("heun2", "alternating") else "euler"
