r"""
Play in turns: eigenvalues do not decide
========================================

If players move in turn, the stability of a step is no function of the eigenvalues of :math:`J`: two games with the
same eigenvalues have different limits. Theory therefore composes the matrix of one step from the blocks of J; the
spectral radius of the real, differentiated step agrees with it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import gamedyn as gd

GAMES = {
    "both damped": torch.tensor([[-0.5, -(0.75**0.5)], [0.75**0.5, -0.5]], dtype=torch.float64),
    "one damped": torch.tensor([[0.0, -1.0], [1.0, -1.0]], dtype=torch.float64),
}

h = np.linspace(0.01, 1.8, 90)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for (name, J), color in zip(GAMES.items(), ("C0", "C1"), strict=True):
    blocks = gd.stability.BlockJacobian(J.numpy(), (1, 1), ("x", "y"))
    radius = [gd.stability.spectral_radius("alternating", blocks, x) for x in h]
    limit = gd.stability.stable_steps("alternating", blocks).limit
    game = gd.games.quadratic(-J, sizes=(1, 1))
    flow = gd.flows.gradient(game)
    measured = [gd.spectrum.step_radius(flow, "alternating", game.state(), x) for x in h[::9]]
    ax.plot(h, radius, color=color, label=f"{name}: stable up to {limit:.3f}")
    ax.plot(h[::9], measured, "o", color=color, markersize=4)
    ax.axvline(limit, color=color, linestyle=":")
    print(name, "eigenvalues", np.linalg.eigvals(J.numpy()).round(3), "limit", round(limit, 4))
ax.axhline(1.0, color="gray", linewidth=0.8)
ax.set(xlabel="step h", ylabel="spectral radius of one step", ylim=(0.4, 1.4))
ax.legend(frameon=False)
plt.show()
