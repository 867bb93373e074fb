"""Outer eigenvalues of a GAN's flow on many images at once, where an ablation's cell has come to."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gamedyn as gd
from analysis.common.gans import loaded

if TYPE_CHECKING:
    from gamedyn.ablation import Outcome

__all__ = ["full_batch", "outer", "told"]

KINDS = ("leftmost", "rightmost", "largest_imaginary")


@lru_cache(maxsize=8)
def full_batch(data_set: str, images: int, latent: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images, and as much noise of a seed of its own."""
    samples = loaded(data_set).samples[:images]
    noise = torch.randn(len(samples), latent, generator=torch.Generator().manual_seed(11))
    return torch.as_tensor(samples), noise


def outer(outcome: Outcome, images: int, k: int, tol: float = 1e-3) -> tuple[Any, dict[str, Any], Any]:
    """The Jacobian on so many images, its outer eigenpairs by kind, and the batch."""
    extras = outcome.setup.extras
    batch = full_batch(extras["data"], images, extras["latent"])
    J = outcome.flow.at(outcome.state, batch).jacobian()
    return J, gd.spectrum.outer_pairs(J, k=k, tol=tol, kinds=KINDS), batch


def told(pairs: dict[str, Any]) -> dict[str, float]:
    """The least and the largest real part, and the largest imaginary part; nothing where none was found."""
    values = np.concatenate([p.values for p in pairs.values()])
    if not len(values):
        return {}
    return {
        "leftmost": float(values.real.min()),
        "rightmost": float(values.real.max()),
        "turning": float(np.abs(values.imag).max()),
    }
