"""A small pair in the manner of R3GAN: residual blocks of fixed variance, no normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.models._layers import Embedded, Score
from gamedyn.training.models._types import ModelFamily, Pair, images_of

__all__ = ["R3GAN"]

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""What a leaky ReLU takes from the second moment of a normal value, given back by the weights before it."""


class Activation(nn.Module):
    """A bias, and a leaky ReLU with slope 0.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return leaky_relu(x + self.bias[:, None, None], SLOPE)


class Block(nn.Module):
    """`x + W3 a(W2 * a(W1 x))`: 1x1 to more maps, grouped 3x3, 1x1 back, which begins at 0: the variance stays.

    With L blocks in a player the first two weights begin `L^(-1/4)` times as large as their fan-in says.
    """

    def __init__(self, channels: int, expansion: int, groups: int, blocks: int) -> None:
        super().__init__()
        wide, gain = channels * expansion, GAIN * blocks ** (-0.25)
        self.body = nn.Sequential(
            drawn(nn.Conv2d(channels, wide, 1, bias=False), gain),
            Activation(wide),
            drawn(nn.Conv2d(wide, wide, 3, padding=1, groups=groups, bias=False), gain),
            Activation(wide),
            drawn(nn.Conv2d(wide, channels, 1, bias=False), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        out: Tensor = x + self.body(x)
        return out


class Generator(nn.Module):
    """A learned square, scaled map by map by the noise; stages of blocks, doubled in between; 1x1 to an image."""

    def __init__(
        self, latent: int, shape: tuple[int, ...], widths: Sequence[int], make: tuple[int, int, int], classes: int
    ):
        super().__init__()
        self.labels = Embedded(classes, latent)
        self.square = nn.Parameter(torch.randn(widths[0], *[shape[1] >> (len(widths) - 1)] * 2))
        self.scale = drawn(nn.Linear(latent + self.labels.size, widths[0], bias=False), 1.0)
        self.stages = _stages(widths, make)
        self.last = drawn(nn.Conv2d(widths[-1], shape[0], 1, bias=False), 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images, not bounded."""
        x = self.square * self.scale(self.labels(z, labels))[:, :, None, None]
        for i, stage in enumerate(self.stages):
            x = stage(interpolate(x, scale_factor=2, mode="bilinear") if i else x)
        out: Tensor = self.last(x)
        return out


class Discriminator(nn.Module):
    """The generator in reverse: 1x1 from an image, stages, halved in between; one filter for each map, a score."""

    def __init__(self, shape: tuple[int, ...], widths: Sequence[int], make: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.first = drawn(nn.Conv2d(shape[0], widths[0], 1, bias=False), 1.0)
        self.stages = _stages(widths, make)
        side = shape[1] >> (len(widths) - 1)
        self.square = drawn(nn.Conv2d(widths[-1], widths[-1], side, groups=widths[-1], bias=False), 1.0)
        self.score = Score(widths[-1], classes, bias=False)
        drawn(self.score.linear, 1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (n, 1)."""
        x = self.first(x)
        for i, stage in enumerate(self.stages):
            x = stage(avg_pool2d(x, 2) if i else x)
        out: Tensor = self.score(self.square(x).flatten(1), labels)
        return out


def _stages(widths: Sequence[int], make: tuple[int, int, int]) -> nn.ModuleList:
    """Stages of blocks, each with a 1x1 before it where the width changes."""
    count, expansion, groups = make
    stages = nn.ModuleList()
    for before, width in zip((widths[0], *widths), widths, strict=False):
        change = [] if before == width else [drawn(nn.Conv2d(before, width, 1, bias=False), 1.0)]
        blocks = [Block(width, expansion, groups, count * len(widths)) for _ in range(count)]
        stages.append(nn.Sequential(*change, *blocks))
    return stages


def drawn(layer: nn.Module, gain: float) -> nn.Module:
    """Weights N(0, gain^2 / fan-in)."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel())) if gain else nn.init.zeros_(weight)
    return layer


def _r3gan(
    shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 64,
    widths: Sequence[int] = (64, 64, 64),
    blocks: int = 1,
    expansion: int = 2,
    groups: int = 16,
) -> Pair:
    """R3GAN's design at small width; squares are doubled bilinearly and halved by averages (there: a [1, 2, 1] filter).

    `widths` are those of the generator's stages, the smallest square first; the discriminator has them in reverse.
    """
    _, side = images_of(shape, "r3gan")
    sizes = [positive_int("widths", w) for w in widths]
    if not sizes or side % (1 << (len(sizes) - 1)) or side >> (len(sizes) - 1) < 2:
        raise ArgumentError("widths", f"fewer stages: each but the first halves the side {side}", tuple(widths))
    make = (positive_int("blocks", blocks), positive_int("expansion", expansion), positive_int("groups", groups))
    if any(w * expansion % groups for w in sizes):
        raise ArgumentError(
            "groups", f"a number that divides the blocks' maps {[w * expansion for w in sizes]}", groups
        )
    latent = positive_int("latent", latent)
    generator = Generator(latent, shape, sizes, make, classes)
    return Pair(generator, Discriminator(shape, sizes[::-1], make, classes), latent, shape, classes)


R3GAN = ModelFamily(
    name="r3gan",
    make=_r3gan,
    source="Huang et al. 2024 (R3GAN), the published code, at small size",
    example=(1, 8, 8),
)
