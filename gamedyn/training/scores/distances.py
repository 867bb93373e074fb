"""Frechet and kernel distances between features, by torchmetrics."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.randomness import OwnRandomness
from gamedyn.training.scores._types import Account, Measure, Reference, finite_or

__all__ = ["FRECHET", "KERNEL"]

SUBSETS, SUBSET = 100, 1000
LEAST = 4
"""Samples that make two subsets, or two halves, of two."""


class _Known(nn.Module):
    """Features that are known already, as torchmetrics takes a network."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, features: Tensor) -> Tensor:
        return features


def _metric(name: str, size: int, **options: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the memory that features take
            from torchmetrics.image.fid import FrechetInceptionDistance
            from torchmetrics.image.kid import KernelInceptionDistance

            kinds = {"frechet": FrechetInceptionDistance, "kernel": KernelInceptionDistance}
            return kinds[name](feature=_Known(size), **options)
    except ImportError:
        raise ArgumentError("scores", "torchmetrics", "not installed", "pip install 'gamedyn[train]'") from None


class _Distance(Account):
    """A metric of torchmetrics that has seen the real samples; infinite once a sample is not finite."""

    def __init__(self, metric: Any, reference: Reference) -> None:
        self.metric, self.finite, self.made = metric, True, 0
        if len(reference.known) < LEAST:
            raise ArgumentError("scores", f"at least {LEAST} real samples", len(reference.known))
        self.metric.update(reference.known, real=True)

    def add(self, samples: Tensor, features: Tensor) -> None:
        self.finite = self.finite and bool(features.isfinite().all())
        self.made += len(features)
        if self.finite:
            self.metric.update(features, real=False)


class _Frechet(_Distance):
    def __init__(self, reference: Reference) -> None:
        super().__init__(_metric("frechet", reference.features.size), reference)

    def result(self) -> dict[str, float]:
        if not self.finite or self.made < 2:  # of one sample there is no covariance
            return {"frechet": float("inf")}
        return {"frechet": finite_or(float(self.metric.compute()))}


class _Kernel(_Distance):
    def __init__(self, reference: Reference) -> None:
        super().__init__(_metric("kernel", reference.features.size, subsets=SUBSETS), reference)
        self.real = len(reference.known)

    def result(self) -> dict[str, float]:
        if not self.finite or self.made < LEAST:
            return {"kernel": float("inf"), "kernel_std": float("nan")}
        self.metric.subset_size = min(SUBSET, self.made // 2, self.real // 2)
        with OwnRandomness(0).drawn_from():  # its subsets
            mean, std = self.metric.compute()
        return {"kernel": finite_or(float(mean)), "kernel_std": float(std)}


FRECHET = Measure(
    name="frechet",
    begin=_Frechet,
    source="Dowson, Landau 1982; on features, Heusel et al. 2017",
    numbers=("frechet",),
    aliases=("fid",),
)
KERNEL = Measure(
    name="kernel",
    begin=_Kernel,
    source="Binkowski et al. 2018: the squared MMD of (x . y / d + 1)^3, over 100 subsets",
    numbers=("kernel", "kernel_std"),
    aliases=("kid", "mmd"),
)
