"""Every member's stable steps at the equilibrium of a GAN on digits: predicted by theory, measured on the real step."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.equilibria import finite, linearisation, measured_limit, stationary, tangent_radius
from analysis.common.parts import Result
from gamedyn.integrators import stepper

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamedyn.stability import StepSet

__all__ = ["differenced", "dimension", "limit", "predicted"]

AROUND = (0.99, 1.01)
"""Factors at which the further ends of a step set are looked at."""


def differenced(method: str) -> bool:
    """Whether the tangent of the method's step can only be had by central differences."""
    return not stepper(method).variational


def dimension(settings: Any, method: str) -> int:
    """Principal components: fewer where every column of the tangent costs two steps with their linear solves."""
    return int(settings.q_differenced if differenced(method) else settings.q)


def predicted(settings: Any, loss: str, method: str, decay: float) -> StepSet:
    """The set of stable steps that theory gives, from J's eigenvalues, its players' blocks or its parts."""
    with warnings.catch_warnings():  # that BDF3 and above have an unstable band is what is measured here
        warnings.simplefilter("ignore", gd.stability.StabilityWarning)
        return gd.spectrum.stable_steps(method, linearisation(loss, dimension(settings, method), decay))


def limit(settings: Any, *, loss: str, method: str, decay: float) -> Result:
    """One member at one equilibrium: the predicted set, and what the radius of the real step says of each end."""
    q, began = dimension(settings, method), time.process_time()
    (flow, state), J = stationary(loss, q, decay), linearisation(loss, q, decay).blocks
    steps = predicted(settings, loss, method, decay)
    radius, radii = tangent_radius(flow, state, method)
    first = steps.first
    figures: dict[str, Any] = {
        "loss": loss,
        "method": method,
        "decay": decay,
        "parameters": len(J.matrix),
        "differenced": differenced(method),
        "sensitivity": finite(steps.sensitivity),
        "intervals": [[finite(a), finite(b)] for a, b in steps.intervals],
        "kind": "none" if first is None else "finite" if np.isfinite(first[1]) else "infinite",
    }
    if figures["kind"] == "finite":
        measured = measured_limit(radius)
        figures |= {"predicted": first[1], "measured": finite(measured), "ratio": finite(measured / first[1])}  # type: ignore[index]
        figures["agrees"] = abs(measured / first[1] - 1) <= settings.tolerance  # type: ignore[index]
    else:
        inside = figures["kind"] == "infinite"
        chosen = settings.large if inside else settings.small
        figures["radii"] = {f"{h:g}": radius(h) for h in chosen}
        figures["predicted_radii"] = {f"{h:g}": gd.stability.spectral_radius(method, J, h) for h in chosen}
        figures["statuses"] = {f"{h:g}": _status(flow, method, state, h) for h in chosen}
        figures["agrees"] = all((r < 1) == inside for r in figures["radii"].values())
    figures["further"] = _further(steps, radius)
    figures |= {"tangents": len(radii), "cpu_seconds": time.process_time() - began}
    return Result(figures, {})


def _further(steps: StepSet, radius: Callable[[float], float]) -> list[dict[str, Any]]:
    """The ends of all intervals but the first limit: stable on the one side, unstable on the other."""
    ends = [x for interval in steps.intervals for x in interval if np.isfinite(x) and x > 0]
    out = []
    for end in ends[1:] if steps.first and np.isfinite(steps.first[1]) else ends:
        sides = [(f * end, f * end in steps) for f in AROUND]
        out.append({"end": float(end), "agrees": all((radius(h) < 1) == stable for h, stable in sides)})
    return out


def _status(flow: Any, method: str, state: Any, h: float) -> str:
    """How one real step from a point beside the equilibrium ends."""
    kick = torch.randn(len(state.y), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    start = state.with_y(state.y + 1e-3 * kick / kick.norm())
    run = gd.solve(flow, method, h=h, steps=1, y0=start, throw=False)
    counts = {k: run.stats[k] for k in ("newton_iterations", "krylov_products", "linear_unsolved") if k in run.stats}
    return ", ".join([str(run.status), *(f"{k.replace('_', ' ')} {v:g}" for k, v in counts.items())])
