r"""
Work and error
==============

How much accuracy does an evaluation of the field buy? A nonlinear game without penalty is solved over 8 units of
time; the error is the distance to a solve with far smaller steps. Order is the slope. At few evaluations the order
matters little, and that is where GAN training works.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

game = gd.games.dirac_gan("nonsaturating", "none")
flow = gd.flows.gradient(game)
T = 8.0
exact = gd.solve(flow, "dop853", h=T / 256, steps=256).state.y

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for method in ("euler", "alternating", "heun2", "ab3", "rk4", "dopri5"):
    work, error = [], []
    for steps in (8, 16, 32, 64, 128):
        run = gd.solve(flow, method, h=T / steps, steps=steps)
        work.append(run.stats["evaluations"])
        error.append(float((run.state.y - exact).norm()))
    slope = -(torch.tensor(error[-2:]).log2().diff() / torch.tensor(work[-2:]).log2().diff()).item()
    ax.loglog(work, error, ".-", label=f"{method}, slope {slope:.2f}")
    print(f"{method:12s} order {gd.methods.get(method).order}, slope measured {slope:.2f}")
ax.set(xlabel="evaluations of the field", ylabel="error at t = 8")
ax.legend(frameon=False)
plt.show()
