"""Set-ups and measures that tests send to processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch
from torch import nn

import gamedyn as gd
from gamedyn.ablation import Setup


def drawn(flow, seed):
    state = flow.initial_state()
    draw = torch.Generator().manual_seed(seed)
    return state.with_y(torch.randn(len(state.y), generator=draw, dtype=state.y.dtype))


def quadratic(seed, coupling=1.0, mark=""):
    """A game whose seeds differ in where they begin alone."""
    flow = gd.flows.gradient(gd.games.bilinear([[coupling]]), rates={"x": 1.0, "y": 1.0})
    flow = flow.with_term(gd.losses.squared_gradient(0.1, of="x", into="y"))
    return Setup(flow, y0=drawn(flow, seed))


def another_game(seed):
    """A game whose seeds differ in the game itself."""
    flow = gd.flows.gradient(gd.games.bilinear([[1.0 + seed]]))
    return Setup(flow, y0=drawn(flow, 0))


def gan(seed, width=8, norm=False):
    """A GAN on a mixture, with batches of the seed's own."""
    torch.default_generator.manual_seed(seed)
    G = nn.Sequential(nn.Linear(4, width), *([nn.BatchNorm1d(width)] if norm else []), nn.Tanh(), nn.Linear(width, 2))
    D = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
    flow = gd.flows.gradient(gd.games.gan(G, D)).with_term(gd.losses.r1(0.1))
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    return Setup(flow, batches=gd.batches(data, latent=4, batch_size=16, seed=seed))


def unseeded(seed):
    """A GAN whose seed says nothing of how it begins, with losses that draw."""
    G, D = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
    data = torch.randn(64, 2)
    return Setup(gd.flows.gradient(gd.games.gan(G, D)), batches=gd.batches(data, latent=4, batch_size=16, seed=seed))


def with_noise(outcome):
    return outcome.state.y.norm() + torch.randn(())


def distance(outcome):
    return outcome.state.y.norm()


def entries(outcome):
    return {"first": outcome.state.y[0], "last": outcome.state.y[-1]}


def refused_at_two(outcome):
    if outcome.cell["seed"] == 2:
        raise ValueError("not this one")
    return 1.0


def killed_once(outcome):
    """Kills its process the first time that seed 1 is measured."""
    mark = Path(outcome.cell["mark"])
    if outcome.cell["seed"] == 1 and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return distance(outcome)


def killed_always(outcome):
    if outcome.cell["seed"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return distance(outcome)
