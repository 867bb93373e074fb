"""Networks and data of one's own for `gamedyn train examples/own/nets.toml`."""

import torch
from torch import nn

from gamedyn.training.data import DataSet
from gamedyn.training.models import Pair


def pair(shape, classes, *, latent=8, width=64):
    """A generator and a discriminator for samples of this shape; what they draw comes from the configuration's seed."""
    (size,) = shape
    return Pair(network(latent, width, size), network(size, width, 1), latent, shape, classes)


def network(inputs, width, outputs):
    """Two hidden layers."""
    hidden = [nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


def spiral(*, count=5000, turns=1.5):
    """Points on a spiral in the plane."""
    t = torch.rand(count, generator=torch.Generator().manual_seed(0)).sqrt()
    points = torch.stack([t * (2 * torch.pi * turns * t).cos(), t * (2 * torch.pi * turns * t).sin()], 1)
    return DataSet("spiral", points)
