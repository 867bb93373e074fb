"""The GANs on scikit-learn's digits that several studies train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import gamedyn as gd

if TYPE_CHECKING:
    from gamedyn.core import State

__all__ = ["LATENT", "flow_of", "networks", "samples"]

LATENT = 16


def networks(seed: int, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.Module]:
    """Generator 16-32-32-64 with tanh output, discriminator 64-32-32-1: 6,881 parameters."""
    g = torch.Generator().manual_seed(1000 + seed)
    G = gd.games.mlp((LATENT, 32, 32, 64), generator=g).append(nn.Tanh()).to(dtype)
    return G, gd.games.mlp((64, 32, 32, 1), generator=g).to(dtype)


def flow_of(case: str, settings: Any, seed: int = 0, dtype: torch.dtype = torch.float32) -> gd.flows.GradientFlow:
    """The flow of case A (non-saturating, squared-gradient penalty) or B (Wasserstein, R1)."""
    flow = gd.flows.gradient(gd.games.gan(*networks(seed, dtype), case))
    if case == "nonsaturating":
        return flow.with_term(gd.losses.squared_gradient(settings.penalties[-1]))
    return flow.with_term(gd.losses.r1(settings.r1))


@torch.no_grad()
def samples(flow: gd.flows.Flow, state: State, z: torch.Tensor) -> np.ndarray:
    """Generated images of a state, (k, 64)."""
    with flow.game.at(state) as players:
        return np.asarray(players["G"](z).double())
