"""What public codes of ODE-GAN do with a tableau: joint, opponent frozen, on fresh batches, penalty placed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.parts import Result
from gamedyn.ablation import Outcome, Setup
from gamedyn.training import Sampler, data, models, scores

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOTEBOOK_HEUN", "VARIANTS", "frozen", "frozen_step", "modes", "order", "setup"]

NOTEBOOK_HEUN = gd.methods.RungeKutta(A=[[], ["1/2"]], b=["1/2", "1/2"])
"""The notebook's "euler_heun": stage at 1/2 with weights 1/2 and 1/2; order 1."""

VARIANTS: dict[str, Any] = {
    "euler": "euler",
    "notebook's Heun": NOTEBOOK_HEUN,
    "heun2": "heun2",
    "rk4": "rk4",
    "alternating": "alternating",
}
"""Joint steps, both players moved in every stage."""

PLACED = ("rk4_penalty_first_stage", "rk4_penalty_every_stage", "rk4_penalty_after_step")


def setup(
    seed: int,
    batch: int,
    weight: float,
    loss: str = "nonsaturating",
    widths: tuple[int, ...] = (25, 25),
    sampling: str = "frozen",
) -> Setup:
    """The mixture and its networks begun by a seed, with the penalty as a term of its own."""
    samples = data.load("mixture", modes="grid16")
    pair = models.build("mlp", samples.shape, seed=seed, widths=tuple(widths), latent=32, activation="relu")
    flow = gd.flows.gradient(gd.games.gan(pair.generator, pair.discriminator, loss))
    flow = flow.with_term(gd.losses.squared_gradient(weight, of="G", into="D"))
    options = {} if sampling == "frozen" else {"sampling": sampling}
    return Setup(flow, batches=samples.batches(batch, latent=32, seed=seed), options=options, extras={"data": samples})


def modes(outcome: Outcome, *, count: int) -> dict[str, float]:
    """Modes hit, the KL of their counts, and the share of samples within three deviations of one."""
    return _scored(outcome.setup, outcome.state, count)


def _scored(made: Setup, state: Any, count: int) -> dict[str, float]:
    scorer = scores.Scorer(made.extras["data"], ["modes", "within"], count=count, progress=False)
    found = scorer(Sampler(made.flow.game, 32).blocks(state, count))
    return {k: float(found[k]) for k in ("modes", "modes_kl", "within")}


def frozen_step(
    field: Callable[[torch.Tensor], torch.Tensor], y: torch.Tensor, h: float, slices: Any, method: Any
) -> Any:
    """One step of a tableau for each player, the others where the step began: what the notebook does."""
    moved = y.clone()
    for own in slices:
        slopes: list[torch.Tensor] = []
        for row in method.A:
            at = y.clone()
            for a, k in zip(row, slopes, strict=False):
                at[own] += h * float(a) * k
            slopes.append(field(at)[own])
        for b, k in zip(method.b, slopes, strict=True):
            moved[own] += h * float(b) * k
    return moved


def frozen(settings: Any, *, weight: float, seed: int) -> Result:
    """rk4 against a frozen opponent, the penalty inside the field; scores at the same marks as the others."""
    made = setup(seed, settings.batch, weight)
    state, rk4 = made.flow.initial_state(), gd.methods.get("rk4")
    y, slices, rows = state.y.clone(), made.flow.game.layout.slices, []
    marks = {max(1, round(settings.steps * m)): m for m in (0.25, 0.5, 1.0)}
    for n in range(1, settings.steps + 1):
        frozen = made.flow.field(next(made.batches))
        y = frozen_step(partial(frozen, 0.0), y, settings.h, slices, rk4)
        if n in marks:
            rows.append(
                {"at": marks[n], **{f"end.{k}": v for k, v in _scored(made, state.with_y(y), settings.count).items()}}
            )
    return Result({"weight": weight, "seed": seed, "rows": rows})


def order(step: str, hs: tuple[float, ...] = (0.2, 0.1, 0.05, 0.025), time: float = 2.0, eps: float = 0.1) -> float:
    """The order measured on `(-eps x - y, x - eps y)`: joint, or against a frozen opponent."""
    J = torch.tensor([[-eps, -1.0], [1.0, -eps]], dtype=torch.float64)
    y0 = torch.tensor([1.0, 0.5], dtype=torch.float64)
    exact = torch.matrix_exp(J * time) @ y0
    errors = []
    for h in hs:
        y = y0
        for _ in range(round(time / h)):
            y = _one(step, J, y, h)
        errors.append(float((y - exact).norm()))
    return float(np.polyfit(np.log(hs), np.log(errors), 1)[0])


def norms(step: str, steps: int = 2000, h: float = 0.1) -> float:
    """The norm after so many steps on the undamped rotation, from norm 1."""
    J = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(steps):
        y = _one(step, J, y, h)
    return float(y.norm())


def _one(step: str, J: torch.Tensor, y: torch.Tensor, h: float) -> torch.Tensor:
    method = {"notebook's Heun": NOTEBOOK_HEUN, "frozen rk4": gd.methods.get("rk4")}.get(step)
    if step.startswith("frozen"):
        moved: torch.Tensor = frozen_step(lambda at: J @ at, y, h, [slice(0, 1), slice(1, 2)], method)
        return moved
    chosen = gd.methods.get(step) if method is None else method
    matrix = gd.stability.step_matrix(chosen, J.numpy(), h)
    return torch.as_tensor(matrix) @ y
