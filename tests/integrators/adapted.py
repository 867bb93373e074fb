"""What tests of adaptive steps solve."""

from __future__ import annotations

import math

import torch

import gamedyn as gd

DOUBLE = torch.float64
OWN = dict(gd.methods.members())
PAIRS = {n: m for n, m in OWN.items() if getattr(m, "embedded_order", None) is not None}
FSAL = [n for n, m in PAIRS.items() if getattr(m, "fsal", False)]
END = 4.0


def dirac():
    return gd.flows.gradient(gd.games.dirac_gan("nonsaturating", "r1", 0.6, initial=(1.5, 1.0)))


def rotation():
    return gd.flows.gradient(gd.games.bilinear())


def turned(t):
    return torch.tensor([math.cos(t) - math.sin(t), math.sin(t) + math.cos(t)], dtype=DOUBLE)


FILTERS = {"I": (1.0,), "PI": (0.7, -0.4), "PID": (1 / 18, 1 / 9, 1 / 18)}


def noisy(scale, count=40, seed=3):
    """Batches that pull theta by zero-mean amounts."""
    return gd.batches(
        scale * torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE), batch_size=4
    )


def pulled():
    inner = gd.games.dirac_gan("nonsaturating", "r1", 0.6, initial=(1.5, 1.0))

    def losses(theta, psi, batch):
        base = inner.losses(theta, psi)
        bump = batch.mean()
        return {"G": base["G"] + bump * theta.sum(), "D": base["D"] - bump * (psi * theta).sum() ** 2}

    return gd.flows.gradient(gd.Game(dict(inner.players), losses))
