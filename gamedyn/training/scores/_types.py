"""What features and measures are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gamedyn._lib.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Account", "Features", "Measure", "Reference", "in_blocks"]


@dataclass(frozen=True, eq=False)
class Features:
    """What samples are compared by: a network's answers, or their own numbers.

    Attributes:
        name: "pixels", "classifier", "efficientnet_lite0", "inception".
        network: samples in [-1, 1] to features (n, d).
        size: d.
        digest: of the network's weights.
        accuracy: of a classifier, on samples that it was not trained on.
        labels: samples to labels (n,), of a classifier, or None.
        classes: how many labels.
    """

    name: str
    network: nn.Module
    size: int
    digest: str = ""
    accuracy: float | None = None
    labels: Callable[[Tensor], Tensor] | None = None
    classes: int = 0

    @property
    def distance(self) -> str:
        """What the Frechet distance on these features is called: FID on Inception's alone."""
        return "FID" if self.name == "inception" else f"Frechet distance ({self.name})"

    def __call__(self, samples: Tensor) -> Tensor:
        """Features, (n, size), float64."""
        with torch.no_grad():
            found: Tensor = self.network(samples)
        if found.dim() != 2 or found.shape[1] != self.size:
            raise ArgumentError("features", f"(n, {self.size}) features", f"shape {tuple(found.shape)}")
        return found.double()


@dataclass(frozen=True, eq=False)
class Reference:
    """The real samples that generated ones are checked against.

    Attributes:
        features: how samples are compared.
        samples: real ones, on the CPU.
        known: their features, (n, size), float64.
        labels: of all samples of the data set, or None.
        centres: of a mixture, or None.
        sigma: of a mixture.
        count: how many samples a score is computed from.
    """

    features: Features
    samples: Tensor
    known: Tensor
    labels: Tensor | None
    centres: Tensor | None
    sigma: float
    count: int


class Account(ABC):
    """What a measure has seen of one sample."""

    @abstractmethod
    def add(self, samples: Tensor, features: Tensor) -> None:
        """See a block of samples."""

    @abstractmethod
    def result(self) -> dict[str, float]:
        """The measure's numbers, by name."""


@dataclass(frozen=True)
class Measure:
    """A named score.

    Attributes:
        name: canonical name.
        begin: `begin(reference)` gives an Account; it raises ArgumentError where the measure does not apply.
        source: paper.
        numbers: names of its results; the first is the one that is best when it is `better`.
        better: "smaller" or "larger".
        floored: whether it has a floor: what real samples get against other real ones.
        aliases: other names.
    """

    name: str
    begin: Callable[[Reference], Account]
    source: str
    numbers: tuple[str, ...]
    better: str = "smaller"
    floored: bool = True
    aliases: tuple[str, ...] = ()


def in_blocks(samples: Tensor, size: int = 256) -> list[Tensor]:
    """Samples in blocks of a size, the last one shorter."""
    return list(torch.split(samples, size)) if len(samples) else []


def finite_or(value: float) -> float:
    """A number, or infinity for what is none."""
    return value if math.isfinite(value) else math.inf
