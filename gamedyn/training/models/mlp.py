"""Perceptrons, for mixtures, digits and other samples of few numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from gamedyn._lib.checks import choice, positive_int
from gamedyn.training.models._layers import Embedded, Score, initialised, normal, spectrally_normalised
from gamedyn.training.models._types import ModelFamily, Pair

__all__ = ["MLP"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "softplus": nn.Softplus,
}
INITIAL: dict[str, Callable[[Tensor, int], object]] = {
    "fan_in": lambda weight, fan_in: nn.init.normal_(weight, std=1 / math.sqrt(fan_in)),
    "he": lambda weight, fan_in: nn.init.normal_(weight, std=math.sqrt(2 / fan_in)),
    "dcgan": normal(0.02),
}


class Generator(nn.Module):
    """Noise through hidden layers to samples, in [-1, 1] if bounded."""

    def __init__(
        self, latent: int, shape: tuple[int, ...], widths: Sequence[int], activation: str, classes: int, bounded: bool
    ) -> None:
        super().__init__()
        self.labels, self.shape = Embedded(classes, latent), shape
        sizes = [latent + self.labels.size, *widths]
        self.body = _hidden(sizes, activation)
        self.last = nn.Linear(sizes[-1], math.prod(shape))
        self.bound = nn.Tanh() if bounded else nn.Identity()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples."""
        out: Tensor = self.bound(self.last(self.body(self.labels(z, labels))))
        return out.reshape(len(z), *self.shape)


class Discriminator(nn.Module):
    """Samples through hidden layers to scores."""

    def __init__(self, shape: tuple[int, ...], widths: Sequence[int], activation: str, classes: int) -> None:
        super().__init__()
        sizes = [math.prod(shape), *widths]
        self.body, self.score = _hidden(sizes, activation), Score(sizes[-1], classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores (n, 1)."""
        out: Tensor = self.score(self.body(x.flatten(1)), labels)
        return out


def _hidden(sizes: Sequence[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def _mlp(
    shape: tuple[int, ...],
    classes: int,
    *,
    latent: int = 16,
    widths: Sequence[int] = (32, 32),
    activation: str = "tanh",
    initial: str = "fan_in",
    bounded: bool | None = None,
    spectral_norm: bool = False,
) -> Pair:
    """Hidden layers of the same widths in both players; weights N(0, 1/fan-in), biases 0.

    `activation`: tanh, relu, leaky_relu or softplus; `initial`: fan_in, he, or dcgan, N(0, 0.02^2); `bounded`: whether
    samples go through tanh; by default those of images do, whose values lie in [-1, 1]. ODE-GAN's mixtures take
    latent 32, widths (25, 25) and relu.
    """
    choice("activation", activation, ACTIVATIONS)
    draw = INITIAL[choice("initial", initial, INITIAL)]
    sizes = [positive_int("widths", w) for w in widths]
    latent = positive_int("latent", latent)
    bounded = len(shape) == 3 if bounded is None else bounded
    generator = initialised(Generator(latent, shape, sizes, activation, classes, bounded), draw)
    discriminator = initialised(Discriminator(shape, sizes, activation, classes), draw)
    if spectral_norm:
        spectrally_normalised(discriminator)
    return Pair(generator, discriminator, latent, shape, classes)


MLP = ModelFamily(name="mlp", make=_mlp, source="Goodfellow et al. 2014", example=(6,))
