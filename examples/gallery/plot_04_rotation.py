r"""
Rotation: who spirals out, who spirals in
=========================================

The bilinear game :math:`\min_x \max_y xy` is pure rotation: its solution is a circle. Euler's method, which is
simultaneous gradient descent, spirals outward at any step; play in turns stays on a closed curve; extragradient
spirals in; rk4 nearly keeps the circle.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

METHODS = ("euler", "alternating", "extragradient", "optimistic", "rk4", "implicit_midpoint")

game = gd.games.bilinear()
flow = gd.flows.gradient(game)
start = flow.initial_state().with_y(torch.tensor([1.0, 0.0], dtype=torch.float64))

figure, axes = plt.subplots(2, 3, figsize=(8, 5.6), sharex=True, sharey=True, layout="constrained")
for ax, method in zip(axes.flat, METHODS, strict=True):
    run = gd.solve(flow, method, h=0.3, steps=40, y0=start, save_at=[0.3 * k for k in range(41)])
    path = run.trajectory(flow).to_pandas()
    ax.plot(path["x"], path["y"], ".-", linewidth=0.7, markersize=3)
    ax.plot(0, 0, "k+")
    ax.set(title=method, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    print(f"{method:18s} distance from the equilibrium after 40 steps of 0.3: {float(run.state.y.norm()):.4f}")
figure.supxlabel("x")
figure.supylabel("y")
plt.show()
