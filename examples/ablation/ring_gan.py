"""A GAN on eight points of a circle, and how far its samples lie from it: a set-up and a measure of one's own."""

import torch
from torch import nn

import gamedyn as gd
from gamedyn.ablation import Setup


def setup(seed, width=16, loss="nonsaturating"):
    """The flow, and batches: called with the factors that it has parameters for."""
    torch.default_generator.manual_seed(seed)
    G = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 2))
    D = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
    angle = torch.arange(8) * torch.pi / 4
    points = torch.stack([angle.cos(), angle.sin()], 1).repeat(64, 1)
    flow = gd.flows.gradient(gd.games.gan(G, D, loss)).with_term(gd.losses.r1(0.1))
    return Setup(flow, batches=gd.batches(points, latent=4, batch_size=64, seed=seed))


def off_circle(outcome):
    """Mean distance of 512 samples from the circle."""
    with outcome.flow.game.at(outcome.state) as players, torch.no_grad():
        noise = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
        return (players["G"](noise).norm(dim=1) - 1).abs().mean()
