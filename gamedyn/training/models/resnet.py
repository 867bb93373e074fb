"""The residual pair of SN-GAN."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.models._layers import BatchNorm, Score, spectrally_normalised
from gamedyn.training.models._types import ModelFamily, Pair, images_of

__all__ = ["RESNET"]


class Up(nn.Module):
    """Doubled in size: batch norm, ReLU, nearest doubling, 3x3, batch norm, ReLU, 3x3; beside it doubling and 1x1."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([BatchNorm(channels, classes) for _ in range(2)])
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)])
        self.beside = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, channels, 2 side, 2 side)."""
        inner = self.convs[0](_doubled(self.norms[0](x, labels).relu()))
        inner = self.convs[1](self.norms[1](inner, labels).relu())
        out: Tensor = inner + self.beside(_doubled(x))
        return out


class Down(nn.Module):
    """(ReLU,) 3x3, ReLU, 3x3, and halving by averages if asked for; beside it 1x1 where shapes differ.

    Args:
        maps: in and out.
        halved: whether the size is halved.
        first: whether it is the first block: no ReLU before it, and beside it the average comes before the 1x1.
    """

    def __init__(self, maps: tuple[int, int], *, halved: bool, first: bool = False) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(a, maps[1], 3, padding=1) for a in maps])
        self.beside = nn.Conv2d(*maps, 1) if halved or maps[0] != maps[1] else nn.Identity()
        self.halved, self.first = halved, first

    def forward(self, x: Tensor) -> Tensor:
        """(n, maps, side, side), or half the side."""
        inner = self.convs[1](self.convs[0](x if self.first else x.relu()).relu())
        if not self.halved:
            out: Tensor = inner + self.beside(x)
            return out
        beside = self.beside(avg_pool2d(x, 2)) if self.first else avg_pool2d(self.beside(x), 2)
        return avg_pool2d(inner, 2) + beside


class Generator(nn.Module):
    """Noise to 4x4 (side / 8) squares, three blocks that double, batch norm, ReLU, 3x3, tanh."""

    def __init__(self, latent: int, shape: tuple[int, ...], channels: int, classes: int) -> None:
        super().__init__()
        self.side = shape[1] // 8
        self.linear = nn.Linear(latent, channels * self.side**2)
        self.blocks = nn.ModuleList([Up(channels, classes) for _ in range(3)])
        self.norm = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, shape[0], 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images in [-1, 1]."""
        x = self.linear(z).reshape(len(z), -1, self.side, self.side)
        for block in self.blocks:
            x = block(x, labels)
        out: Tensor = self.last(self.norm(x).relu()).tanh()
        return out


class Discriminator(nn.Module):
    """Four blocks, of which the first two halve, ReLU, sums over positions, a linear score."""

    def __init__(self, shape: tuple[int, ...], channels: int, classes: int) -> None:
        super().__init__()
        same = (channels, channels)
        self.blocks = nn.Sequential(
            Down((shape[0], channels), halved=True, first=True),
            Down(same, halved=True),
            Down(same, halved=False),
            Down(same, halved=False),
        )
        self.score = Score(channels, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (n, 1)."""
        out: Tensor = self.score(self.blocks(x).relu().sum((2, 3)), labels)
        return out


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2)


def _resnet(
    shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 128,
    channels: int = 256,
    discriminator_channels: int = 128,
    spectral_norm: bool = True,
) -> Pair:
    """SN-GAN's ResNet pair for CIFAR-10; 3x3 weights by Glorot with gain sqrt(2) in blocks, 1 elsewhere, biases 0."""
    _, side = images_of(shape, "resnet")
    if side % 8 or side < 8:
        raise ArgumentError("shape", "a side divisible by 8 for resnet", side, "pad 28 to 32: data.pad = 2")
    made = Generator(positive_int("latent", latent), shape, positive_int("channels", channels), classes)
    critic = Discriminator(shape, positive_int("discriminator_channels", discriminator_channels), classes)
    for module in (made, critic):
        inside = {id(c) for block in module.modules() if isinstance(block, (Up, Down)) for c in block.convs}
        for layer in module.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if id(layer) in inside else 1.0)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    if spectral_norm:
        spectrally_normalised(critic)
    return Pair(made, critic, latent, shape, classes)


RESNET = ModelFamily(
    name="resnet",
    make=_resnet,
    source="Miyato et al. 2018, table 4",
    example=(3, 8, 8),
    aliases=("sngan_resnet", "resnet32"),
)
