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
    from gamedyn.core import State

__all__ = ["GAMES", "game", "gap", "table"]

GAMES = {
    "rotation": (0.0, 1.0),
    "damped rotation": (0.1, 1.0),
    "stiff": (1.0, 0.25),
}
"""`L_i = e w_i^2 / 2 +- a w_1 w_2`, by (e, a): eigenvalues `-e +- i a`.

The Dirac-GAN near its equilibrium is the first; a penalty on both players makes the others."""

GROWN = math.log(1.05)
"""Growth from which on a run counts as one that leaves: neutral methods keep their distance to rounding."""

WINDOW = 64
"""Steps over which the largest distance is taken."""

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
    """Logarithm of the distance over that at the start, each the largest of a window of steps: orbits are ellipses."""
    begin = outcome.setup.y0 or outcome.flow.initial_state()
    return math.log(_largest(outcome, outcome.state) / _largest(outcome, begin))


def _largest(outcome: Outcome, state: State) -> float:
    norms = [1e-300]

    def note(view: Any) -> None:
        norms.append(float(view.state.y.norm()))

    gd.solve(outcome.flow, outcome.cell["method"], h=outcome.h, steps=WINDOW, y0=state, observers=[note], throw=False)
    return max(norms)


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
