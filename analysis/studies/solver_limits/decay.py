"""A small perturbation followed for thousands of steps just inside, at and just outside the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.parts import Result
from analysis.studies.solver_limits.limits import linearisation, stationary

__all__ = ["cases", "run"]

CASES = {
    "stiff": ("affine_nonsaturating", "rk4"),
    "rotation": ("affine_nonsaturating", "euler"),
    "slow_rotation": ("affine_wasserstein", "euler"),
    "partitioned": ("affine_wasserstein", "alternating"),
}
FACTORS = (0.98, 1.0, 1.02)


def cases(points: tuple[str, ...]) -> list[str]:
    """The mechanisms that the points of a study show."""
    return [case for case, (name, _) in CASES.items() if name in points]


def run(settings: Any, *, case: str) -> Result:
    """|y - y*| over the steps at 0.98, 1 and 1.02 of the predicted limit."""
    name, method = CASES[case]
    flow, state, batch = stationary(settings, name)
    steps = gd.spectrum.stable_steps(method, linearisation(settings, name))
    limit = steps.first[1]  # type: ignore[index]
    kick = torch.randn(len(state.y), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    start = state.with_y(state.y + 1e-5 * kick / kick.norm())
    curves = []
    for factor in FACTORS:
        norms: list[float] = []

        def note(view: gd.integrators.View, norms: list[float] = norms) -> bool:
            norms.append(float((view.state.y - state.y).norm()))
            return norms[-1] > 10.0

        gd.solve(
            flow,
            method,
            h=factor * limit,
            steps=settings.decay_steps,
            y0=start,
            batch=batch,
            observers=[note],
            throw=False,
        )
        curves.append(np.pad(np.array(norms), (0, settings.decay_steps - len(norms)), constant_values=np.nan))
    figures = {
        "case": case,
        "point": name,
        "method": method,
        "limit": limit,
        "sensitivity": steps.sensitivity,
        "factors": FACTORS,
    }
    return Result(figures, {"norms": np.stack(curves)})
