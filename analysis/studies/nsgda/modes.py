"""Two correlated modes, a linear generator, a discriminator of cubic units: which columns find a mode."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import gamedyn as gd
from gamedyn.ablation import Outcome, Setup

__all__ = ["FACTORS", "FOUND", "METHODS", "OWN_LENGTH", "alignment", "setup"]

METHODS: dict[str, Any] = {
    "sgda": "euler",
    "nsgda": "normalised",
    "nsgda, by layer": "normalised_layerwise",
    "sign": "sign",
    "spectral": "spectral",
    "adam": gd.methods.get("torch.optim:Adam", betas=(0.5, 0.999)),
    "Adam's length": "grafted_adam_on_sgd",
    "Adam's length, by layer": "grafted_adam_on_sgd_layerwise",
    "Adam's direction": "grafted_sgd_on_adam",
}
"""Plain descent and ascent; normalised by player, by layer, by entry, by singular value; Adam; grafted both ways."""

OWN_LENGTH = tuple(m for m in METHODS if m not in ("sgda", "Adam's direction"))
"""Methods whose steps do not have the gradient's length."""

FACTORS = {
    "sgda": 1.0,
    "nsgda": 1.0,
    "nsgda, by layer": 0.5,
    "sign": 0.02,
    "spectral": 0.2,
    "adam": 0.02,
    "Adam's length": 0.02,
    "Adam's length, by layer": 0.02,
    "Adam's direction": 0.2,
}
"""What a step's length has to be multiplied by: of the whole player, of a layer, of an entry, of a singular value."""

FOUND = 0.95
"""Cosine of a column and a mode from which on it has found it; the mean of the modes has about 0.81 with each."""

THRESHOLD = 0.5
"""Where the units turn from cubic to linear."""

MEMORY = 2048
"""Samples of the data."""


class Linear(nn.Module):
    """`G(z) = V s(z)`, s the column of the largest entry: a sparse binary code of the noise."""

    def __init__(self, dimension: int, columns: int, generator: torch.Generator) -> None:
        super().__init__()
        self.V = nn.Parameter(0.01 * torch.randn(dimension, columns, generator=generator))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """The samples, (batch, dimension)."""
        code = (z == z.amax(-1, keepdim=True)).to(self.V.dtype)
        return code @ self.V.T


class Cubic(nn.Module):
    """`D(x) = a sum_i s(<w_i, x>) + b`, s(t) = t^3 up to a threshold and linear beyond."""

    def __init__(self, dimension: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.w = nn.Parameter(0.1 * torch.randn(width, dimension, generator=generator))
        self.a = nn.Parameter(torch.ones(1))
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits, (batch, 1)."""
        t = x @ self.w.T
        inner = t.clamp(-THRESHOLD, THRESHOLD)
        return self.a * (inner**3 + 3 * THRESHOLD**2 * (t - inner)).sum(-1, keepdim=True) + self.b


def directions(dimension: int, correlation: float) -> torch.Tensor:
    """Two unit vectors with this inner product, (2, dimension)."""
    u = torch.zeros(2, dimension)
    u[0, 0], u[1, 0], u[1, 1] = 1.0, correlation, (1 - correlation**2) ** 0.5
    return u


def setup(seed: int, dimension: int, columns: int, width: int, correlation: float) -> Setup:
    """The game begun by a seed; samples are one mode, or in a tenth of the cases the sum of both."""
    g = torch.Generator().manual_seed(2000 + seed)
    u = directions(dimension, correlation)
    draw = torch.rand(MEMORY, generator=g)
    s = torch.stack([(draw < 0.55), (draw > 0.45)], 1).float()
    game = gd.games.gan(Linear(dimension, columns, g), Cubic(dimension, width, g), "nonsaturating")
    stream = gd.batches(s @ u, latent=columns, seed=seed, batch_size=64)
    return Setup(gd.flows.gradient(game), batches=stream, extras={"modes": u})


def alignment(outcome: Outcome) -> dict[str, float]:
    """Modes that a column has found; the largest cosine with each, and with their mean."""
    with outcome.flow.game.at(outcome.state) as players:
        V = players["G"].V.detach()
    u = outcome.setup.extras["modes"]
    columns = V / V.norm(dim=0, keepdim=True).clamp(min=1e-12)
    cosines = u @ columns
    mean = (u.sum(0) / u.sum(0).norm()) @ columns
    best = cosines.max(1).values
    return {
        "found": float((best > FOUND).sum()),
        "first": float(best[0]),
        "second": float(best[1]),
        "mean": float(mean.max()),
        "length": float(V.norm(dim=0).max()),
    }
