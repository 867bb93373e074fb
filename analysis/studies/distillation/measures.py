"""What a distilled generator is worth, how far its fake score lags, and the spectrum of the three-player game."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.spatial import cKDTree

import gamedyn as gd
from analysis.common.gans import loaded, scorer
from analysis.common.parts import Result
from analysis.studies.distillation.game import CENTRES, SIGMA, WEIGHTS, mixture_setup, posterior

if TYPE_CHECKING:
    from gamedyn.ablation import Outcome

__all__ = ["image_quality", "mixture_quality", "reverse_kl", "spectrum", "three_players", "updating", "weights_of"]

LEVELS = (0.2, 0.5, 0.8)
"""Noise levels of the lag."""

STEP = 3e-3
"""Of the central differences of the field, in float32: a smaller one would be lost in rounding."""


def reverse_kl(x: torch.Tensor, k: int = 5) -> float:
    """KL of the samples' law to the mixture: the log density of k-th neighbours, less the mixture's.

    Source: Perez-Cruz 2008; Kozachenko, Leonenko 1987.
    """
    points = np.asarray(x, dtype=float)
    n, d = points.shape
    points = points + 1e-9 * np.random.default_rng(0).standard_normal(points.shape)
    radius = cKDTree(points).query(points, k + 1)[0][:, k]
    ball = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    digamma = -0.5772156649015329 + sum(1 / i for i in range(1, k))
    log_p = digamma - math.log(n - 1) - math.log(ball) - d * np.log(radius)
    gaps = ((points[:, None, :] - CENTRES.numpy()) ** 2).sum(-1)
    log_q = np.logaddexp.reduce(np.log(WEIGHTS.numpy()) - gaps / (2 * SIGMA**2), axis=1)
    log_q -= math.log(2 * math.pi * SIGMA**2)
    return float((log_p - log_q).mean())


def weights_of(x: torch.Tensor) -> torch.Tensor:
    """The share of samples that belong to each mode."""
    return torch.bincount(posterior(x).argmax(-1), minlength=len(WEIGHTS)).float() / len(x)


def mixture_quality(outcome: Outcome, *, count: int) -> dict[str, float]:
    """Reverse KL, the weights' total variation, modes above half their weight, the preferred one's weight, the lag."""
    x, fake = _samples(outcome, count)
    shares = weights_of(x)
    found = {
        "kl": reverse_kl(x),
        "variation": float((shares - WEIGHTS).abs().sum() / 2),
        "modes": float((shares > WEIGHTS / 2).sum()),
        "preferred": float(shares[-1]),
        "within": float(((x[:, None] - CENTRES).norm(dim=-1).min(1).values < 3 * SIGMA).float().mean()),
    }
    return {**found, "lag": lag(x, fake)}


def _samples(outcome: Outcome, count: int) -> tuple[torch.Tensor, Any]:
    """What the generator makes of a seed's noise; the fake score at the fixed levels, (level, sample, size)."""
    size = outcome.setup.extras["size"]
    g = torch.Generator().manual_seed(5)
    with torch.no_grad(), outcome.flow.game.at(outcome.state) as players:
        x = players["G"](torch.randn(count, size, generator=g), torch.ones(count, 1))
        fake = []
        for level in LEVELS:
            t = torch.full((count, 1), level)
            noised = (1 - t) * x + t * torch.randn(count, size, generator=g)
            fake.append((level, noised, players["F"](noised, t)))
    return x, fake


def lag(x: torch.Tensor, fake: Any) -> float:
    """Mean square gap of the fake score to the samples' own E[x | x_t], over that of the samples themselves."""
    total = 0.0
    for level, noised, told in fake:
        gaps = torch.cdist(noised, (1 - level) * x).square()
        own = (-gaps / (2 * level**2)).softmax(-1) @ x
        total += float((told - own).square().sum(-1).mean() / x.var(0).sum().clamp(min=1e-6))
    return total / len(LEVELS)


def image_quality(outcome: Outcome, *, count: int) -> dict[str, float]:
    """Frechet distance on pixels, and the modes of a classifier where there are labels."""
    size, data_set = outcome.setup.extras["size"], outcome.setup.extras["data"]
    g = torch.Generator().manual_seed(5)
    with torch.no_grad(), outcome.flow.game.at(outcome.state) as players:
        x = players["G"](torch.randn(count, size, generator=g), torch.ones(count, 1))
    known = scorer(data_set, ("frechet",), "pixels", count)
    found = known(x.reshape(count, *loaded(data_set).samples.shape[1:]))
    return {"frechet": float(found["frechet"]), "floor": float(known.floor["floor.frechet"])}


def spectrum(flow: Any, state: Any, batch: Any) -> gd.stability.BlockJacobian:
    """The Jacobian of the three players' velocity by central differences: it is no gradient of losses."""
    field, columns = flow.field(batch), []
    for i in range(len(state.y)):
        e = torch.zeros_like(state.y)
        e[i] = STEP
        columns.append((field(0.0, state.y + e) - field(0.0, state.y - e)) / (2 * STEP))
    J = torch.stack(columns, 1).double().numpy()
    layout = flow.game.layout
    return gd.stability.BlockJacobian(J, tuple(s.stop - s.start for s in layout.slices), layout.players)


def three_players(settings: Any, *, ratio: int) -> Result:
    """The spectrum of the game after training at a ratio of rates, its step limits, and the players' own blocks."""
    made = mixture_setup(0, settings.spectrum_width, settings.batch, settings.adversarial, ratio=float(ratio))
    method = updating(ratio)
    state = gd.solve(made.flow, method, h=settings.h, steps=settings.spectrum_steps, batches=made.batches).state
    batch = tuple(torch.cat(parts) for parts in zip(*(next(made.batches) for _ in range(4)), strict=True))
    blocks = spectrum(made.flow, state, batch)
    values = np.linalg.eigvals(blocks.matrix)
    limits = {}
    for m in ("euler", "heun2", "rk4", "optimistic"):
        inside = gd.stability.stable_steps(m, values).damped_intervals
        limits[m] = float(inside[0][1]) if inside else 0.0
    own = [float(np.linalg.eigvals(blocks.matrix[s, s]).real.min()) for s in blocks.slices]
    figures = {
        "ratio": ratio,
        "limits": limits,
        "own": dict(zip(blocks.players, own, strict=True)),
        "leftmost": float(values.real.min()),
        "rightmost": float(values.real.max()),
        "turning": float(values.imag.max()),
        "growing": int((values.real > 1e-6).sum()),
    }
    return Result(figures, {"eigenvalues": values})


def updating(ratio: int) -> Any:
    """Adam in turn, fake score and discriminator moved so many times for one move of the generator."""
    return gd.methods.get("alternating_adam", cycles={"F": ratio, "D": ratio, "G": 1}, betas=(0.0, 0.99))
