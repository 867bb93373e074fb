"""Layers that several architectures share: labels in batch norm, projected scores, initial weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BatchNorm", "Embedded", "Score", "initialised", "normal", "spectrally_normalised", "truncated"]


class BatchNorm(nn.Module):
    """Batch norm whose gain and bias are each class's own: `gain[label] * x_hat + bias[label]`.

    Source: de Vries et al. 2017, section 4; Miyato, Koyama 2018.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        if classes:
            self.gain, self.bias = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same shape."""
        out: Tensor = self.norm(x)
        if labels is None:
            return out
        gain, bias = (e(labels)[:, :, None, None] for e in (self.gain, self.bias))
        scaled: Tensor = out * gain + bias
        return scaled


class Embedded(nn.Module):
    """Noise with a learned vector for its label beside it; the noise itself where there are no labels."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.size = size if classes else 0
        if classes:
            self.embedding = nn.Embedding(classes, size)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent + size)."""
        return z if labels is None else torch.cat([z, self.embedding(labels).to(z)], 1)


class Score(nn.Module):
    """A linear score of features, and its projection on the label: `w . f + e[label] . f`.

    Source: Miyato, Koyama 2018, eq. (9).
    """

    def __init__(self, features: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=bias)
        if classes:
            self.embedding = nn.Embedding(classes, features)
            nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(features))

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, 1)."""
        score: Tensor = self.linear(features)
        return score if labels is None else score + (self.embedding(labels) * features).sum(1, keepdim=True)


def spectrally_normalised(module: nn.Module) -> nn.Module:
    """The module, the weight of every layer of it divided by its largest singular value."""
    for layer in list(module.modules()):
        if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
            spectral_norm(layer)
    return module


def initialised(module: nn.Module, draw: Callable[[Tensor, int], object]) -> nn.Module:
    """Draw the weights of all linear and convolutional layers, and set their biases to 0.

    Args:
        module: any.
        draw: `draw(weight, fan_in)` fills a weight in place.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            across = layer.weight[:, 0] if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0]
            draw(layer.weight.data, across.numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def normal(std: float) -> Callable[[Tensor, int], object]:
    """Normal weights of a standard deviation."""
    return lambda weight, fan_in: nn.init.normal_(weight, std=std)


def truncated(weight: Tensor, fan_in: int) -> object:
    """Normal weights of standard deviation 1/sqrt(fan-in), cut at twice that: what Sonnet draws."""
    std = 1 / math.sqrt(fan_in)
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
