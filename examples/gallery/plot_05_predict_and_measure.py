r"""
Predict the largest stable step, then measure it
================================================

The Dirac-GAN with an R1 penalty has its equilibrium at 0. The Jacobian there and the coefficients of a method give
the largest stable step. Beside the prediction: the distance to the equilibrium in a real, nonlinear solve at 0.97 and
1.03 of it.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

game = gd.games.dirac_gan("nonsaturating", "r1", 0.5)
flow = gd.flows.gradient(game)
lin = gd.spectrum.linearise(flow, game.equilibrium_state())
near = game.equilibrium_state().with_y(torch.tensor([1e-3, 1e-3], dtype=torch.float64))


class Distance(gd.Observer):
    """The norm of the state after every step."""

    def __init__(self):
        self.every, self.values = 1, []

    def after_step(self, view):
        """Note it."""
        self.values.append(float(view.state.y.norm()) / 1e-3)


figure, axes = plt.subplots(1, 3, figsize=(8, 3), sharey=True, layout="constrained")
for ax, method in zip(axes, ("alternating", "rk4", "ab2"), strict=True):
    limit = gd.spectrum.stable_steps(method, lin).limit
    for share, color in ((0.97, "C0"), (1.03, "C3")):
        seen = Distance()
        gd.solve(flow, method, h=share * limit, steps=150, y0=near, observers=[seen])
        ax.semilogy(seen.values, color=color, label=f"{share} of the limit")
    ax.set(title=f"{method}: h < {limit:.3f}", xlabel="step")
    radius = gd.spectrum.step_radius(flow, method, lin.state, limit)
    print(f"{method:12s} predicted {limit:.6f}, radius of a step there {radius:.6f}")
axes[0].set(ylabel="distance, relative to the first", ylim=(1e-4, 1e4))
axes[0].legend(frameon=False)
plt.show()
