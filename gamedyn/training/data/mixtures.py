"""Gaussian mixtures in the plane: a ring of 8, ODE-GAN's 16, a grid of 25, or any."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gamedyn._lib.checks import choice, positive, positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["MIXTURE"]


def _ring(count: int, radius: float) -> list[list[float]]:
    angles = [2 * math.pi * k / count for k in range(count)]
    return [[radius * math.cos(a), radius * math.sin(a)] for a in angles]


def _grid(places: Sequence[float]) -> list[list[float]]:
    return [[x, y] for x in places for y in places]


KNOWN = {  # centres, sigma, source
    "ring8": (_ring(8, 2.0), 0.02, "Metz et al. 2017: eight modes on a circle of radius 2"),
    "grid16": (_grid((-1.5, -0.5, 0.5, 1.5)), 0.02, "Qin et al. 2020 (ODE-GAN): 16 modes on {-1.5, -.5, .5, 1.5}^2"),
    "grid25": (_grid((-4.0, -2.0, 0.0, 2.0, 4.0)), 0.05, "Lin et al. 2018 (PacGAN): 25 modes on {-4, -2, 0, 2, 4}^2"),
}


def _mixture(
    *,
    modes: str = "grid16",
    centres: Sequence[Sequence[float]] | None = None,
    sigma: float | None = None,
    count: int = 102_400,
    seed: int = 0,
) -> DataSet:
    """`count` samples, as many of each mode as divide evenly, in an order drawn from the seed.

    `modes`: ring8, grid16 or grid25; or `centres` of one's own with `sigma`.

    Raises:
        ArgumentError: for centres that are no points, a sigma that is missing or not positive.
    """
    if centres is None:
        known, width, source = KNOWN[choice("modes", modes, KNOWN)]
        width = width if sigma is None else positive("sigma", sigma)
    else:
        if sigma is None:
            raise ArgumentError("sigma", "a standard deviation for centres of one's own", "none")
        known, width, source = [list(map(float, c)) for c in centres], positive("sigma", sigma), "centres given"
        if not known or len({len(c) for c in known}) > 1:
            raise ArgumentError("centres", "points of one dimension", centres)
    middle = torch.tensor(known)
    labels = torch.arange(positive_int("count", count)) % len(middle)
    draw = torch.Generator().manual_seed(seed)
    noise: Tensor = torch.randn(count, middle.shape[1], generator=draw)
    samples = middle[labels] + width * noise
    facts = {"modes": modes if centres is None else known, "sigma": width, "seed": seed}
    return DataSet("mixture", samples, labels, len(middle), centres=middle, sigma=width, about=source, facts=facts)


MIXTURE = DataFamily(name="mixture", load=_mixture, source="drawn", aliases=("gaussians", "mog"))
