r"""
Which steps survive: an ensemble
================================

``solve_ensemble`` steps many copies at once, each with a step and weights of its own. A grid of steps and penalty
weights on the Dirac-GAN, started near the equilibrium; black is the limit that theory predicts from the Jacobian, the
colour is what became of the distance.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import gamedyn as gd

game = gd.games.dirac_gan("nonsaturating", "none")
flow = gd.flows.gradient(game).with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
near = game.equilibrium_state().with_y(torch.tensor([1e-4, 1e-4], dtype=torch.float64))
steps, weights = np.linspace(0.1, 6.0, 40), np.linspace(0.1, 2.0, 30)
h, w = np.meshgrid(steps, weights)

figure, axes = plt.subplots(1, 3, figsize=(8.4, 3), sharey=True, layout="constrained")
for ax, method in zip(axes, ("euler", "rk4", "alternating"), strict=True):
    many = gd.solve_ensemble(
        flow, method, h=h.ravel().tolist(), steps=60, weights={"squared_gradient": w.ravel().tolist()}, y0=near
    )
    growth = torch.log10(many.state.y.norm(dim=1) / near.y.norm()).nan_to_num(20, 20).reshape(h.shape)
    drawn = ax.pcolormesh(steps, weights, growth.clamp(-6, 6), cmap="coolwarm", vmin=-6, vmax=6)
    limits = []
    for weight in weights:
        weighted = flow.with_weights(squared_gradient=float(weight))
        lin = gd.spectrum.linearise(weighted, game.equilibrium_state())
        limits.append(gd.spectrum.stable_steps(method, lin).limit)
    ax.plot(limits, weights, "k", linewidth=1.5)
    ax.set(title=method, xlabel="step h", xlim=(steps[0], steps[-1]))
    predicted = h < np.array(limits)[:, None]
    print(f"{method:12s} {(predicted == (growth.numpy() < 0)).mean():.1%} of {h.size} runs end as predicted")
axes[0].set_ylabel("weight of the penalty")
figure.colorbar(drawn, ax=axes, label="log10 of the distance, after over before")
plt.show()
