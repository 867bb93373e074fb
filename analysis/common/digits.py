"""The 1,797 real 8x8 digit images that scikit-learn ships, and the Frechet distance on their pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["digits", "frechet_distance", "reference_distances"]


@lru_cache(maxsize=1)
def digits() -> NDArray[np.float64]:
    """All images, (1797, 64), scaled from 0..16 to [-1, 1]."""
    return np.asarray(load_digits().data) / 8.0 - 1.0


def frechet_distance(real: NDArray[np.float64], made: NDArray[np.float64]) -> float:
    """`|m - n|^2 + tr(C + D - 2 (C D)^(1/2))` between the Gaussians of two samples, (k, features) each.

    Source: Dowson, Landau 1982; inf where a sample is not finite.
    """
    if not np.isfinite(made).all():
        return float("inf")
    means = [x.mean(0) for x in (real, made)]
    C, D = (np.cov(x, rowvar=False) for x in (real, made))
    values, vectors = np.linalg.eigh(C)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ D @ root).clip(0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(C) + np.trace(D) - 2 * cross)


def reference_distances(seed: int = 0) -> dict[str, float]:
    """What the distance means: real half against real half (the floor), and the constant mean image."""
    images = digits()
    order = np.random.default_rng(seed).permutation(len(images))
    first, second = images[order[: len(images) // 2]], images[order[len(images) // 2 :]]
    constant = np.repeat(images.mean(0)[None], 2000, axis=0)
    return {"floor": frechet_distance(first, second), "mean_image": frechet_distance(images, constant)}
