r"""
Populations: rock, paper, scissors
==================================

A flow need not be a player's gradient. In the replicator flow shares of strategies grow with what they earn. In
rock-paper-scissors it circles for ever, and keeps the product of the shares. With a temperature it is Boltzmann
Q-learning, and the uniform point becomes stable.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

PAYOFFS = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64)


def corners(shares):
    """Shares (n, 3) as points of an equilateral triangle."""
    return shares[:, 1] + shares[:, 2] / 2, shares[:, 2] * 3**0.5 / 2


figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
for ax, temperature in zip(axes, (None, 0.2), strict=True):
    flow = gd.flows.replicator(PAYOFFS, temperature=temperature, initial=[[0.6, 0.3, 0.1]])
    run = gd.solve(flow, "rk4", h=0.05, steps=400, save_at=[0.1 * k for k in range(201)])
    shares = torch.stack([state.y for state in run.saved.values()])
    ax.plot([0, 1, 0.5, 0], [0, 0, 3**0.5 / 2, 0], color="gray", linewidth=0.8)
    ax.plot(*corners(shares), linewidth=1)
    ax.plot(*corners(shares[:1]), "k.")
    ax.set(title=f"temperature {temperature or 0}", aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.15, 1.0))
    ax.set_axis_off()
    for label, x, y in (("rock", 0, -0.06), ("paper", 1, -0.06), ("scissors", 0.5, 0.9)):
        ax.text(x, y, label, ha="center", va="center")
    product = shares.prod(1)
    print(f"temperature {temperature or 0}: product of the shares from {product[0]:.5f} to {product[-1]:.5f}")
plt.show()
