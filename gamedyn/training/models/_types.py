"""What a family of models is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

__all__ = ["ModelFamily", "Pair", "images_of"]


@dataclass(frozen=True, eq=False)
class Pair:
    """A generator and a discriminator made for each other.

    Attributes:
        generator: `generator(noise)`, or `generator(noise, labels)`, to samples of `shape`.
        discriminator: `discriminator(samples)`, or `discriminator(samples, labels)`, to scores (n, 1).
        latent: size of the noise for one sample.
        shape: of one sample.
        classes: number of labels; 0 for models that take none.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent: int
    shape: tuple[int, ...]
    classes: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """Trainable parameters of each."""
        players = {"G": self.generator, "D": self.discriminator}
        return {k: sum(p.numel() for p in m.parameters() if p.requires_grad) for k, m in players.items()}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{k}: {n:,}" for k, n in self.sizes.items())
        labels = f", {self.classes} classes" if self.classes else ""
        return f"Pair({sizes} parameters, {self.latent} latents, samples {self.shape}{labels})"


@dataclass(frozen=True)
class ModelFamily:
    """A named architecture.

    Attributes:
        name: canonical name.
        make: `make(shape, classes, **options)` gives a Pair; it draws from the default generators.
        source: paper or code.
        example: a shape that it can make, small.
        labels: whether it can be conditioned on labels.
        aliases: other names.
    """

    name: str
    make: Callable[..., Pair]
    source: str
    example: tuple[int, ...]
    labels: bool = True
    aliases: tuple[str, ...] = ()


def images_of(shape: Sequence[int], family: str) -> tuple[int, int]:
    """Channels and side of square images.

    Raises:
        ArgumentError: for samples that are not square images.
    """
    if len(shape) != 3 or shape[1] != shape[2]:
        remedy = 'models of other samples: "mlp"'
        raise ArgumentError("shape", f"square images (channels, side, side) for {family}", tuple(shape), remedy)
    return shape[0], shape[1]
