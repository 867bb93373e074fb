"""Largest stable steps: predicted from a linearisation, measured on the tangent of the real nonlinear step."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import brentq
from torch import nn

import gamedyn as gd
from analysis.common.digits import digits
from analysis.common.parts import Result
from gamedyn.stability import BlockJacobian

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["limit", "measured_limit", "mlp_point", "wrong_theories"]

FIRST = (0.05, 1e-3)
"""First steps of every measurement, the smaller only where the larger is beyond the limit: no prediction enters."""


def method_of(label: str) -> Any:
    """A method by the label it has in the study."""
    return gd.methods.alternating(("D", "G")) if label == "alternating_D_first" else gd.methods.get(label)


@lru_cache(maxsize=4)
def stationary(settings: Any, name: str) -> tuple[Any, Any, Any]:
    """(flow, stationary state, batch) of a named point."""
    kind, loss = name.split("_")
    if kind == "affine":
        game = gd.games.affine_quadratic_gan(digits(), settings.q, settings.decay_weight, loss)
        return gd.flows.gradient(game), game.equilibrium_state(), None
    g = torch.Generator().manual_seed(0)
    G = gd.games.mlp((2, 8, 64), generator=g, dtype=torch.float64).append(nn.Tanh())
    D = gd.games.mlp((64, 8, 1), generator=g, dtype=torch.float64)
    flow = gd.flows.gradient(gd.games.gan(G, D, loss)).with_term(gd.losses.r1(1.0))
    for player in ("G", "D"):
        flow = flow.with_term(gd.losses.weight_decay(0.1, into=player))
    n = settings.mlp_samples
    batch = (torch.as_tensor(digits()[:n]), torch.randn(n, 2, generator=g, dtype=torch.float64))
    run = gd.solve(flow, "rk4", h=0.2, steps=settings.mlp_steps, batch=batch)
    found = gd.spectrum.find_equilibrium(flow, run.state, batch, delta=1e3)
    return flow, found.state, batch


def mlp_point(settings: Any) -> Result:
    """How the MLP digits GAN's stationary point was found, and its spectrum."""
    flow, state, batch = stationary(settings, "mlp_wasserstein")
    lin = gd.spectrum.linearise(flow, state, batch)
    figures = {
        "norm": lin.norm,
        "parameters": flow.game.layout.n,
        "largest_residual": float(np.max(np.asarray(lin.eigenvalues.residuals))),
    }
    return Result(figures, {"eigenvalues": lin.eigenvalues.values})


@lru_cache(maxsize=4)
def linearisation(settings: Any, name: str) -> Any:
    """The linearisation at a point, once per process."""
    flow, state, batch = stationary(settings, name)
    return gd.spectrum.linearise(flow, state, batch)


def limit(settings: Any, *, point: str, method: str) -> Result:
    """One method at one point: predicted step set, measured limit."""
    flow, state, batch = stationary(settings, point)
    chosen = method_of(method)
    steps = gd.spectrum.stable_steps(chosen, linearisation(settings, point))
    predicted = steps.first[1] if steps.first else 0.0
    calls: list[float] = []

    def beyond(h: float) -> float | None:
        """Ln of the spectral radius; only multipliers known to be outside count as such."""
        calls.append(h)
        values, residuals = gd.spectrum.StepTangent(flow, chosen, state, h, batch).multipliers()
        sure = np.abs(values) - np.where(residuals > 1e-6, residuals, 0.0)
        return float(np.log(sure.max())) if len(sure) else None

    measured = measured_limit(beyond)
    binding = steps.binding if steps.binding is not None else steps.multiplier
    figures = {
        "point": point,
        "method": method,
        "intervals": [list(i) for i in steps.intervals],
        "predicted": predicted,
        "measured": measured,
        "ratio": measured / predicted if predicted else None,
        "binding": None if binding is None else [binding.real, binding.imag],
        "binding_kind": "eigenvalue of J" if steps.binding is not None else "multiplier of the step",
        "sensitivity": steps.sensitivity,
        "tangents": len(calls),
    }
    lin = linearisation(settings, point)
    arrays = {"eigenvalues": lin.eigenvalues.values} if method == settings.limit_methods[0] else {}
    return Result(figures, arrays)


def measured_limit(beyond: Callable[[float], float | None]) -> float:
    """The step at which `beyond` turns positive: doubling from a small step, then a root finder.

    Returns 0 where the smallest first step is already beyond, inf where nothing is up to 1e3. Unknown values (None: at
    steps so small that all multipliers crowd around 1) count as not beyond while doubling.

    Raises:
        ArithmeticError: if the value at the end of the bracket, or inside it, is unknown.
    """
    low = next((h for h in FIRST if (value := beyond(h)) is None or value <= 0), 0.0)
    if not low:
        return 0.0
    high = 2 * low
    while (value := beyond(high)) is None or value <= 0:
        low, high = high, 2 * high
        if high > 1e3:
            if value is None:
                raise ArithmeticError(f"no dominant multiplier converged at h = {high}")
            return float("inf")

    def known(h: float) -> float:
        inside = beyond(h)
        if inside is None:
            raise ArithmeticError(f"no dominant multiplier converged at h = {h}")
        return inside

    return float(brentq(known, low, high, xtol=1e-6 * high, rtol=1e-6))


def wrong_theories(settings: Any) -> Result:
    """Planted mistakes, and by how much each misses the truth.

    Another method's R, the 16 rightmost eigenvalues alone, a transposed block, and for alternating play the
    eigenvalues alone.
    """
    rows = []
    for name in settings.points:
        lin = linearisation(settings, name)
        values, J = lin.eigenvalues.values, lin.blocks
        truth = gd.stability.largest_stable_step("rk4", values)
        turns = gd.stability.stable_steps("alternating", J).first
        turn = turns[1] if turns else 0.0
        swapped = J.matrix.copy()
        a, b = J.slices
        swapped[a, b] = J.matrix[b, a].T
        mixed = gd.stability.stable_steps("alternating", BlockJacobian(swapped, J.sizes, J.players)).first
        rightmost = values[np.argsort(-values.real)[:16]]
        lone = min(2 / abs(x.imag) if abs(x.imag) > abs(x.real) else 2 / abs(x.real) for x in values)
        rows += [
            {
                "point": name,
                "theory": "rk4 with Kutta's third-order R",
                "says": gd.stability.largest_stable_step("kutta3", values),
                "truth": truth,
            },
            {
                "point": name,
                "theory": "rk4 from the 16 rightmost eigenvalues",
                "says": gd.stability.largest_stable_step("rk4", rightmost),
                "truth": truth,
            },
            {
                "point": name,
                "theory": "alternating with a transposed block",
                "says": mixed[1] if mixed else 0.0,
                "truth": turn,
            },
            {"point": name, "theory": "alternating from eigenvalues alone", "says": lone, "truth": turn},
        ]
    for r in rows:
        r["says"], r["truth"] = float(r["says"]), float(r["truth"])
        r["ratio"] = r["says"] / r["truth"]
    return Result({"rows": rows}, {})
