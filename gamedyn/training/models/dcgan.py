"""The convolutional pairs of SN-GAN and of ODE-GAN."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from torch import Tensor, nn

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.models._layers import (
    BatchNorm,
    Embedded,
    Score,
    initialised,
    normal,
    spectrally_normalised,
    truncated,
)
from gamedyn.training.models._types import ModelFamily, Pair, images_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DCGAN", "ODEGAN"]


class Generator(nn.Module):
    """Noise to a square of `channels` maps, doubled in size and halved in maps by 4x4 transposed convolutions.

    Args:
        latent: size of the noise.
        shape: of an image.
        channels: maps of the first square.
        doublings: how many.
        classes: labels; 0: none.
        batch_norm: whether every layer but the last is normalised.
        stem: whether the first square is normalised and cut at 0, as in SN-GAN; ODE-GAN's is linear.
    """

    def __init__(
        self,
        latent: int,
        shape: tuple[int, ...],
        channels: int,
        doublings: int,
        classes: int,
        batch_norm: bool,
        stem: bool,
    ) -> None:
        super().__init__()
        self.side = shape[1] >> doublings
        self.conditioned = bool(classes and batch_norm)
        self.labels = Embedded(0 if batch_norm else classes, latent)
        self.linear = nn.Linear(latent + self.labels.size, channels * self.side**2)
        widths = [channels >> i for i in range(doublings + 1)]
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(widths)])
        normed = widths if stem else widths[1:]
        self.norms = nn.ModuleList([BatchNorm(w, classes) if batch_norm else nn.Identity() for w in normed])
        self.stem, self.activation = stem, nn.ReLU()
        self.last = nn.Conv2d(widths[-1], shape[0], 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images in [-1, 1]."""
        x = self.linear(z if self.conditioned else self.labels(z, labels))
        x = x.reshape(len(z), -1, self.side, self.side)
        norms = list(self.norms)
        if self.stem:
            x = self._normed(norms.pop(0), x, labels)
        for up, norm in zip(self.up, norms, strict=True):
            x = self._normed(norm, up(x), labels)
        out: Tensor = self.last(x).tanh()
        return out

    def _normed(self, norm: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
        out: Tensor = self.activation(norm(x, labels) if self.conditioned else norm(x))
        return out


class Discriminator(nn.Module):
    """Convolutions 3x3 and 4x4 with stride 2 in turn, every 3x3 doubling the maps, and a linear score.

    Args:
        shape: of an image.
        channels: maps at the end.
        halvings: how many.
        classes: labels; 0: none.
    """

    def __init__(self, shape: tuple[int, ...], channels: int, halvings: int, classes: int) -> None:
        super().__init__()
        first = channels >> halvings
        body: list[nn.Module] = [nn.Conv2d(shape[0], first, 3, padding=1), nn.LeakyReLU(0.1)]
        for width in (first << i for i in range(halvings)):
            body += [nn.Conv2d(width, width, 4, 2, 1), nn.LeakyReLU(0.1)]
            body += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*body, nn.Flatten())
        self.score = Score(channels * (shape[1] >> halvings) ** 2, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (n, 1)."""
        out: Tensor = self.score(self.body(x), labels)
        return out


def _halvings(side: int, channels: int, family: str) -> int:
    """How often images of a side are halved.

    Raises:
        ArgumentError: for a side or a width that does not divide.
    """
    times = 3 if side % 8 == 0 and side >= 32 else 2
    if side % 4 or side >> times < 2:
        remedy = "28, 32, 48 and 64 are usual: resize or pad the images"
        raise ArgumentError("shape", f"a side divisible by 4, at least 8, for {family}", side, remedy)
    if channels % (1 << times):
        raise ArgumentError("channels", f"a multiple of {1 << times} for images of side {side}", channels)
    return times


def _dcgan(
    shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 128,
    channels: int = 512,
    batch_norm: bool = True,
    spectral_norm: bool = True,
) -> Pair:
    """SN-GAN's pair: sides divisible by 8 from 32 on are halved three times, others (28) twice; weights N(0, 0.02^2).

    Batch norm is the generator's; without spectral norm the discriminator is the plain one.
    """
    return _pair("dcgan", shape, classes, latent, channels, batch_norm, spectral_norm, True, normal(0.02))


def _odegan(
    shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 128,
    channels: int = 512,
    batch_norm: bool = True,
    spectral_norm: bool = False,
) -> Pair:
    """ODE-GAN's: SN-GAN's without spectral norm, a linear first square, weights as Sonnet draws them.

    The published discriminator has two outputs and a softmax cross-entropy; their difference is the score here.
    """
    return _pair("odegan", shape, classes, latent, channels, batch_norm, spectral_norm, False, truncated)


def _pair(
    family: str,
    shape: tuple[int, ...],
    classes: int,
    latent: int,
    channels: int,
    batch_norm: bool,
    spectral: bool,
    stem: bool,
    draw: Callable[[Tensor, int], object],
) -> Pair:
    _, side = images_of(shape, family)
    latent, channels = positive_int("latent", latent), positive_int("channels", channels)
    times = _halvings(side, channels, family)
    generator = initialised(Generator(latent, shape, channels, times, classes, batch_norm, stem), draw)
    discriminator = initialised(Discriminator(shape, channels, times, classes), draw)
    if spectral:
        spectrally_normalised(discriminator)
    return Pair(generator, discriminator, latent, shape, classes)


DCGAN = ModelFamily(
    name="dcgan",
    make=_dcgan,
    source="Miyato et al. 2018, table 3; weights as in Radford, Metz, Chintala 2016",
    example=(1, 8, 8),
    aliases=("sngan", "sn_dcgan"),
)
ODEGAN = ModelFamily(
    name="odegan",
    make=_odegan,
    source="Qin et al. 2020 (ODE-GAN), the published code",
    example=(1, 8, 8),
    aliases=("ode_gan",),
)
