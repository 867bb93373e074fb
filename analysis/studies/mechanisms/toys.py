"""Games with closed forms: each integrator's limit from the eigenvalues, and where its runs stop converging."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import torch

import gamedyn as gd
from gamedyn.ablation import Grid, Outcome, Setup

if TYPE_CHECKING:
    from analysis.common.study import Workplace

__all__ = ["GAMES", "game", "gap", "table"]

GAMES = {
    "rotation": (0.0, 1.0),
    "damped rotation": (0.1, 1.0),
    "stiff": (1.0, 0.25),
}
"""`L_i = e w_i^2 / 2 +- a w_1 w_2`, by (e, a): eigenvalues `-e +- i a`. The Dirac-GAN is the first, with R1 the others."""

KICK = 1e-3
"""Distance from the equilibrium at the start."""


def game(name: str) -> Setup:
    """A quadratic game, begun near its equilibrium."""
    e, a = GAMES[name]
    made = gd.games.quadratic([[e, a], [-a, e]], (1, 1))
    flow = gd.flows.gradient(made)
    y = torch.tensor([KICK, 0.0], dtype=torch.float64)
    return Setup(flow, y0=flow.initial_state().with_y(y))


def gap(outcome: Outcome) -> float:
    """Logarithm of the distance over that of the start, of a step."""
    return math.log(max(float(outcome.state.y.norm()), 1e-300) / KICK) / outcome.steps


def table(settings: Any, work: Workplace) -> pd.DataFrame:
    """By integrator and game: the predicted limit, and the steps between which runs begin to grow."""
    rows = []
    for name, (e, a) in GAMES.items():
        for m in settings.methods:
            blocks = gd.stability.BlockJacobian(np.array([[-e, -a], [a, -e]]), (1, 1))
            first = gd.stability.stable_steps(m, blocks).first
            predicted = first[1] if first else 0.0
            rows.append({"game": name, "method": m, "predicted": predicted})
            if predicted and math.isfinite(predicted):
                rows[-1] |= measured(settings, work, name, m, predicted)
    return pd.DataFrame(rows)


def measured(settings: Any, work: Workplace, name: str, method: str, predicted: float) -> dict[str, float]:
    """The largest step of a run that shrank and the smallest of one that grew, on a grid of 1 per cent."""
    hs = [predicted * (1 + 0.01 * k) for k in range(-5, 6)]
    grid = Grid(game, {"h": hs}, name=name, method=method, steps=settings.toy_steps)
    found = work.ablation(f"toys/{name}_{method}".replace(" ", "_"), grid, {"gap": gap}, progress=False)
    grown = ~(found["gap"] < GROWN)
    return {"shrank": max(found["h"][~grown], default=math.nan), "grew": min(found["h"][grown], default=math.nan)}


GROWN = 1e-9
"""Growth of a step up to which a run counts as one that keeps its distance: neutral methods on a rotation."""
