r"""
Eight Gaussians: rk4 beside Adam
================================

The GAN that everybody draws first. Equal evaluations of the field, one learning rate each, neither searched for: this
is a picture, not a comparison. For a comparison, with rates tuned and intervals, see `training methods
<../../theory/training_methods.html>`__.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

draw = torch.Generator().manual_seed(0)
angles = torch.arange(8) * torch.pi / 4
centres = torch.stack([angles.cos(), angles.sin()], 1)
data = centres.repeat(128, 1) + 0.05 * torch.randn(1024, 2, generator=draw)


def gan():
    """The same players every time."""
    seeded = torch.Generator().manual_seed(3)
    return gd.games.gan(gd.games.mlp((8, 32, 32, 2), generator=seeded), gd.games.mlp((2, 32, 32, 1), generator=seeded))


latents = torch.randn(600, 8, generator=draw)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.5), sharex=True, sharey=True, layout="constrained")
for ax, (method, h, steps) in zip(axes, (("rk4", 0.5, 600), ("torch.optim:Adam", 2e-3, 2400)), strict=True):
    game = gan()
    flow = gd.flows.gradient(game).with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
    run = gd.solve(flow, method, h=h, steps=steps, batches=gd.batches(data, latent=8, batch_size=64, seed=0))
    with game.at(run.state) as players, torch.no_grad():
        made = players["G"](latents)
    distance, nearest = torch.cdist(made, centres).min(1)
    hit = len(nearest[distance < 0.2].unique())
    ax.plot(data[:, 0], data[:, 1], ".", color="0.8", markersize=2)
    ax.plot(made[:, 0], made[:, 1], ".", markersize=2)
    ax.set(title=f"{method}: {hit} of 8 modes", aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
    near = 100 * (distance < 0.2).float().mean()
    print(f"{method}: {run.stats['evaluations']:.0f} evaluations, {hit} modes, {near:.0f} % of the samples near one")
plt.show()
